//! Input that nobody hopes for.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::routing::get;
use bytes::Bytes;
use cache_memory::MemoryStore;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;

use super::wire;

fn app(policy: Policy) -> Router {
    let cache = Cache::new(MemoryStore::new());
    let echo = |request: Request| async move { request.uri().to_string() };
    Router::new().route("/{*rest}", get(echo).layer(cache.layer(policy).unwrap()))
}

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60)).tag("p:{rest}").vary(["x-in"])
}

#[tokio::test]
async fn long_and_odd_targets_are_keyed_exactly() {
    let app = app(minute());
    let long = format!("/{}?{}", "p".repeat(10_000), "q".repeat(10_000));
    let odd = [
        "/a%1Fb",
        "/a%1fb",
        "/a%2Fb",
        "/a%7Cb?x=%1F",
        "/a%7Cb?x=%00",
        "/%C3%A9",
        "/p?%FE",
        "/a?",
        "/a",
        "/a?&",
        "/a//b",
    ];
    for uri in odd.into_iter().chain([long.as_str()]) {
        let miss = wire::get(&app, uri).await;
        assert_eq!((miss.text(), miss.cache(), miss.status), (uri, "MISS", 200));
        assert_eq!(wire::get(&app, uri).await.cache(), "HIT", "{uri}");
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_gives_no_tag_and_is_not_stored() {
    let app = app(minute());
    for _ in 0..2 {
        let answer = wire::get(&app, "/%FF").await;
        assert_eq!((answer.text(), answer.cache()), ("/%FF", ""));
    }
}

#[tokio::test]
async fn odd_field_values_are_keyed_exactly() {
    let app = app(minute());
    let values = [&b""[..], b"\xff\xfe", b"a\tb", b"a,b", b"a|b", b"a=b"];
    for value in values {
        for expected in ["MISS", "HIT"] {
            let mut request = Request::get("/h").body(Body::empty()).unwrap();
            request.headers_mut().insert("x-in", HeaderValue::from_bytes(value).unwrap());
            assert_eq!(wire::call(&app, request).await.cache(), expected, "{value:?}");
        }
    }
}

#[tokio::test]
async fn two_thousand_fields_do_no_harm() {
    let app = app(minute());
    let mut request = Request::get("/many").body(Body::empty()).unwrap();
    for n in 0..2000 {
        let name: http::HeaderName = format!("x-{n}").parse().unwrap();
        request.headers_mut().insert(name, HeaderValue::from_static("v"));
    }
    assert_eq!(wire::call(&app, request).await.cache(), "MISS");
}

#[tokio::test]
async fn broken_preconditions_and_directives_are_ignored() {
    let app = app(minute());
    wire::get(&app, "/c").await;
    for (name, value) in [
        ("if-none-match", "\"unclosed"),
        ("if-none-match", ",,,"),
        ("if-modified-since", "not a date"),
        ("cache-control", "max-age=99999999999999999999, =, \"\u{1}\""),
        ("range", "bytes=9-1"),
    ] {
        let Ok(value) = HeaderValue::from_str(value) else { continue };
        let mut request = Request::get("/c").body(Body::empty()).unwrap();
        request.headers_mut().insert(name, value);
        let answer = wire::call(&app, request).await;
        assert_eq!((answer.status, answer.cache()), (200, "HIT"), "{name}");
    }
}

#[tokio::test]
async fn panicking_functions_of_the_policy_cost_the_caching_only() {
    fn unlucky<T>() -> T {
        panic!("a function of the application")
    }
    let policies = [
        (Policy::new().key_fn(|_| unlucky::<Result<String, String>>()), "key-failed"),
        (
            Policy::new().key_async_fn(|_| async { unlucky::<Result<String, String>>() }),
            "key-failed",
        ),
        (Policy::new().key_fn(|_| Err::<String, _>("no key")), "key-failed"),
        (Policy::new().condition(|_| unlucky()), "condition"),
        (Policy::new().store_if(|_, _| unlucky()), "store-if"),
        (
            Policy::new()
                .ttl_fn(|_| async { Err::<adapter_axum::policy::setting::Ttl, _>("no ttl") }),
            "ttl-failed",
        ),
        (
            Policy::new().ttl_fn(|_| async {
                unlucky::<Result<adapter_axum::policy::setting::Ttl, String>>()
            }),
            "ttl-failed",
        ),
    ];
    for (policy, reason) in policies {
        let app = app(policy);
        for _ in 0..2 {
            let answer = wire::get(&app, "/x").await;
            assert_eq!((answer.status, answer.cache()), (200, ""));
            assert!(answer.field("cache-status").contains(reason), "{reason}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_handler_ends_like_without_a_cache_and_leaves_nobody_hanging() {
    let cache = Cache::new(MemoryStore::new());
    let handler = get(|| async {
        tokio::task::yield_now().await;
        let unlucky = true;
        assert!(!unlucky, "a handler");
        "x"
    });
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60))).unwrap();
    let address = wire::serve(Router::new().route("/p", handler.layer(layer))).await;
    let clients: Vec<_> = (0..20)
        .map(|_| tokio::spawn(async move { wire::read_all(wire::send(address, "/p").await).await }))
        .collect();
    for client in clients {
        assert!(client.await.unwrap().is_empty(), "the connection closes without an answer");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_leave_at_any_stage_do_no_harm() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let cache = Cache::new(MemoryStore::new());
    let handler = get(|| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        "x".repeat(100_000)
    });
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60)).key("k")).unwrap();
    let app = Router::new().route("/d", handler.layer(layer));
    let address = wire::serve(app.clone()).await;
    let request = b"GET /d HTTP/1.1\r\nhost: test\r\n\r\n";
    for sent in [0, 5, request.len()] {
        for read in [0, 1, 20_000] {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(&request[..sent]).await.unwrap();
            if sent == request.len() && read > 0 {
                let mut buffer = vec![0; read];
                stream.read_exact(&mut buffer).await.unwrap();
            }
        }
    }
    assert_eq!(wire::get(&app, "/d").await.body.len(), 100_000);
}

#[tokio::test]
async fn c019_an_opted_in_method_is_keyed_by_its_body() {
    let cache = Cache::new(MemoryStore::new());
    let policy = Policy::new().methods(&[http::Method::POST]).key_body_limit(8);
    let echo = axum::routing::post(|body: String| async move { body });
    let app = Router::new().route("/p", echo.layer(cache.layer(policy).unwrap()));
    let post =
        |body: &'static str| wire::call(&app, Request::post("/p").body(Body::from(body)).unwrap());
    for (body, expected) in
        [("a", "MISS"), ("a", "HIT"), ("b", "MISS"), ("more than 8", ""), ("more than 8", "")]
    {
        let answer = post(body).await;
        assert_eq!((answer.text(), answer.cache()), (body, expected));
    }
}

/// Gives these frames.
struct Framed(VecDeque<Frame<Bytes>>);

impl http_body::Body for Framed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

#[tokio::test]
async fn trailers_of_a_request_are_in_no_key_and_reach_the_handler() {
    let cache = Cache::new(MemoryStore::new());
    let policy = Policy::new().methods(&[http::Method::POST]);
    let handler = axum::routing::post(|request: Request| async move {
        let mut body = request.into_body();
        let mut said = String::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            let frame = frame.unwrap();
            let trailers = frame.trailers_ref().and_then(|trailers| trailers.get("x-user"));
            said.extend(trailers.map(|user| user.to_str().unwrap()));
            said.extend(frame.data_ref().map(|data| str::from_utf8(data).unwrap()));
        }
        said
    });
    let app = Router::new().route("/p", handler.layer(cache.layer(policy).unwrap()));
    let data = |text: &'static str| Frame::data(Bytes::from(text));
    for user in ["ann", "bob"] {
        let trailers = HeaderMap::from_iter([("x-user".parse().unwrap(), user.parse().unwrap())]);
        let frames = [data("I am "), data(""), Frame::trailers(trailers)];
        let body = Body::new(Framed(frames.into()));
        let answer = wire::call(&app, Request::post("/p").body(body).unwrap()).await;
        assert_eq!((answer.text(), answer.cache()), (format!("I am {user}").as_str(), ""));
    }
    // Pieces of nothing are nothing.
    for expected in ["MISS", "HIT"] {
        let body = Body::new(Framed([data("a"), data(""), data("b")].into()));
        let answer = wire::call(&app, Request::post("/p").body(body).unwrap()).await;
        assert_eq!((answer.text(), answer.cache()), ("ab", expected));
    }
}
