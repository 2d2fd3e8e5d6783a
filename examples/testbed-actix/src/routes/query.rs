//! Routes that read the query.

use actix_web::Resource;
use actix_web::web::Data;
use adapter_actix::{Cache, PolicyError};
use testbed_common::bed::Bed;
use testbed_common::policies;

use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let q = |bed: Data<Bed>, query: RawQuery| async move { reply(bed.q(query.get())) };
    let q = cache.cached_resource("/q", move |r| r.route(read().to(q)), policies::q())?;
    let table = [
        ("/rawq", policies::plain()),
        ("/rawq-raw", policies::rawq_raw()),
        ("/rawq-only", policies::rawq_only()),
        ("/rawq-except", policies::rawq_except()),
    ];
    let mut echoes = Vec::new();
    for (route, policy) in table {
        echoes.push(cache.cached_resource(route, move |r| echo(r, route), policy)?);
    }
    Ok(Box::new(move |app| {
        app.service(q.clone());
        for echo in &echoes {
            app.service(echo.clone());
        }
    }))
}

/// Echoes the raw query.
fn echo(resource: Resource, route: &'static str) -> Resource {
    let handler =
        move |bed: Data<Bed>, query: RawQuery| async move { reply(bed.rawq(route, query.get())) };
    resource.route(read().to(handler))
}
