//! Where a layer may stand, and what the handler sees through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::{Cache, Policy, ResponseCache};
use axum::body::Body;
use axum::extract::{Extension, Path, Request};
use axum::routing::get;
use axum::{Router, middleware};
use cache_memory::MemoryStore;
use tower::{Layer as _, ServiceExt as _};

use super::wire;

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

fn counted(runs: &Arc<AtomicUsize>) -> axum::routing::MethodRouter {
    let runs = Arc::clone(runs);
    get(move || async move { format!("run {}", runs.fetch_add(1, Ordering::SeqCst) + 1) })
}

#[tokio::test]
async fn a_layer_works_on_a_route_a_router_and_around_the_application() {
    let cache = Cache::new(MemoryStore::new());
    let layer = || cache.layer(minute()).unwrap();
    let on_route = Router::new().route("/route", counted(&Arc::default()).layer(layer()));
    let on_router = Router::new().route("/router", counted(&Arc::default())).layer(layer());
    for (app, path) in [(on_route, "/route"), (on_router, "/router")] {
        assert_eq!(wire::get(&app, path).await.cache(), "MISS");
        let hit = wire::get(&app, path).await;
        assert_eq!((hit.cache(), hit.text()), ("HIT", "run 1"));
    }
    let around = layer().layer(Router::new().route("/around", counted(&Arc::default())));
    for expected in ["MISS", "HIT"] {
        let request = Request::get("/around").body(Body::empty()).unwrap();
        let answer = wire::take(around.clone().oneshot(request).await.unwrap()).await;
        assert_eq!((answer.cache(), answer.text()), (expected, "run 1"));
    }
}

#[tokio::test]
async fn two_nests_with_the_same_inner_path_never_share() {
    let cache = Cache::new(MemoryStore::new());
    let inner = |name: &'static str| {
        Router::new().route(
            "/{id}",
            get(move |Path(id): Path<String>| async move { format!("{name} {id}") })
                .layer(cache.layer(minute()).unwrap()),
        )
    };
    let app = Router::new().nest("/a", inner("a")).nest("/b", inner("b"));
    assert_eq!(wire::get(&app, "/a/1").await.text(), "a 1");
    assert_eq!(wire::get(&app, "/b/1").await.text(), "b 1");
    assert_eq!(wire::get(&app, "/a/1").await.cache(), "HIT");
}

#[tokio::test]
async fn extensions_reach_the_handler_untouched() {
    #[derive(Clone)]
    struct Tenant(&'static str);
    let cache = Cache::new(MemoryStore::new());
    let app = Router::new()
        .route("/t", get(|Extension(Tenant(name)): Extension<Tenant>| async move { name }))
        .layer(cache.layer(minute()).unwrap())
        .layer(middleware::from_fn(|mut request: Request, next: middleware::Next| async move {
            request.extensions_mut().insert(Tenant("acme"));
            next.run(request).await
        }));
    assert_eq!(wire::get(&app, "/t").await.text(), "acme");
}

#[tokio::test]
async fn a_path_that_is_known_is_checked_when_the_route_is_built() {
    let cache = Cache::new(MemoryStore::new());
    let route = |template| {
        cache.cached_route::<()>("/u/{user_id}", counted(&Arc::default()), minute().tag(template))
    };
    let error = route("user:{id}").unwrap_err().to_string();
    assert!(error.contains("`tags`") && error.contains("user:{id}"), "{error}");
    let app = route("user:{user_id}").unwrap();
    wire::get(&app, "/u/7").await;
    assert_eq!(cache.invalidate_tags(["user:7"]).await.unwrap().removed, 1);
}

#[tokio::test]
async fn an_unknown_placeholder_elsewhere_costs_the_storing_only() {
    let cache = Cache::new(MemoryStore::new());
    let layer = cache.layer(minute().tag("user:{nope}")).unwrap();
    let app = Router::new().route("/u", counted(&Arc::default()).layer(layer));
    for _ in 0..2 {
        let answer = wire::get(&app, "/u").await;
        assert_eq!((answer.status, answer.cache()), (200, ""));
        assert!(answer.field("cache-status").contains("unknown-placeholder"), "{answer:?}");
    }
}

#[tokio::test]
async fn handlers_find_the_cache_and_their_response() {
    let cache = Cache::new(MemoryStore::new());
    let app = Router::new()
        .route(
            "/r",
            get(|response: ResponseCache| async move {
                response.tag("run-time").unwrap();
                response.ttl(Duration::from_secs(7));
                "ok"
            })
            .layer(cache.layer(minute()).unwrap()),
        )
        .route(
            "/w",
            get(|cache: Cache| async move {
                cache.invalidate_tags(["run-time"]).await.unwrap().removed.to_string()
            }),
        )
        .layer(cache.extension());
    assert!(wire::get(&app, "/r").await.field("cache-status").contains("ttl=7"));
    assert_eq!(wire::get(&app, "/w").await.text(), "1");
    assert_eq!(wire::get(&app, "/r").await.cache(), "MISS");
    let plain = Router::new().route("/w", get(|_: Cache| async {}));
    assert_eq!(wire::get(&plain, "/w").await.status, 500);
}

#[tokio::test]
async fn a_handler_may_take_the_cache_as_an_extension_of_the_application() {
    let cache = Cache::new(MemoryStore::new());
    let read = |Extension(_): Extension<Cache>| async { "read" };
    let write = |Extension(cache): Extension<Cache>| async move {
        cache.invalidate_tags(["t"]).await.unwrap().removed.to_string()
    };
    let route = get(read).post(write).layer(cache.layer(minute().tag("t")).unwrap());
    let app = Router::new().route("/r", route).layer(cache.extension());
    for expected in ["MISS", "HIT"] {
        let answer = wire::get(&app, "/r").await;
        assert_eq!((answer.status, answer.cache(), answer.text()), (200, expected, "read"));
    }
    let post = Request::post("/r").body(Body::empty()).unwrap();
    let written = wire::take(app.clone().oneshot(post).await.unwrap()).await;
    assert_eq!((written.status, written.text()), (200, "1"));
}

#[tokio::test]
async fn explain_tells_without_running() {
    let cache = Cache::new(MemoryStore::new());
    let runs = Arc::default();
    let app = Router::new().route("/e", counted(&runs).layer(cache.layer(minute()).unwrap()));
    let ask = || Request::get("/e").body(Body::empty()).unwrap();
    let before = cache.explain(app.clone(), ask()).await.unwrap();
    assert_eq!(before.decisions.last().unwrap().outcome, "miss; absent");
    assert_eq!(runs.load(Ordering::SeqCst), 0);
    wire::get(&app, "/e").await;
    let after = cache.explain(app.clone(), ask()).await.unwrap();
    assert!(after.decisions.last().unwrap().outcome.starts_with("hit"));
    assert!(cache.explain(Router::new(), ask()).await.is_none());
}

#[tokio::test]
async fn c097_caches_in_one_process_are_independent() {
    let (one, two) = (Cache::new(MemoryStore::new()), Cache::new(MemoryStore::new()));
    let app = Router::new()
        .route("/one", counted(&Arc::default()).layer(one.layer(minute()).unwrap()))
        .route("/two", counted(&Arc::default()).layer(two.layer(minute()).unwrap()));
    wire::get(&app, "/one").await;
    wire::get(&app, "/two").await;
    assert_eq!(one.clear().await.unwrap().removed, 1);
    assert_eq!(wire::get(&app, "/two").await.cache(), "HIT");
}

#[tokio::test]
async fn c094_the_switch_works_at_run_time() {
    let cache = Cache::new(MemoryStore::new());
    let app =
        Router::new().route("/s", counted(&Arc::default()).layer(cache.layer(minute()).unwrap()));
    wire::get(&app, "/s").await;
    cache.set_enabled(false);
    let off = wire::get(&app, "/s").await;
    assert_eq!((off.text(), off.cache()), ("run 2", ""));
    cache.set_enabled(true);
    assert_eq!(wire::get(&app, "/s").await.text(), "run 1");
}
