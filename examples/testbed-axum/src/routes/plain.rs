//! The plain routes.

use std::sync::Arc;

use adapter_axum::PolicyError;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::Method;
use axum::routing::{any, get, post};
use bytes::Bytes;
use testbed_common::bed::Bed;
use testbed_common::policies;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let n = |State(bed): State<Arc<Bed>>, Path(id): Path<String>, RawQuery(query): RawQuery| async move {
        reply(bed.n(&id, query.as_deref()))
    };
    let nocache = |State(bed): State<Arc<Bed>>,
                   Path(id): Path<String>,
                   RawQuery(query): RawQuery| async move {
        reply(bed.nocache(&id, query.as_deref()))
    };
    let status = |State(bed): State<Arc<Bed>>,
                  Path(code): Path<String>,
                  RawQuery(query): RawQuery| async move {
        reply(bed.status(&code, query.as_deref()))
    };
    let multi = |State(bed): State<Arc<Bed>>, method: Method, RawQuery(query): RawQuery| async move {
        reply(bed.multi(method.as_str(), query.as_deref()))
    };
    let post_cached = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery, body: Bytes| async move {
        reply(bed.post_cached(&body, query.as_deref()))
    };
    let fail = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.fail(query.as_deref()))
    };
    let fail_once = |State(bed): State<Arc<Bed>>,
                     Path(id): Path<String>,
                     RawQuery(query): RawQuery| async move {
        reply(bed.fail_once(&id, query.as_deref()))
    };
    let panic = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.panic(query.as_deref()))
    };
    Ok(Router::new()
        .merge(cache.cached_route("/n/{id}", get(n), policies::plain())?)
        .route("/nocache/{id}", get(nocache))
        .merge(cache.cached_route("/status/{code}", any(status), policies::plain())?)
        .merge(cache.cached_route("/multi", any(multi), policies::plain())?)
        .merge(cache.cached_route("/post-cached", post(post_cached), policies::post_cached())?)
        .merge(cache.cached_route("/fail", get(fail), policies::plain())?)
        .merge(cache.cached_route("/fail-once/{id}", get(fail_once), policies::plain())?)
        .merge(cache.cached_route("/panic", get(panic), policies::plain())?))
}
