//! Routes about header fields.

use actix_web::HttpRequest;
use actix_web::http::header::ACCEPT_LANGUAGE;
use actix_web::web::Data;
use adapter_actix::{Cache, PolicyError};
use testbed_common::bed::Bed;
use testbed_common::policies;

use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, field, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let hdr = |bed: Data<Bed>, query: RawQuery| async move { reply(bed.hdr(query.get())) };
    let lang = |bed: Data<Bed>, query: RawQuery, request: HttpRequest| async move {
        reply(bed.lang(field(request.headers(), ACCEPT_LANGUAGE).as_deref(), query.get()))
    };
    let negotiated = |bed: Data<Bed>, query: RawQuery, request: HttpRequest| async move {
        reply(bed.negotiated(field(request.headers(), ACCEPT_LANGUAGE).as_deref(), query.get()))
    };
    let hdr = cache.cached_resource("/hdr", move |r| r.route(read().to(hdr)), policies::plain())?;
    let lang =
        cache.cached_resource("/lang", move |r| r.route(read().to(lang)), policies::lang())?;
    let negotiated = cache.cached_resource(
        "/negotiated",
        move |r| r.route(read().to(negotiated)),
        policies::plain(),
    )?;
    Ok(Box::new(move |app| {
        app.service(hdr.clone()).service(lang.clone()).service(negotiated.clone());
    }))
}
