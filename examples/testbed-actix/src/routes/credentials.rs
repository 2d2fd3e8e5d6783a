//! Routes about credentials, and routes behind guards.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, COOKIE};
use actix_web::web::{self, Data};
use actix_web::{FromRequest, HttpRequest, Resource};
use adapter_actix::{Cache, Guarded, PolicyError};
use testbed_common::bed::Bed;
use testbed_common::{policies, routes};

use super::read;
use crate::app::Mount;
use crate::reply::{RawQuery, Refused, field, reply};

pub(crate) fn routes(cache: &Cache) -> Result<Mount, PolicyError> {
    let authorized =
        [("/me", policies::me()), ("/feed", policies::feed()), ("/open", policies::open())];
    let cookies = [
        ("/cookie", policies::plain()),
        ("/cookie-ignored", policies::cookie_ignored()),
        ("/cookie-keyed", policies::cookie_keyed()),
    ];
    let mut authorization = Vec::new();
    for (route, policy) in authorized {
        authorization.push(cache.cached_resource(route, move |r| echo_auth(r, route), policy)?);
    }
    let mut cookie = Vec::new();
    for (route, policy) in cookies {
        cookie.push(cache.cached_resource(route, move |r| echo_cookie(r, route), policy)?);
    }
    let key = cache.layer(policies::plain())?.guard::<ApiKey>();
    let number = cache.layer(policies::plain())?.guard::<Number>();
    let user = cache
        .layer(policies::profile())?
        .guard_as("user", |user: &User| policies::user_fields(&user.0));
    let profile =
        |bed: Data<Bed>, Guarded(user): Guarded<User>| async move { reply(bed.profile(&user.0)) };
    Ok(Box::new(move |app| {
        for resource in &authorization {
            app.service(resource.clone());
        }
        for resource in &cookie {
            app.service(resource.clone());
        }
        app.service(guarded("/guarded").wrap(key.clone()))
            .service(guarded("/guarded-typed").wrap(number.clone()))
            .service(web::resource("/profile").route(read().to(profile)).wrap(user.clone()));
    }))
}

/// Echoes `Authorization`.
fn echo_auth(resource: Resource, route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, query: RawQuery, request: HttpRequest| async move {
        let seen = field(request.headers(), AUTHORIZATION);
        reply(bed.auth(route, seen.as_deref(), query.get()))
    };
    resource.route(read().to(handler))
}

/// Echoes `Cookie`.
fn echo_cookie(resource: Resource, route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, query: RawQuery, request: HttpRequest| async move {
        let seen = field(request.headers(), COOKIE);
        reply(bed.cookie(route, seen.as_deref(), query.get()))
    };
    resource.route(read().to(handler))
}

fn guarded(route: &'static str) -> Resource {
    let handler = move |bed: Data<Bed>, query: RawQuery| async move {
        reply(bed.guarded(route, query.get()))
    };
    web::resource(route).route(read().to(handler))
}

/// `x-key: secret`.
#[derive(Clone, Copy, Debug)]
struct ApiKey;

impl FromRequest for ApiKey {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(routes::api_key(text(req, "x-key")).map(|()| Self).map_err(Refused::from))
    }
}

/// `x-num: 5`. Only its validity matters: the handler does not see it.
#[derive(Clone, Copy, Debug)]
struct Number;

impl FromRequest for Number {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(routes::number(text(req, "x-num")).map(|_| Self).map_err(Refused::from))
    }
}

/// `x-user: ada`.
#[derive(Clone, Debug)]
pub(super) struct User(pub(super) String);

impl FromRequest for User {
    type Error = Refused;
    type Future = Ready<Result<Self, Refused>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(routes::user(text(req, "x-user")).map(Self).map_err(Refused::from))
    }
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}
