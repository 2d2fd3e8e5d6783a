//! What is stored and replayed, and what never is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::policy::setting::{Cookies, Downstream, SetCookie};
use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use bytes::Bytes;
use cache_core::clock::ManualClock;
use cache_memory::MemoryStore;

use super::wire;

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

fn answering<R>(policy: Policy, answer: impl Fn() -> R + Clone + Send + Sync + 'static) -> Router
where
    R: IntoResponse + 'static,
{
    let cache = Cache::new(MemoryStore::new());
    let handler = get(move || {
        let answer = answer.clone();
        async move { answer() }
    });
    Router::new().route("/x", handler.layer(cache.layer(policy).unwrap()))
}

#[tokio::test]
async fn c023_c024_status_and_repeated_fields_are_replayed_in_order() {
    let app = answering(minute(), || {
        (
            http::StatusCode::CREATED,
            AppendHeaders([("x-a", "1"), ("x-b", "2"), ("x-a", "3")]),
            vec![0_u8, 255],
        )
    });
    for expected in ["MISS", "HIT"] {
        let answer = wire::get(&app, "/x").await;
        assert_eq!((answer.status, answer.cache()), (201, expected));
        let values: Vec<_> = answer.headers.get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "3"]);
        assert_eq!(answer.body, [0, 255]);
    }
}

#[tokio::test]
async fn c005_c020_c022_c059_c066_what_is_not_stored_says_why() {
    type Fields = &'static [(&'static str, &'static str)];
    let cases: [(u16, Fields, &str); 10] = [
        (500, &[], "status"),
        (206, &[("content-range", "bytes 0-0/2")], "status"),
        (200, &[("content-range", "bytes 0-0/2")], "content-range"),
        (200, &[("cache-control", "No-Store")], "no-store"),
        (200, &[("cache-control", "a=\"b, c\", private=\"x\"")], "private"),
        (200, &[("cache-control", "no-cache")], "no-cache"),
        (200, &[("set-cookie", "a=b")], "set-cookie"),
        (200, &[("vary", "accept, *")], "vary"),
        (200, &[("content-type", "text/event-stream;charset=utf-8")], "event-stream"),
        (301, &[], "status"),
    ];
    for (status, fields, reason) in cases {
        let app = answering(minute(), move || {
            (http::StatusCode::from_u16(status).unwrap(), AppendHeaders(fields.to_vec()), "x")
        });
        for _ in 0..2 {
            let answer = wire::get(&app, "/x").await;
            assert_eq!((answer.status, answer.cache()), (status, ""), "{fields:?}");
            let wanted = format!("; fwd=uri-miss; fwd-status={status}; detail={reason}");
            assert!(answer.field("cache-status").ends_with(&wanted), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn c067_credentials_bypass_by_default() {
    let app = answering(minute(), || "x");
    wire::get(&app, "/x").await;
    for (name, reason) in [("authorization", "authorization"), ("cookie", "cookie")] {
        let answer = wire::get_with(&app, "/x", &[(name, "a=b")]).await;
        assert_eq!(answer.cache(), "");
        let wanted = format!("; fwd=bypass; detail={reason}");
        assert!(answer.field("cache-status").ends_with(&wanted), "{answer:?}");
    }
}

#[tokio::test]
async fn cookies_that_do_not_matter_are_not_seen_by_the_handler() {
    let seen = |headers: HeaderMap| async move {
        headers.get("cookie").map_or_else(|| "none".to_owned(), |c| c.to_str().unwrap().to_owned())
    };
    let cache = Cache::new(MemoryStore::new());
    let layer = |cookies| cache.layer(minute().cookies(cookies)).unwrap();
    let app = Router::new()
        .route("/ignored", get(seen).layer(layer(Cookies::Ignore)))
        .route("/keyed", get(seen).layer(layer(Cookies::Key(vec!["lang".into()]))));
    let app = &app;
    let ask = |path, cookie| async move { wire::get_with(app, path, &[("cookie", cookie)]).await };
    assert_eq!(ask("/ignored", "sid=1").await.text(), "none");
    assert_eq!(ask("/ignored", "sid=2").await.cache(), "HIT");
    assert_eq!(ask("/keyed", "sid=1; lang=de").await.text(), "lang=de");
    assert_eq!(ask("/keyed", "sid=2; lang=de").await.cache(), "HIT");
    assert_eq!(ask("/keyed", "sid=2; lang=en").await.text(), "lang=en");
}

#[tokio::test]
async fn set_cookie_is_stripped_from_the_stored_copy_only() {
    let app = answering(minute().set_cookie(SetCookie::Strip), || ([("set-cookie", "a=b")], "x"));
    assert_eq!(wire::get(&app, "/x").await.field("set-cookie"), "a=b");
    let hit = wire::get(&app, "/x").await;
    assert_eq!((hit.cache(), hit.field("set-cookie")), ("HIT", ""));
}

#[tokio::test]
async fn a_client_gets_its_cookie_whatever_it_has_already() {
    for rule in [SetCookie::Refuse, SetCookie::Strip] {
        let answer = || ([("etag", "\"a\""), ("set-cookie", "csrf=1")], "form");
        let app = answering(minute().set_cookie(rule), answer);
        let own = wire::get_with(&app, "/x", &[("if-none-match", "\"a\"")]).await;
        assert_eq!((own.status, own.field("set-cookie"), own.text()), (200, "csrf=1", "form"));
    }
}

#[tokio::test]
async fn hop_by_hop_fields_are_not_replayed() {
    let app =
        answering(minute(), || ([("connection", "x-mine"), ("x-mine", "1"), ("x-kept", "1")], "x"));
    wire::get(&app, "/x").await;
    let hit = wire::get(&app, "/x").await;
    assert_eq!((hit.field("connection"), hit.field("x-mine"), hit.field("x-kept")), ("", "", "1"));
}

#[tokio::test]
async fn c051_c055_conditional_requests_on_hit_and_miss() {
    let cookie = || ([("last-modified", "Mon, 02 Jan 2023 00:00:00 GMT"), ("x-a", "1")], "body");
    let app = answering(minute(), cookie);
    let etag = wire::get(&app, "/x").await.field("etag").to_owned();
    for fields in [
        [("if-none-match", etag.as_str())],
        [("if-none-match", "\"other\", *")],
        [("if-modified-since", "Tue, 03 Jan 2023 00:00:00 GMT")],
    ] {
        let answer = wire::get_with(&app, "/x", &fields).await;
        let star = fields[0].1.ends_with('*');
        assert_eq!(answer.status, if star { 200 } else { 304 }, "{fields:?}");
        if !star {
            assert_eq!(answer.body.len(), 0);
            assert_eq!(answer.field("content-length"), "", "{answer:?}");
            assert_eq!((answer.field("etag"), answer.field("x-a")), (etag.as_str(), "1"));
            assert_eq!(answer.field("content-type"), "");
        }
    }
    let fresh = answering(minute(), cookie);
    let miss = wire::get_with(&fresh, "/x", &[("if-none-match", &etag)]).await;
    assert_eq!((miss.status, miss.cache(), miss.field("content-length")), (304, "MISS", ""));
    assert_eq!(wire::get(&fresh, "/x").await.text(), "body");
    // HEAD is asked the same way.
    let unasked = answering(minute(), cookie);
    let since = ("if-modified-since", "Tue, 03 Jan 2023 00:00:00 GMT");
    for expected in ["MISS", "HIT"] {
        let request = Request::head("/x").header(since.0, since.1).body(Body::empty()).unwrap();
        let answer = wire::call(&unasked, request).await;
        assert_eq!((answer.status, answer.cache()), (304, expected));
    }
}

#[tokio::test]
async fn c060_c064_downstream_and_age_follow_the_clock() {
    let clock = Arc::new(ManualClock::default());
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let cache = Cache::from(Cache::builder(store).clock(clock.clone()).build().unwrap());
    let layer = cache.layer(minute().downstream(Downstream::MaxAgeRemaining)).unwrap();
    let app = Router::new().route("/x", get(|| async { "x" }).layer(layer));
    assert_eq!(wire::get(&app, "/x").await.field("cache-control"), "max-age=60");
    clock.advance(Duration::from_secs(20));
    let hit = wire::get(&app, "/x").await;
    assert_eq!((hit.field("cache-control"), hit.field("age")), ("max-age=40", "20"));
    clock.advance(Duration::from_secs(40));
    assert_eq!(wire::get(&app, "/x").await.cache(), "MISS");
}

#[tokio::test]
async fn c101_stale_answers_are_refreshed_or_stand_in_for_errors() {
    let clock = Arc::new(ManualClock::default());
    let store = MemoryStore::builder().clock(clock.clone()).build().unwrap();
    let cache = Cache::from(Cache::builder(store).clock(clock.clone()).build().unwrap());
    let (runs, fail) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let handler = || {
        let (runs, fail) = (runs.clone(), fail.clone());
        get(move || async move {
            let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
            assert!(run != 13, "an unlucky handler");
            let bad = fail.load(Ordering::SeqCst);
            let status = if bad { http::StatusCode::BAD_GATEWAY } else { http::StatusCode::OK };
            (status, format!("run {run}"))
        })
    };
    let second = Policy::ttl(Duration::from_secs(1));
    let swr = second.clone().stale_while_revalidate(Duration::from_secs(30));
    let sie = second.stale_if_error(Duration::from_secs(60));
    let app = Router::new()
        .route("/swr", handler().layer(cache.layer(swr).unwrap()))
        .route("/sie", handler().layer(cache.layer(sie).unwrap()));

    wire::get(&app, "/swr").await;
    clock.advance(Duration::from_secs(2));
    let stale = wire::get(&app, "/swr").await;
    assert_eq!((stale.text(), stale.cache(), stale.field("age")), ("run 1", "HIT", "2"));
    assert!(stale.field("cache-status").contains("detail=stale-while-revalidate"), "{stale:?}");
    while cache.stats().stored < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(wire::get(&app, "/swr").await.text(), "run 2");

    assert_eq!(wire::get(&app, "/sie").await.text(), "run 3");
    fail.store(true, Ordering::SeqCst);
    clock.advance(Duration::from_secs(5));
    let stale = wire::get(&app, "/sie").await;
    assert_eq!((stale.status, stale.text(), stale.cache()), (200, "run 3", "HIT"));
    runs.store(12, Ordering::SeqCst);
    assert_eq!(wire::get(&app, "/sie").await.text(), "run 3", "a panic counts as an error");
    clock.advance(Duration::from_secs(100));
    assert_eq!(wire::get(&app, "/sie").await.status, 502);
}

/// A buffer that tells whether somebody still holds a part of it.
struct Held(Arc<Vec<u8>>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[tokio::test]
async fn c100_a_small_entry_does_not_keep_the_large_buffer_it_was_cut_from() {
    let buffer = Arc::new(vec![b'x'; 1 << 20]);
    let whole = Arc::clone(&buffer);
    let part = move || Bytes::from_owner(Held(Arc::clone(&whole))).slice(..10);
    let app = answering(minute(), part);
    let before = Arc::strong_count(&buffer);
    assert_eq!(wire::get(&app, "/x").await.cache(), "MISS");
    assert_eq!(Arc::strong_count(&buffer), before);
    assert_eq!(wire::get(&app, "/x").await.text(), "x".repeat(10));
}

#[tokio::test]
async fn c100_a_stored_entry_does_not_alias_a_live_response() {
    let app = answering(minute(), || "x");
    wire::get(&app, "/x").await;
    let mut hit = wire::get(&app, "/x").await;
    hit.headers.insert("x-changed", "1".parse().unwrap());
    assert_eq!(wire::get(&app, "/x").await.field("x-changed"), "");
}

#[tokio::test]
async fn c036_a_declared_query_without_parameters_is_invalidated_by_the_path() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Search {
        q: Option<String>,
    }
    let cache = Cache::new(MemoryStore::new());
    let layer = cache.layer(minute().query_declared::<Search>()).unwrap();
    let app = Router::new().route("/x", get(|| async { "x" }).layer(layer));
    for (asked, named) in [("/x", "/x"), ("/x?other=1", "/x"), ("/x?q=1&other=2", "/x?q=1")] {
        assert_eq!(wire::get(&app, asked).await.cache(), "MISS");
        assert_eq!(wire::get(&app, asked).await.cache(), "HIT");
        let done = cache.invalidate_keys([named]).await.unwrap();
        assert_eq!((done.removed, wire::get(&app, asked).await.cache()), (1, "MISS"), "{asked}");
        cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn c036_a_declared_query_is_normalised() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Search {
        a: String,
        #[serde(default = "five")]
        n: u32,
        #[serde(default)]
        tag: Vec<String>,
    }
    fn five() -> u32 {
        5
    }
    let app = answering(minute().query_declared::<Search>(), || "x");
    assert_eq!(wire::get(&app, "/x?a=1").await.cache(), "MISS");
    for same in ["/x?n=5&a=1", "/x?a=%31&other=9", "/x?n=05&a=1"] {
        assert_eq!(wire::get(&app, same).await.cache(), "HIT", "{same}");
    }
    for other in
        ["/x?a=2", "/x?a=1&n=6", "/x?a=1&tag=p", "/x?a=1&tag=p&tag=q", "/x?a=1&tag=q&tag=p"]
    {
        assert_eq!(wire::get(&app, other).await.cache(), "MISS", "{other}");
    }
    let bad = wire::get(&app, "/x?n=many").await;
    assert!(bad.field("cache-status").ends_with("fwd=bypass; detail=query"), "{bad:?}");
}
