//! Routes where time matters.

use std::sync::Arc;

use adapter_axum::{Cache, PolicyError};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{Response, StatusCode};
use axum::routing::{MethodRouter, get};
use testbed_common::bed::Bed;
use testbed_common::{answer, policies};
use tower::ServiceExt as _;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    Ok(Router::new()
        .merge(cache.cached_route("/slow/{ms}", slow("/slow/{ms}"), policies::plain())?)
        .merge(cache.cached_route(
            "/nocoalesce/{ms}",
            slow("/nocoalesce/{ms}"),
            policies::nocoalesce(),
        )?)
        .merge(cache.cached_route("/swr/{id}", origin("/swr/{id}"), policies::swr())?)
        .merge(cache.cached_route("/sie/{id}", origin("/sie/{id}"), policies::sie())?)
        .route("/ttl/{spec}", get(ttl)))
}

fn slow(route: &'static str) -> MethodRouter<App> {
    get(
        move |State(bed): State<Arc<Bed>>, Path(ms): Path<String>, RawQuery(query): RawQuery| async move {
            reply(bed.slow(route, &ms, query.as_deref()).await)
        },
    )
}

fn origin(route: &'static str) -> MethodRouter<App> {
    get(
        move |State(bed): State<Arc<Bed>>, Path(id): Path<String>, RawQuery(query): RawQuery| async move {
            reply(bed.origin(route, &id, query.as_deref()))
        },
    )
}

/// A layer is cheap to make: here each request gets one of its own, after its path.
async fn ttl(
    State(bed): State<Arc<Bed>>,
    State(cache): State<Cache>,
    Path(spec): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response<Body> {
    let policy = match policies::ttl(&spec) {
        Ok(policy) => policy,
        Err(error) => return reply(answer::error(StatusCode::BAD_REQUEST, error)),
    };
    let layer = match cache.layer(policy) {
        Ok(layer) => layer,
        Err(error) => return reply(answer::error(StatusCode::BAD_REQUEST, error)),
    };
    let handler = get(move || async move { reply(bed.ttl(&spec, query.as_deref())) });
    let served = handler.layer::<_, std::convert::Infallible>(layer).oneshot(request).await;
    served.unwrap_or_else(|never| match never {})
}
