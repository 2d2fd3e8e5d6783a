//! Guards run before the lookup, for every request, once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::policy::setting::Downstream;
use adapter_axum::{Cache, Guarded, Policy};
use axum::Router;
use axum::extract::FromRequestParts;
use axum::routing::get;
use cache_memory::MemoryStore;
use http::StatusCode;
use http::request::Parts;

use super::wire;

static CHECKS: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone)]
struct User {
    id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, StatusCode> {
        CHECKS.fetch_add(1, Ordering::SeqCst);
        let id = parts.headers.get("x-user").and_then(|value| value.to_str().ok());
        id.map(|id| Self { id: id.to_owned() }).ok_or(StatusCode::UNAUTHORIZED)
    }
}

#[tokio::test]
async fn c069_c070_c042_guards_reject_key_and_tag() {
    let cache = Cache::new(MemoryStore::new());
    let policy =
        Policy::ttl(Duration::from_secs(60)).key("profile.{user.id}").tag("user:{user.id}");
    let layer =
        cache.layer(policy).unwrap().guard_as("user", |user: &User| [("id", user.id.clone())]);
    let app = Router::new()
        .route("/profile", get(|Guarded(user): Guarded<User>| async move { user.id }).layer(layer));
    for (user, expected) in [("ann", "MISS"), ("ann", "HIT"), ("bob", "MISS")] {
        let answer = wire::get_with(&app, "/profile", &[("x-user", user)]).await;
        assert_eq!((answer.text(), answer.cache()), (user, expected));
    }
    assert_eq!(CHECKS.load(Ordering::SeqCst), 3, "once per request, hit or miss");
    assert_eq!(wire::get(&app, "/profile").await.status, 401);
    assert_eq!(cache.invalidate_keys(["profile.bob"]).await.unwrap().removed, 1);
    assert_eq!(cache.invalidate_tags(["user:ann"]).await.unwrap().removed, 1);
}

#[tokio::test]
async fn what_a_guard_has_let_through_is_private_to_caches_behind() {
    let cache = Cache::new(MemoryStore::new());
    let policy = || Policy::ttl(Duration::from_secs(60)).downstream(Downstream::MaxAgeRemaining);
    let guarded = cache.layer(policy()).unwrap().guard_as("user", |user: &User| user.id.clone());
    let open = cache.layer(policy()).unwrap();
    let app = Router::new()
        .route("/mine", get(|Guarded(user): Guarded<User>| async move { user.id }).layer(guarded))
        .route("/open", get(|| async { "all" }).layer(open));
    for expected in ["MISS", "HIT"] {
        for (path, said) in [("/mine", "private, max-age=60"), ("/open", "max-age=60")] {
            let answer = wire::get_with(&app, path, &[("x-user", "ann")]).await;
            assert_eq!((answer.cache(), answer.field("cache-control")), (expected, said));
        }
    }
}

#[tokio::test]
async fn a_key_template_over_an_absent_value_shares_nothing() {
    let cache = Cache::new(MemoryStore::new());
    let layer = cache
        .layer(Policy::ttl(Duration::from_secs(60)).key("p.{user.id}"))
        .unwrap()
        .guard_as("user", |_: &http::HeaderMap| {
            Vec::<(String, String)>::new().into_iter().collect::<adapter_axum::Fields>()
        });
    let app = Router::new().route("/p", get(|| async { "x" }).layer(layer));
    for _ in 0..2 {
        let answer = wire::get(&app, "/p").await;
        assert_eq!((answer.status, answer.cache()), (200, ""));
        assert!(answer.field("cache-status").contains("fwd=bypass"), "{answer:?}");
    }
}
