//! `/admin/*`.

use std::sync::Arc;

use adapter_axum::Cache;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use testbed_common::admin::{self, Invalidate, Thought};
use testbed_common::answer::{self, Object};
use testbed_common::bed::Bed;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes() -> Router<App> {
    let counts = |State(bed): State<Arc<Bed>>| async move { reply(admin::counts(&bed)) };
    let stats = |State(cache): State<Cache>| async move { reply(admin::stats(&cache.stats())) };
    let keys = |State(app): State<App>| async move { reply(admin::keys(&app.store).await) };
    let invalidate = |State(cache): State<Cache>, body: Bytes| async move {
        match admin::read::<Invalidate>(&body) {
            Ok(what) => reply(what.answer(&cache).await),
            Err(refusal) => reply(refusal.answer()),
        }
    };
    let enable = |State(cache): State<Cache>, RawQuery(query): RawQuery| async move {
        switch(query.as_deref(), "on", |on| cache.set_enabled(on))
    };
    let origin = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        switch(query.as_deref(), "fail", |fails| bed.set_origin_fails(fails))
    };
    Router::new()
        .route("/admin/invalidate", post(invalidate))
        .route("/admin/enable", post(enable))
        .route("/admin/counts", get(counts))
        .route("/admin/keys", get(keys))
        .route("/admin/stats", get(stats))
        .route("/admin/explain", post(explain))
        .route("/admin/origin", post(origin))
}

fn switch(query: Option<&str>, name: &str, set: impl FnOnce(bool)) -> Response<Body> {
    match admin::switch(query, name) {
        Ok(on) => {
            set(on);
            reply(Object::new().field(name, &on).ok())
        }
        Err(problem) => reply(answer::error(StatusCode::BAD_REQUEST, problem)),
    }
}

async fn explain(State(app): State<App>, body: Bytes) -> Response<Body> {
    let thought: Thought = match admin::read(&body) {
        Ok(thought) => thought,
        Err(refusal) => return reply(refusal.answer()),
    };
    let request: Request = match thought.request() {
        Ok(request) => request.map(|()| Body::empty()),
        Err(error) => return reply(answer::error(StatusCode::BAD_REQUEST, error)),
    };
    let Some(router) = app.router.get() else {
        return reply(answer::error(StatusCode::SERVICE_UNAVAILABLE, "not started yet"));
    };
    let explanation = app.cache.explain(router.clone(), request).await;
    reply(admin::explained(explanation.as_ref()))
}
