//! Routes about credentials, and routes behind guards.

use std::sync::Arc;

use adapter_axum::{Guarded, PolicyError};
use axum::Router;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{MethodRouter, get};
use testbed_common::bed::Bed;
use testbed_common::policies;

use crate::app::App;
use crate::reply::{field, reply};

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let authorized =
        [("/me", policies::me()), ("/feed", policies::feed()), ("/open", policies::open())];
    let cookies = [
        ("/cookie", policies::plain()),
        ("/cookie-ignored", policies::cookie_ignored()),
        ("/cookie-keyed", policies::cookie_keyed()),
    ];
    let mut router = Router::new();
    for (route, policy) in authorized {
        router = router.merge(cache.cached_route(route, authorization(route), policy)?);
    }
    for (route, policy) in cookies {
        router = router.merge(cache.cached_route(route, cookie(route), policy)?);
    }
    let key = cache.layer(policies::plain())?.guard::<ApiKey>();
    let number = cache.layer(policies::plain())?.guard::<Number>();
    let user = cache
        .layer(policies::profile())?
        .guard_as("user", |user: &User| policies::user_fields(&user.0));
    let profile = |State(bed): State<Arc<Bed>>, Guarded(user): Guarded<User>| async move {
        reply(bed.profile(&user.0))
    };
    Ok(router
        .route("/guarded", guarded("/guarded").layer(key))
        .route("/guarded-typed", guarded("/guarded-typed").layer(number))
        .route("/profile", get(profile).layer(user)))
}

/// Echoes `Authorization`.
fn authorization(route: &'static str) -> MethodRouter<App> {
    get(
        move |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery, headers: HeaderMap| async move {
            let seen = field(&headers, AUTHORIZATION);
            reply(bed.auth(route, seen.as_deref(), query.as_deref()))
        },
    )
}

/// Echoes `Cookie`.
fn cookie(route: &'static str) -> MethodRouter<App> {
    get(
        move |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery, headers: HeaderMap| async move {
            let seen = field(&headers, COOKIE);
            reply(bed.cookie(route, seen.as_deref(), query.as_deref()))
        },
    )
}

fn guarded(route: &'static str) -> MethodRouter<App> {
    get(move |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.guarded(route, query.as_deref()))
    })
}

/// `x-key: secret`, else 401.
#[derive(Clone, Copy, Debug)]
struct ApiKey;

impl<S: Sync> FromRequestParts<S> for ApiKey {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        match parts.headers.get("x-key") {
            Some(key) if key == "secret" => Ok(Self),
            _ => Err((StatusCode::UNAUTHORIZED, "this needs a key")),
        }
    }
}

/// `x-num: 5`, else 400. Only its validity matters: the handler does not see it.
#[derive(Clone, Copy, Debug)]
struct Number;

impl<S: Sync> FromRequestParts<S> for Number {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let text = parts.headers.get("x-num").and_then(|number| number.to_str().ok());
        match text.map(str::parse::<i64>) {
            Some(Ok(_)) => Ok(Self),
            _ => Err((StatusCode::BAD_REQUEST, "x-num must be an integer")),
        }
    }
}

/// `x-user: ada`, else 401.
#[derive(Clone, Debug)]
struct User(String);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let name = parts.headers.get("x-user").and_then(|user| user.to_str().ok());
        match name.filter(|name| !name.is_empty()) {
            Some(name) => Ok(Self(name.to_owned())),
            None => Err((StatusCode::UNAUTHORIZED, "this needs a user")),
        }
    }
}
