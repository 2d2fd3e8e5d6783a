//! Routes about credentials, and routes behind guards.

use std::sync::Arc;

use adapter_axum::{Guarded, PolicyError};
use axum::Router;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::routing::{MethodRouter, get};
use testbed_common::bed::Bed;
use testbed_common::{policies, routes};

use crate::app::App;
use crate::reply::{Refused, field, reply};

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

/// `x-key: secret`.
#[derive(Clone, Copy, Debug)]
struct ApiKey;

impl<S: Sync> FromRequestParts<S> for ApiKey {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(routes::api_key(text(parts, "x-key")).map(|()| Self)?)
    }
}

/// `x-num: 5`. Only its validity matters: the handler does not see it.
#[derive(Clone, Copy, Debug)]
struct Number;

impl<S: Sync> FromRequestParts<S> for Number {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(routes::number(text(parts, "x-num")).map(|_| Self)?)
    }
}

/// `x-user: ada`.
#[derive(Clone, Debug)]
pub(super) struct User(pub(super) String);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Ok(routes::user(text(parts, "x-user")).map(Self)?)
    }
}

fn text<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    parts.headers.get(name)?.to_str().ok()
}
