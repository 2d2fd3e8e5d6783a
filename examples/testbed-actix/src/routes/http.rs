//! A route under the HTTP policy.

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::web::{self, Data};
use adapter_actix::{Cache, PolicyError};
use testbed_common::bed::Bed;
use testbed_common::policies;

use crate::app::Mount;
use crate::reply::{RawQuery, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let echo = |bed: Data<Bed>, method: Method, request: HttpRequest, query: RawQuery| async move {
        reply(bed.http(method.as_str(), request.uri().path(), query.get()))
    };
    let echo = cache.cached_resource(
        "/http/{rest:.+}",
        move |r| r.route(web::to(echo)),
        policies::http(),
    )?;
    Ok(Box::new(move |app| {
        app.service(echo.clone());
    }))
}
