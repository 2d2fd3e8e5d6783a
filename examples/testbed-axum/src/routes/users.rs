//! Routes that read and write users, and `/items`.

use std::sync::Arc;

use adapter_axum::{Cache, PolicyError, ResponseCache};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, patch, post, put};
use testbed_common::bed::Bed;
use testbed_common::{admin, answer, policies};

use crate::app::App;
use crate::reply::reply;

const USER: &str = "/users/{user_id}";

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let read = |State(bed): State<Arc<Bed>>, Path(id): Path<String>| async move {
        reply(bed.get_user(&id))
    };
    let write = |State(bed): State<Arc<Bed>>, Path(id): Path<String>, RawQuery(query): RawQuery| async move {
        reply(bed.put_user(&id, query.as_deref()))
    };
    let written = cache.invalidate_layer(policies::user_written().params(["user_id"]))?;
    Ok(Router::new()
        .merge(cache.cached_route(USER, get(read), policies::user())?)
        .route(USER, patch(change).merge(put(write).layer(written)))
        .route("/users/{user_id}/refresh", post(refresh))
        .merge(cache.cached_route("/items", get(items), policies::plain())?))
}

/// Sets the value, then invalidates the key. A handler is dropped when its client goes away; in a
/// task of its own the write never stays without its invalidation.
async fn change(
    State(bed): State<Arc<Bed>>,
    State(cache): State<Cache>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    if let Err(refusal) = bed.patch_user(&id, query.as_deref()) {
        return reply(refusal.answer());
    }
    let key = policies::user_key(&id);
    let work =
        tokio::spawn(async move { cache.namespace(policies::USERS).invalidate_keys([key]).await });
    match work.await {
        Ok(outcome) => reply(admin::invalidated(outcome)),
        Err(error) => reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}

async fn refresh(State(cache): State<Cache>, Path(id): Path<String>) -> Response<Body> {
    reply(admin::invalidated(cache.invalidate_tags([policies::user_tag(&id)]).await))
}

async fn items(
    State(bed): State<Arc<Bed>>,
    RawQuery(query): RawQuery,
    response: ResponseCache,
) -> Response<Body> {
    let (tags, items) = bed.items(query.as_deref());
    // An answer with a tag that cannot be is not stored; it is sent all the same.
    let _ = response.tags(tags);
    std::future::ready(reply(items)).await
}
