//! Routes beyond the contract.

use std::sync::Arc;

use adapter_axum::{Cache, PolicyError, ResponseCache, When};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{MethodRouter, get, post, put};
use testbed_common::bed::Bed;
use testbed_common::routes::More;
use testbed_common::{admin, answer, policies};

use super::credentials::User;
use crate::app::App;
use crate::reply::{field, reply};

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let other = Cache::from(app.more.other.clone());
    let table = [
        (cache, "/more/shared-a/{id}", policies::shared()),
        (cache, "/more/shared-b/{id}", policies::shared()),
        (cache, "/more/replace/{id}", policies::replace()),
        (&other, "/more/other/{id}", policies::plain()),
    ];
    let store_if = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.store_if(query.as_deref()))
    };
    let wish = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery, response: ResponseCache| async move {
        reply(bed.wish(&response, query.as_deref()))
    };
    let shared_fn = |State(app): State<App>, Path(id): Path<String>| async move {
        reply(app.bed.shared_function(&app.more, &id).await)
    };
    let codec = |State(app): State<App>, RawQuery(query): RawQuery| async move {
        reply(app.bed.codec(&app.more, query.as_deref()).await)
    };
    let write_fn = |State(app): State<App>, Path(id): Path<String>, RawQuery(query): RawQuery| async move {
        reply(app.bed.write_function(&app.more, &id, query.as_deref()).await)
    };
    let clear_other = |State(more): State<Arc<More>>| async move {
        reply(admin::invalidated(more.other.clear().await))
    };
    let keys = cache.invalidate_layer(policies::write_keys().params(["user_id"]))?;
    let before = cache.invalidate_layer(policies::write_item(When::Before).params(["id"]))?;
    let both = cache.invalidate_layer(policies::write_item(When::Both).params(["id"]))?;
    let profile = cache
        .invalidate_layer(policies::write_profile())?
        .guard_as("user", |user: &User| policies::user_fields(&user.0));
    let router = Router::new()
        .merge(cache.cached_route("/more/key-fn", tenant("/more/key-fn"), policies::key_fn())?)
        .merge(cache.cached_route(
            "/more/key-async",
            tenant("/more/key-async"),
            policies::key_async(),
        )?)
        .merge(cache.cached_route("/more/store-if", get(store_if), policies::store_if())?)
        .merge(cache.cached_route("/more/wish", get(wish), policies::plain())?)
        .merge(cache.cached_route("/more/blocking/{ms}", get(blocking), policies::plain())?)
        .route("/more/shared-fn/{id}", get(shared_fn))
        .route("/more/codec", get(codec))
        .route("/more/other-clear", post(clear_other))
        .route("/more/write/keys/{user_id}", put(write).layer(keys))
        .route("/more/write/before/{id}", put(write).layer(before))
        .route("/more/write/both/{id}", put(write).layer(both))
        .route("/more/write-profile", put(write).layer(profile))
        .route("/more/write-fn/{id}", post(write_fn));
    table.into_iter().try_fold(router, |router, (cache, route, policy)| {
        let handler = move |State(bed): State<Arc<Bed>>, Path(id): Path<String>| async move {
            reply(bed.one(route, &id))
        };
        Ok(router.merge(cache.cached_route(route, get(handler), policy)?))
    })
}

fn tenant(route: &'static str) -> MethodRouter<App> {
    get(move |State(bed): State<Arc<Bed>>, headers: HeaderMap| async move {
        let tenant = field(&headers, HeaderName::from_static("x-tenant"));
        reply(bed.tenant(route, tenant.as_deref()))
    })
}

/// Blocking work belongs on a thread for it, with a cache as without.
async fn blocking(
    State(bed): State<Arc<Bed>>,
    Path(ms): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let work = tokio::task::spawn_blocking(move || bed.blocking(&ms, query.as_deref()));
    match work.await {
        Ok(answer) => reply(answer),
        Err(error) => reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}

async fn write(State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery) -> Response<Body> {
    reply(bed.write(query.as_deref()).await)
}
