//! A cached function behind a route without a cache.

use std::sync::Arc;

use actix_web::web::{self, Data};
use adapter_actix::{Cache, PolicyError};
use testbed_common::bed::Bed;

use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let function = Arc::new(Bed::function(cache)?);
    Ok(Box::new(move |app| {
        let function = Arc::clone(&function);
        let call = move |bed: Data<Bed>, query: RawQuery| {
            let function = Arc::clone(&function);
            async move { reply(bed.call(&function, query.get()).await) }
        };
        app.service(web::resource("/fn").route(read().to(call)));
    }))
}
