//! The plain routes.

use actix_web::http::Method;
use actix_web::web::{self, Data, Path};
use adapter_actix::{Cache, PolicyError};
use bytes::Bytes;
use testbed_common::bed::Bed;
use testbed_common::policies;

use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let n = |bed: Data<Bed>, id: Path<String>, query: RawQuery| async move {
        reply(bed.n(&id, query.get()))
    };
    let nocache = |bed: Data<Bed>, id: Path<String>, query: RawQuery| async move {
        reply(bed.nocache(&id, query.get()))
    };
    let status = |bed: Data<Bed>, code: Path<String>, query: RawQuery| async move {
        reply(bed.status(&code, query.get()))
    };
    let multi = |bed: Data<Bed>, method: Method, query: RawQuery| async move {
        reply(bed.multi(method.as_str(), query.get()))
    };
    let post_cached = |bed: Data<Bed>, query: RawQuery, body: Bytes| async move {
        reply(bed.post_cached(&body, query.get()))
    };
    let fail = |bed: Data<Bed>, query: RawQuery| async move { reply(bed.fail(query.get())) };
    let fail_once = |bed: Data<Bed>, id: Path<String>, query: RawQuery| async move {
        reply(bed.fail_once(&id, query.get()))
    };
    let panic = |bed: Data<Bed>, query: RawQuery| async move { reply(bed.panic(query.get())) };

    let plain = policies::plain;
    let n = cache.cached_resource("/n/{id}", move |r| r.route(read().to(n)), plain())?;
    let status =
        cache.cached_resource("/status/{code}", move |r| r.route(web::to(status)), plain())?;
    let multi = cache.cached_resource("/multi", move |r| r.route(web::to(multi)), plain())?;
    let post_cached = cache.cached_resource(
        "/post-cached",
        move |r| r.route(web::post().to(post_cached)),
        policies::post_cached(),
    )?;
    let fail = cache.cached_resource("/fail", move |r| r.route(read().to(fail)), plain())?;
    let fail_once = cache.cached_resource(
        "/fail-once/{id}",
        move |r| r.route(read().to(fail_once)),
        plain(),
    )?;
    let panic = cache.cached_resource("/panic", move |r| r.route(read().to(panic)), plain())?;
    Ok(Box::new(move |app| {
        app.service(n.clone())
            .service(web::resource("/nocache/{id}").route(read().to(nocache)))
            .service(status.clone())
            .service(multi.clone())
            .service(post_cached.clone())
            .service(fail.clone())
            .service(fail_once.clone())
            .service(panic.clone());
    }))
}
