//! The registers of the consistency check.

use actix_web::web::{self, Data, Path};
use actix_web::{HttpResponse, rt};
use adapter_actix::{Cache, PolicyError};
use http::StatusCode;
use testbed_common::bed::Bed;
use testbed_common::{admin, answer, policies};

use super::reads;
use crate::app::Mount;
use crate::reply::{RawQuery, reply};

const REGISTER: &str = "/cas/{reg}";

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let read = |bed: Data<Bed>, reg: Path<String>, query: RawQuery| async move {
        reply(bed.get_register(&reg, query.get()).await)
    };
    let cached = cache.cached_resource(
        REGISTER,
        move |r| r.guard(reads()).route(web::to(read)),
        policies::cas(),
    )?;
    Ok(Box::new(move |app| {
        app.service(cached.clone()).service(web::resource(REGISTER).route(web::put().to(write)));
    }))
}

/// Writes first, then invalidates, then answers; all of it even if the client leaves.
async fn write(bed: Data<Bed>, cache: Cache, reg: Path<String>, query: RawQuery) -> HttpResponse {
    let work = rt::spawn(async move {
        match bed.put_register(&reg, query.get()) {
            Ok(tag) => admin::invalidated(cache.invalidate_tags([tag]).await),
            Err(refusal) => refusal.answer(),
        }
    });
    match work.await {
        Ok(answer) => reply(answer),
        Err(error) => reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}
