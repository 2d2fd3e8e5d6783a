//! The policy of every route: only what the contract's row says, over the application's.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use cache_core::key::query::QueryRule;
use cache_core::policy::setting::{
    Authorization, Coalesce, Cookies, Namespace, Statuses, Ttl, Weekday,
};
use cache_core::{Fields, Invalidation, Policy, RequestHead, When};
use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION};
use http::{Method, StatusCode};

use crate::routes::Search;

/// The namespace of `/users/{user_id}`.
pub const USERS: &str = "users";

/// A route that says nothing of its own.
pub fn plain() -> Policy {
    Policy::new()
}

/// `/q`: the query, declared as a type. One that is none of the type bypasses the cache.
pub fn q() -> Policy {
    Policy::new().query_declared::<Search>()
}

/// `/rawq-raw`.
pub fn rawq_raw() -> Policy {
    Policy::new().query(QueryRule::Raw)
}

/// `/rawq-only`.
pub fn rawq_only() -> Policy {
    Policy::new().query(QueryRule::Only(vec!["a".to_owned(), "b".to_owned()]))
}

/// `/rawq-except`.
pub fn rawq_except() -> Policy {
    Policy::new().query(QueryRule::Except(vec!["tracking".to_owned()]))
}

/// `/post-cached`.
pub fn post_cached() -> Policy {
    Policy::new().methods(&[Method::GET, Method::HEAD, Method::POST])
}

/// `/lang`.
pub fn lang() -> Policy {
    Policy::new().vary([ACCEPT_LANGUAGE.as_str()])
}

/// `/me`.
pub fn me() -> Policy {
    Policy::new().authorization(Authorization::Key)
}

/// `/feed`.
pub fn feed() -> Policy {
    Policy::new().condition(|head| !head.headers().contains_key(AUTHORIZATION))
}

/// `/open`.
pub fn open() -> Policy {
    Policy::new().authorization(Authorization::Public)
}

/// `/cookie-ignored`.
pub fn cookie_ignored() -> Policy {
    Policy::new().cookies(Cookies::Ignore)
}

/// `/cookie-keyed`.
pub fn cookie_keyed() -> Policy {
    Policy::new().cookies(Cookies::Key(vec!["lang".to_owned()]))
}

/// `/users/{user_id}`.
pub fn user() -> Policy {
    Policy::new()
        .key("user:{user_id}")
        .tags([USERS, "user:{user_id}"])
        .namespace(Namespace::new(USERS))
}

/// PUT `/users/{user_id}`: what its success invalidates.
pub fn user_written() -> Invalidation {
    Invalidation::new().tag("user:{user_id}")
}

/// The key name that PATCH `/users/{user_id}` invalidates in [`USERS`].
#[must_use]
pub fn user_key(user_id: &str) -> String {
    format!("user:{user_id}")
}

/// The tag that POST `/users/{user_id}/refresh` invalidates.
#[must_use]
pub fn user_tag(user_id: &str) -> String {
    format!("user:{user_id}")
}

/// `/profile`, behind a guard named `user` with a field `id`.
pub fn profile() -> Policy {
    Policy::new().key("profile.{user.id}").tag("user:{user.id}")
}

/// What `/profile` takes from its guard.
#[must_use]
pub fn user_fields(id: &str) -> Fields {
    Fields::from([("id", id)])
}

/// The function that `/fn` calls.
pub fn function() -> Policy {
    Policy::new()
}

/// `/redirect`.
pub fn redirect() -> Policy {
    Policy::new().statuses(Statuses::These(vec![StatusCode::TEMPORARY_REDIRECT]))
}

/// `/swr/{id}`.
pub fn swr() -> Policy {
    Policy::ttl(Duration::from_secs(1)).stale_while_revalidate(Duration::from_secs(30))
}

/// `/sie/{id}`.
pub fn sie() -> Policy {
    Policy::ttl(Duration::from_secs(1)).stale_if_error(Duration::from_secs(60))
}

/// `/nocoalesce/{ms}`.
pub fn nocoalesce() -> Policy {
    Policy::new().coalesce(Coalesce::Off)
}

/// `/cas/{reg}`.
pub fn cas() -> Policy {
    Policy::new().tag("cas:{reg}")
}

/// `/http/{*rest}`: the response's headers decide.
pub fn http() -> Policy {
    Policy::http()
}

/// `/more/key-fn`: a key made by a function, which fails without `x-tenant`.
pub fn key_fn() -> Policy {
    Policy::new().key_fn(|head| tenant(head).ok_or("no tenant"))
}

/// `/more/key-async`: the same from an asynchronous function.
pub fn key_async() -> Policy {
    Policy::new().key_async_fn(|head| {
        let tenant = tenant(head);
        async move {
            tokio::task::yield_now().await;
            tenant.map(|key| format!("async.{key}")).ok_or("no tenant")
        }
    })
}

fn tenant(head: &RequestHead<'_>) -> Option<String> {
    let tenant = head.headers().get("x-tenant")?.to_str().ok()?;
    Some(format!("tenant.{tenant}"))
}

/// `/more/shared-a/{id}` and `/more/shared-b/{id}`.
pub fn shared() -> Policy {
    Policy::new().key("shared:{id}")
}

/// The function that `/more/shared-fn/{id}` calls.
pub fn shared_function() -> Policy {
    Policy::new().key("shared:{0}")
}

/// `/more/store-if`: only what says `x-keep: 1` is stored.
pub fn store_if() -> Policy {
    Policy::new()
        .store_if(|_, response| response.headers().get("x-keep").is_some_and(|keep| keep == "1"))
}

/// `/more/replace/{id}`: a namespace in place of the application's.
pub fn replace() -> Policy {
    Policy::new().key("alone:{id}").namespace(Namespace::new("alone").replacing())
}

/// PUT `/more/write/keys/{user_id}`: a key in a namespace, and a tag.
pub fn write_keys() -> Invalidation {
    Invalidation::new().key("user:{user_id}").namespace(USERS).tag("item:{user_id}")
}

/// PUT `/more/write/{when}/{id}`.
pub fn write_item(when: When) -> Invalidation {
    Invalidation::new().tag("item:{id}").when(when)
}

/// PUT `/more/write-profile`, behind the guard of `/profile`.
pub fn write_profile() -> Invalidation {
    Invalidation::new().key("profile.{user.id}")
}

/// The function that POST `/more/write-fn/{id}` calls.
pub fn write_function() -> Invalidation {
    Invalidation::new().tag("item:{0}").key("shared:{0}")
}

/// `/ttl/{spec}`: `0`, `400ms`, `1s`, `day:ZONE`, `week:ZONE`, `fn:SECONDS` or `fn:fail`.
///
/// # Errors
///
/// A specification that is none, or a zone that does not exist.
pub fn ttl(spec: &str) -> Result<Policy, String> {
    let bad = || format!("{spec:?} is no specification");
    let policy = match spec.split_once(':') {
        Some(("day", zone)) => {
            Policy::new().lifetime(Ttl::EndOfDay { zone: Some(zone.to_owned()) })
        }
        Some(("week", zone)) => Policy::new().lifetime(Ttl::EndOfWeek {
            zone: Some(zone.to_owned()),
            first_day: Weekday::default(),
        }),
        Some(("fn", "fail")) => {
            Policy::new().ttl_fn(|_| async { Err(io::Error::other("this function always fails")) })
        }
        Some(("fn", seconds)) => {
            let life = Duration::from_secs(seconds.parse().map_err(|_| bad())?);
            Policy::new().ttl_fn(move |_| async move { Ok::<_, Infallible>(Ttl::For(life)) })
        }
        _ => Policy::new().lifetime(Ttl::For(fixed(spec).ok_or_else(bad)?)),
    };
    policy.build().map_err(|error| error.to_string())
}

/// The lives that `/ttl/{spec}` names without a calendar.
pub(crate) fn fixed(spec: &str) -> Option<Duration> {
    spec.parse::<cache_core::policy::Span>().ok().map(|span| span.0)
}
