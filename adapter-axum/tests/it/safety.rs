//! Ways in which a cache could make an application worse, or talk out of turn.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::policy::setting::{Cookies, Downstream, SetCookie, Statuses};
use adapter_axum::{Cache, Invalidation, Policy, ResponseCache};
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::{get, put};
use axum::{Extension, Router};
use bytes::Bytes;
use cache_core::clock::ManualClock;
use cache_memory::MemoryStore;
use futures_util::stream::{self, StreamExt as _};
use tower::{Layer as _, ServiceExt as _};

use super::wire;

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

fn cache() -> Cache {
    Cache::new(MemoryStore::new())
}

#[tokio::test]
async fn a_write_layer_in_between_does_not_swallow_what_the_handler_asks() {
    let cache = cache();
    let refusing = |response: ResponseCache| async move {
        response.refuse();
        "for one client only"
    };
    let app = Router::new()
        .route("/me", get(refusing).put(|| async {}))
        .layer(cache.invalidate_layer(Invalidation::new().tag("x")).unwrap())
        .layer(cache.layer(minute()).unwrap());
    for _ in 0..2 {
        let answer = wire::get(&app, "/me").await;
        assert_eq!(answer.cache(), "");
        assert!(answer.field("cache-status").ends_with("detail=handler"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_inside_a_cached_router_leaves_the_caching_to_it() {
    let cache = cache();
    let inner = Policy::ttl(Duration::from_secs(7)).tag("inner");
    let handler = |response: ResponseCache| async move {
        response.tag("late").unwrap();
        "x"
    };
    let app = Router::new()
        .route("/a", get(handler).layer(cache.layer(inner).unwrap()))
        .layer(cache.layer(minute().tag("outer")).unwrap());
    let start = tokio::time::Instant::now();
    for tag in ["inner", "outer", "late"] {
        let miss = wire::get(&app, "/a").await;
        assert_eq!(miss.cache(), "MISS");
        let stories: Vec<_> = miss.headers.get_all("cache-status").iter().collect();
        assert!(stories[0].to_str().unwrap().ends_with("fwd=bypass; detail=nested"));
        assert!(stories[1].to_str().unwrap().ends_with("stored; ttl=7"));
        assert_eq!(wire::get(&app, "/a").await.cache(), "HIT");
        assert_eq!(cache.invalidate_tags([tag]).await.unwrap().removed, 1, "{tag}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waited for himself");
}

#[tokio::test]
async fn what_a_route_of_another_cache_answers_is_stored_by_neither() {
    let (outer, inner) = (cache(), cache());
    let app = Router::new()
        .route("/a", get(|| async { "x" }).layer(inner.layer(minute().tag("inner")).unwrap()))
        .layer(outer.layer(minute()).unwrap());
    for _ in 0..2 {
        let answer = wire::get(&app, "/a").await;
        assert_eq!(answer.cache(), "");
        let stories: Vec<_> = answer.headers.get_all("cache-status").iter().collect();
        assert!(stories[0].to_str().unwrap().ends_with("fwd=bypass; detail=other-cache"));
        assert!(stories[1].to_str().unwrap().ends_with("detail=handler"));
        inner.invalidate_tags(["inner"]).await.unwrap();
    }
    assert_eq!((outer.stats().stored, inner.stats().stored), (0, 0));
}

#[tokio::test]
async fn an_inner_route_that_would_not_store_keeps_the_outer_one_from_it() {
    let cache = cache();
    let app = Router::new()
        .route(
            "/a",
            get(|| async { "x" }).layer(cache.layer(minute().condition(|_| false)).unwrap()),
        )
        .layer(cache.layer(minute()).unwrap());
    for _ in 0..2 {
        assert_eq!(wire::get(&app, "/a").await.cache(), "");
    }
}

#[tokio::test]
async fn an_outer_route_that_knows_no_groups_stores_none_of_an_inner_one_that_does() {
    let cache = cache();
    let member = || async { ([("cache-control", "max-age=60"), ("cache-groups", "\"g\"")], "x") };
    let write = || async { [("cache-group-invalidation", "\"g\"")] };
    let grouped = || Policy::http().cache_groups(true);
    for (outer, first) in [(Policy::http(), ""), (grouped(), "MISS")] {
        let app = Router::new()
            .route("/a", get(member))
            .route("/write", axum::routing::post(write))
            .layer(cache.layer(grouped()).unwrap())
            .layer(cache.layer(outer).unwrap());
        assert_eq!(wire::get(&app, "/a").await.cache(), first);
        let write = Request::post("/write").body(Body::empty()).unwrap();
        app.clone().oneshot(write).await.unwrap();
        assert_eq!(wire::get(&app, "/a").await.cache(), first);
    }
}

#[tokio::test]
async fn an_outer_route_never_stores_what_an_inner_one_guards_or_keys_by_code() {
    let cache = cache();
    let user = |headers: HeaderMap| async move { headers["x-user"].to_str().unwrap().to_owned() };
    let plain = cache.layer(minute()).unwrap().guard::<HeaderMap>();
    let named = cache
        .layer(minute())
        .unwrap()
        .guard_as("user", |headers: &HeaderMap| headers["x-user"].to_str().unwrap().to_owned());
    let by_code = minute().key_fn(|head| {
        head.headers()["x-user"].to_str().map(str::to_owned).map_err(|e| e.to_string())
    });
    let but_for_bob = minute().condition(|head| head.headers()["x-user"] != "bob");
    let app = Router::new()
        .route("/guarded", get(user).layer(plain))
        .route("/named", get(user).layer(named))
        .route("/by-code", get(user).layer(cache.layer(by_code).unwrap()))
        .route("/condition", get(user).layer(cache.layer(but_for_bob).unwrap()))
        .layer(cache.layer(minute()).unwrap());
    for path in ["/guarded", "/named", "/by-code", "/condition"] {
        for name in ["ann", "bob"] {
            let answer = wire::get_with(&app, path, &[("x-user", name)]).await;
            assert_eq!((answer.text(), answer.cache()), (name, ""), "{path}");
        }
    }
}

#[tokio::test]
async fn an_outer_route_never_stores_a_response_that_an_inner_one_would_not() {
    let cache = cache();
    let personal = minute().store_if(|_, response| !response.headers().contains_key("x-personal"));
    let found = minute().statuses(Statuses::These(vec![StatusCode::OK]));
    let refusing = minute().set_cookie(SetCookie::Refuse);
    let app = Router::new()
        .route(
            "/personal",
            get(|| async { ([("x-personal", "1")], "ann's") })
                .layer(cache.layer(personal).unwrap()),
        )
        .route(
            "/accepted",
            get(|| async { (StatusCode::ACCEPTED, "x") }).layer(cache.layer(found).unwrap()),
        )
        .route(
            "/cookie",
            get(|| async { ([("set-cookie", "sid=1")], "x") })
                .layer(cache.layer(refusing).unwrap()),
        )
        .layer(cache.layer(minute().set_cookie(SetCookie::Strip)).unwrap());
    for path in ["/personal", "/accepted", "/cookie"] {
        for _ in 0..2 {
            assert_eq!(wire::get(&app, path).await.cache(), "", "{path}");
        }
    }
}

#[tokio::test]
async fn a_route_inside_a_cached_router_may_confirm_what_that_has_stored() {
    let clock = Arc::new(ManualClock::default());
    let cache = Cache::from(
        cache_core::Cache::builder(MemoryStore::builder().clock(clock.clone()).build().unwrap())
            .clock(clock.clone())
            .build()
            .unwrap(),
    );
    let handler = |headers: HeaderMap| async move {
        let known = headers.contains_key("if-none-match");
        let status = if known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        (status, [("etag", "\"a\""), ("cache-control", "max-age=1")], if known { "" } else { "x" })
    };
    let app = Router::new()
        .route("/a", get(handler).layer(cache.layer(Policy::http()).unwrap()))
        .layer(cache.layer(Policy::http()).unwrap());
    assert_eq!(wire::get(&app, "/a").await.cache(), "MISS");
    clock.advance(Duration::from_secs(2));
    let confirmed = wire::get(&app, "/a").await;
    assert_eq!((confirmed.text(), confirmed.cache()), ("x", "MISS"), "{confirmed:?}");
    assert_eq!(wire::get(&app, "/a").await.cache(), "HIT");
}

#[tokio::test]
async fn an_inner_route_hides_cookies_from_its_handler_though_the_outer_one_caches() {
    let cache = cache();
    let inner = |cookies| cache.layer(minute().cookies(cookies)).unwrap();
    let echo = |headers: HeaderMap| async move {
        headers.get("cookie").map_or("nobody", |cookie| cookie.to_str().unwrap()).to_owned()
    };
    let app = Router::new()
        .route("/ignored", get(echo).layer(inner(Cookies::Ignore)))
        .route("/keyed", get(echo).layer(inner(Cookies::Key(vec!["lang".into()]))))
        .layer(cache.layer(Policy::http().cookies(Cookies::Rfc)).unwrap());
    let get = async |path, cookie| wire::get_with(&app, path, &[("cookie", cookie)]).await;
    assert_eq!(get("/ignored", "sid=ann").await.text(), "nobody");
    assert_eq!(get("/ignored", "sid=bob").await.text(), "nobody");
    assert_eq!(get("/keyed", "sid=ann; lang=de").await.text(), "lang=de");
    assert_eq!(get("/keyed", "sid=bob; lang=fr").await.text(), "lang=fr");
}

#[tokio::test]
async fn preconditions_are_left_to_the_handler_where_nothing_can_be_stored() {
    let cache = cache();
    let seen =
        |headers: HeaderMap| async move { headers.contains_key("if-none-match").to_string() };
    let post = minute().methods(&[http::Method::POST]);
    let app = Router::new()
        .route("/get", get(seen).layer(cache.layer(minute()).unwrap()))
        .route("/post", axum::routing::post(seen).layer(cache.layer(post).unwrap()));
    let both = [("if-none-match", "*"), ("range", "bytes=0-0")];
    assert_eq!(wire::get_with(&app, "/get", &both).await.text(), "true");
    let create = Request::post("/post").header("if-none-match", "*").body(Body::empty()).unwrap();
    let answer = wire::call(&app, create).await;
    assert!(answer.field("cache-status").ends_with("detail=precondition"), "{answer:?}");
    assert_eq!(answer.text(), "true");
}

#[tokio::test]
async fn c062_fixed_directives_are_not_put_on_what_is_not_shared() {
    let cache = cache();
    let public = Downstream::Fixed("public, max-age=300".into());
    let cookie = || async { ([("set-cookie", "sid=1")], "x") };
    let app = Router::new()
        .route(
            "/plain",
            get(|| async { "x" }).layer(cache.layer(minute().downstream(public.clone())).unwrap()),
        )
        .route("/cookie", get(cookie).layer(cache.layer(minute().downstream(public)).unwrap()))
        .route(
            "/stripped",
            get(cookie).layer(
                cache
                    .layer(
                        minute()
                            .set_cookie(SetCookie::Strip)
                            .downstream(Downstream::MaxAgeRemaining),
                    )
                    .unwrap(),
            ),
        );
    let said = |answer: wire::Answer| answer.field("cache-control").to_owned();
    assert_eq!(said(wire::get(&app, "/plain").await), "public, max-age=300");
    let private = wire::get_with(&app, "/plain", &[("authorization", "Basic x")]).await;
    assert_eq!(said(private), "");
    assert_eq!(said(wire::get(&app, "/cookie").await), "");
    assert_eq!(said(wire::get(&app, "/stripped").await), "", "this one carries the cookie");
    assert_eq!(said(wire::get(&app, "/stripped").await), "max-age=60");
}

#[tokio::test]
async fn c029_a_body_that_panics_is_not_stored_with_a_hole() {
    let cache = cache();
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = get(move || {
        let first = runs.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            Body::from_stream(stream::iter(0..4).map(move |row| {
                assert!(row != 1 || !first, "row 1 is bad");
                Ok::<_, Infallible>(Bytes::from(format!("[{row}]")))
            }))
        }
    });
    let app = Router::new().route("/rows", handler.layer(cache.layer(minute()).unwrap()));
    let unlucky = app.clone();
    tokio::spawn(async move { wire::get(&unlucky, "/rows").await }).await.unwrap_err();
    tokio::task::yield_now().await;
    let second = wire::get(&app, "/rows").await;
    assert_eq!((second.text(), second.cache()), ("[0][1][2][3]", "MISS"));
}

#[tokio::test]
async fn store_if_sees_the_extensions_of_the_request() {
    #[derive(Clone)]
    struct User(&'static str);
    let cache = cache();
    let anonymous = minute().store_if(|request, _| request.extension::<User>().is_none());
    let handler = |user: Option<Extension<User>>| async move {
        user.map_or_else(|| "hello".to_owned(), |Extension(User(name))| format!("hello {name}"))
    };
    let app = Router::new().route("/hello", get(handler).layer(cache.layer(anonymous).unwrap()));
    for user in ["ann", "bob"] {
        let mut request = Request::get("/hello").body(Body::empty()).unwrap();
        request.extensions_mut().insert(User(user));
        assert_eq!(wire::call(&app, request).await.text(), format!("hello {user}"));
    }
}

#[tokio::test]
async fn the_content_of_a_get_is_in_no_key_and_bypasses() {
    let cache = cache();
    let echo = |body: String| async move { format!("you sent {body:?}") };
    let app = Router::new().route("/echo", get(echo).layer(cache.layer(minute()).unwrap()));
    let request = Request::get("/echo").body(Body::from("evil")).unwrap();
    let fat = wire::call(&app, request).await;
    assert!(fat.field("cache-status").ends_with("detail=request-body"), "{fat:?}");
    assert_eq!(wire::get(&app, "/echo").await.text(), "you sent \"\"");
}

#[tokio::test]
async fn a_path_that_a_middleware_rewrites_selects_the_response() {
    let cache = cache();
    let inner = Router::new()
        .route("/{tenant}/home", get(|Path(tenant): Path<String>| async move { tenant }))
        .layer(cache.layer(minute()).unwrap());
    let rewrite = tower::util::MapRequestLayer::new(|mut request: Request| {
        let tenant = request.headers()["x-tenant"].to_str().unwrap();
        *request.uri_mut() = format!("/{tenant}{}", request.uri().path()).parse().unwrap();
        request
    });
    let app = Router::new().fallback_service(rewrite.layer(inner));
    for tenant in ["a", "b"] {
        assert_eq!(wire::get_with(&app, "/home", &[("x-tenant", tenant)]).await.text(), tenant);
    }
}

#[tokio::test]
async fn an_authority_that_a_middleware_puts_into_the_target_selects_the_response() {
    let cache = cache();
    let seen = get(|uri: Uri| async move { uri.to_string() }).layer(cache.layer(minute()).unwrap());
    // With the same path, and with another one.
    for path in ["/home", "/v2/home"] {
        let choose = tower::util::MapRequestLayer::new(move |mut request: Request| {
            let origin = request.headers()["x-origin"].to_str().unwrap();
            *request.uri_mut() = format!("{origin}{path}").parse().unwrap();
            request
        });
        let app = Router::new().route("/home", seen.clone()).layer(choose);
        for origin in ["http://a", "http://b", "https://b", ""] {
            for expected in ["MISS", "HIT"] {
                let answer = wire::get_with(&app, "/home", &[("x-origin", origin)]).await;
                assert_eq!(answer.text(), format!("{origin}{path}"));
                assert_eq!(answer.cache(), expected, "{origin}{path}");
            }
        }
    }
}

#[tokio::test]
async fn writes_go_on_though_fills_have_taken_every_detached_place() {
    let cache = Cache::from(Cache::builder(MemoryStore::new()).max_detached(1).build().unwrap());
    let hanging = minute().max_fill(Duration::from_millis(50));
    let dropped = Arc::new(AtomicUsize::new(0));
    let guard = Arc::clone(&dropped);
    let slow = get(move || {
        let counted = Counted(Arc::clone(&guard));
        async move {
            std::future::pending::<()>().await;
            drop(counted);
        }
    });
    let write = put(|| async { tokio::time::sleep(Duration::from_millis(30)).await });
    let invalidates = cache.invalidate_layer(Invalidation::new().tag("t")).unwrap();
    let app = Router::new()
        .route("/slow", slow.layer(cache.layer(hanging).unwrap()))
        .route("/write", write.layer(invalidates));
    let leave = |request: Request| {
        tokio::time::timeout(Duration::from_millis(5), app.clone().oneshot(request))
    };
    leave(Request::get("/slow").body(Body::empty()).unwrap()).await.unwrap_err();
    leave(Request::put("/write").body(Body::empty()).unwrap()).await.unwrap_err();
    while cache.stats().invalidations == 0 || dropped.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_stream_does_not_hold_up_the_next_client() {
    let cache = cache();
    let endless = || async {
        Body::from_stream(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"{}\n")), ()))
        }))
    };
    let app = Router::new().route("/events", get(endless).layer(cache.layer(minute()).unwrap()));
    let ask = || app.clone().oneshot(Request::get("/events").body(Body::empty()).unwrap());
    let _first = ask().await.unwrap();
    let start = tokio::time::Instant::now();
    let _second = ask().await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_clients_own_conditions_are_judged_on_the_whole_answer() {
    let cache = cache();
    let handler = |headers: HeaderMap| async move {
        assert!(!headers.contains_key("if-none-match"), "the handler answers in full");
        ([("etag", "\"v\"")], "x")
    };
    let app = Router::new().route("/v", get(handler).layer(cache.layer(minute()).unwrap()));
    for expected in ["MISS", "HIT"] {
        let answer = wire::get_with(&app, "/v", &[("if-none-match", "\"v\"")]).await;
        assert_eq!((answer.status, answer.cache()), (304, expected));
    }
}

#[tokio::test]
async fn a_range_that_is_not_stored_is_the_handlers_business() {
    let cache = cache();
    let handler = |headers: HeaderMap| async move {
        let part = headers.contains_key("range");
        let status = if part { 206 } else { 200 };
        (StatusCode::from_u16(status).unwrap(), if part { "p" } else { "whole" })
    };
    let app = Router::new().route("/r", get(handler).layer(cache.layer(minute()).unwrap()));
    let part = wire::get_with(&app, "/r", &[("range", "bytes=0-0")]).await;
    assert_eq!((part.status, part.text(), part.cache()), (206, "p", ""));
    assert_eq!(wire::get(&app, "/r").await.text(), "whole");
    let stored = wire::get_with(&app, "/r", &[("range", "bytes=0-0")]).await;
    assert_eq!((stored.status, stored.text(), stored.cache()), (206, "w", "HIT"));
}
