//! Declarative invalidation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use adapter_axum::policy::setting::{Namespace, OnInvalidationError};
use adapter_axum::{Cache, Invalidation, Policy, When};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::{get, put};
use cache_memory::MemoryStore;
use http::StatusCode;
use tokio::sync::Notify;

use super::wire;

fn app(cache: &Cache, what: Invalidation, status: StatusCode) -> Router {
    let policy = Policy::ttl(Duration::from_secs(60))
        .key("user:{id}")
        .tag("user:{id}")
        .namespace(Namespace::new("users"));
    Router::new().route(
        "/u/{id}",
        get(|| async { "x" })
            .layer(cache.layer(policy).unwrap())
            .merge(put(move || async move { status }).layer(cache.invalidate_layer(what).unwrap())),
    )
}

async fn write(app: &Router) -> wire::Answer {
    wire::call(app, Request::put("/u/7").body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn c081_success_invalidates_by_tag_key_or_namespace_and_failure_does_not() {
    let ways = [
        Invalidation::new().tag("other").tag("user:{id}"),
        Invalidation::new().key("user:{id}").namespace("users"),
        Invalidation::new().namespace("users"),
    ];
    for what in ways {
        for (status, expected) in [(200, "MISS"), (303, "MISS"), (409, "HIT"), (500, "HIT")] {
            let cache = Cache::new(MemoryStore::new());
            let app = app(&cache, what.clone(), StatusCode::from_u16(status).unwrap());
            wire::get(&app, "/u/7").await;
            let answer = write(&app).await;
            assert_eq!(answer.status, status);
            assert_eq!(wire::get(&app, "/u/7").await.cache(), expected, "{status} {what:?}");
        }
    }
}

#[tokio::test]
async fn c081_a_key_template_reaches_a_target_however_it_is_spelled() {
    let cache = Cache::new(MemoryStore::new());
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60))).unwrap();
    let what = cache.invalidate_layer(Invalidation::new().key("/u/{name}")).unwrap();
    let route = get(|| async { "x" }).layer(layer).merge(put(|| async {}).layer(what));
    let app = Router::new().route("/u/{name}", route);
    for (asked, written) in [
        ("/u/jos%C3%A9", "/u/jos%c3%a9"),
        ("/u/a%20b", "/u/a%20b"),
        ("/u/%61", "/u/a"),
        ("/u/a+b", "/u/a%2Bb"),
        ("/u/%2541", "/u/%2541"),
        ("/u/x%3Fb%26a", "/u/x%3Fb%26a"),
    ] {
        wire::get(&app, asked).await;
        assert_eq!(wire::get(&app, asked).await.cache(), "HIT");
        wire::call(&app, Request::put(written).body(Body::empty()).unwrap()).await;
        assert_eq!(wire::get(&app, asked).await.cache(), "MISS", "{asked}");
    }
    for (asked, named) in [
        ("/u/ren%C3%A9e", "/u/renée"),
        ("/u/ren%C3%A9", "/u/ren%C3%A9"),
        ("/u/q?a=b+c&d=%C3%A9", "/u/q?d=é&a=b c"),
        ("/u/q?a=b+c&d=%C3%A9", "/u/q?a=b%20c&d=%c3%a9"),
    ] {
        wire::get(&app, asked).await;
        assert_eq!(cache.invalidate_keys([named]).await.unwrap().removed, 1, "{asked}");
    }
}

#[tokio::test]
async fn c081_before_invalidates_whatever_the_handler_says() {
    for when in [When::Before, When::Both] {
        let cache = Cache::new(MemoryStore::new());
        let app =
            app(&cache, Invalidation::new().tag("user:{id}").when(when), StatusCode::CONFLICT);
        wire::get(&app, "/u/7").await;
        write(&app).await;
        assert_eq!(wire::get(&app, "/u/7").await.cache(), "MISS");
    }
}

#[tokio::test]
async fn an_invalidation_that_cannot_be_is_told() {
    for (setting, status) in
        [(OnInvalidationError::Pass, 200), (OnInvalidationError::Unavailable, 503)]
    {
        let policy = Policy::new().on_invalidation_error(setting);
        let cache = Cache::from(Cache::builder(MemoryStore::new()).policy(policy).build().unwrap());
        let app = app(&cache, Invalidation::new().tag("{nope}"), StatusCode::OK);
        let answer = write(&app).await;
        assert_eq!(answer.status, status);
        assert!(answer.field("cache-status").contains("invalidation-failed"), "{answer:?}");
        assert_eq!(cache.stats().invalidation_errors, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c081_a_write_whose_client_leaves_still_invalidates() {
    let cache = Cache::new(MemoryStore::new());
    let (entered, go, done) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let handler = {
        let (entered, go, done) = (entered.clone(), go.clone(), done.clone());
        get(|| async { "x" }).layer(cache.layer(Policy::new().tag("t")).unwrap()).merge(
            put(move || async move {
                entered.notify_one();
                go.notified().await;
                done.store(true, Ordering::SeqCst);
            })
            .layer(cache.invalidate_layer(Invalidation::new().tag("t")).unwrap()),
        )
    };
    let app = Router::new().route("/w", handler);
    let address = wire::serve(app.clone()).await;
    wire::get(&app, "/w").await;
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"PUT /w HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut client, request).await.unwrap();
    entered.notified().await;
    drop(client);
    tokio::time::sleep(Duration::from_millis(50)).await;
    go.notify_one();
    while cache.stats().invalidations == 0 {
        tokio::task::yield_now().await;
    }
    assert!(done.load(Ordering::SeqCst));
    assert_eq!(cache.stats().removed, 1);
}
