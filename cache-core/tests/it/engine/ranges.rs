//! Parts of what is stored (RFC 9110 §14), and of what is not.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::Policy;
use http::{Method, Response, StatusCode};

use super::rig::{Answer, Rig};

const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";
const MONDAY: &str = "Mon, 02 Jan 2023 00:00:00 GMT";

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

/// The alphabet, with everything that a representation may say of itself.
fn alphabet() -> Response<&'static str> {
    Response::builder()
        .header("content-type", "text/plain")
        .header("content-length", "26")
        .header("etag", "\"a\"")
        .header("last-modified", MONDAY)
        .header("date", "Tue, 03 Jan 2023 00:00:00 GMT")
        .header("content-digest", "sha-256=:x:")
        .header("repr-digest", "sha-256=:x:")
        .header("cache-control", "max-age=60")
        .header("x-own", "1")
        .body(ALPHABET)
        .unwrap()
}

/// The alphabet at `/a`, stored.
async fn stored() -> Rig {
    let rig = Rig::new(minute(), None).handler(|_, _| alphabet());
    assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
    rig
}

async fn range(rig: &Rig, range: &'static str) -> Answer {
    rig.get_with("/a", &[("range", range)]).await
}

#[tokio::test]
async fn one_part_of_a_hit_is_a_206() {
    let rig = stored().await;
    let part = range(&rig, "bytes=2-5").await;
    assert_eq!((part.status, part.body.as_str()), (206, "cdef"));
    assert_eq!(part.field("content-range"), "bytes 2-5/26");
    assert_eq!(part.field("content-length"), "4");
    assert_eq!(part.field("content-type"), "text/plain");
    assert_eq!(part.field("accept-ranges"), "bytes");
    assert_eq!((part.field("etag"), part.field("last-modified")), ("\"a\"", MONDAY));
    assert_eq!((part.field("x-own"), part.field("x-cache")), ("1", "HIT"));
    assert!(part.headers.contains_key("age") && part.headers.contains_key("date"));
    // One speaks of this content, the other of the representation.
    assert!(!part.headers.contains_key("content-digest"));
    assert!(part.headers.contains_key("repr-digest"));
    assert_eq!(range(&rig, "bytes=-3").await.body, "xyz");
    assert_eq!(range(&rig, "bytes=24-").await.field("content-range"), "bytes 24-25/26");
    assert_eq!(rig.runs(), 1);
}

#[tokio::test]
async fn several_parts_are_a_multipart() {
    let rig = stored().await;
    let parts = range(&rig, "bytes=0-1,-2").await;
    assert_eq!(parts.status, 206);
    assert!(!parts.headers.contains_key("content-range"));
    let boundary = parts.field("content-type").strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap();
    let expected = format!(
        "--{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/26\r\n\r\nab\r\n\
         --{boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes 24-25/26\r\n\r\nyz\r\n\
         --{boundary}--\r\n"
    );
    assert_eq!(parts.body, expected);
    assert_eq!(parts.field("content-length"), expected.len().to_string());
    let again = range(&rig, "bytes=0-1,-2").await;
    assert_ne!(
        again.field("content-type"),
        parts.field("content-type"),
        "a boundary is not reused"
    );
}

#[tokio::test]
async fn parts_that_become_one_are_no_multipart() {
    let rig = stored().await;
    let part = range(&rig, "bytes=0-4,3-9").await;
    assert_eq!((part.status, part.field("content-range")), (206, "bytes 0-9/26"));
    assert_eq!(part.body, "abcdefghij");
}

#[tokio::test]
async fn nothing_that_is_there_is_a_416() {
    let rig = stored().await;
    let none = range(&rig, "bytes=26-").await;
    assert_eq!((none.status, none.body.as_str()), (416, ""));
    assert_eq!(none.field("content-range"), "bytes */26");
    assert_eq!((none.field("content-length"), none.field("cache-control")), ("0", "no-store"));
    for gone in ["content-type", "etag", "last-modified", "repr-digest"] {
        assert!(!none.headers.contains_key(gone), "{gone}");
    }
}

#[tokio::test]
async fn what_is_no_range_is_ignored() {
    let rig = stored().await;
    for value in ["bytes=5-2", "bytes=x", "lines=1-2", "bytes="] {
        let whole = range(&rig, value).await;
        assert_eq!((whole.status, whole.body.as_str()), (200, ALPHABET), "{value}");
        assert_eq!(whole.field("accept-ranges"), "bytes");
    }
    let head = rig.request(Method::HEAD, "/a", &[("range", "bytes=0-1")]).await;
    assert_eq!((head.status, head.field("content-length")), (200, "26"));
    assert_eq!(rig.runs(), 1);
}

#[tokio::test]
async fn conditions_come_first() {
    let rig = stored().await;
    let part = [("range", "bytes=0-1"), ("if-range", "\"a\"")];
    assert_eq!(rig.get_with("/a", &part).await.status, 206);
    let other = [("range", "bytes=0-1"), ("if-range", "\"b\"")];
    assert_eq!(rig.get_with("/a", &other).await.status, 200);
    let dated = [("range", "bytes=0-1"), ("if-range", MONDAY)];
    assert_eq!(rig.get_with("/a", &dated).await.status, 206);
    let known = [("range", "bytes=0-1"), ("if-none-match", "\"a\"")];
    assert_eq!(rig.get_with("/a", &known).await.status, 304);
}

#[tokio::test]
async fn only_a_stored_200_has_parts() {
    for (status, encoding) in [(StatusCode::CREATED, None), (StatusCode::OK, Some("gzip"))] {
        let rig = Rig::new(minute(), None).handler(move |_, _| {
            let mut response = alphabet();
            *response.status_mut() = status;
            if let Some(encoding) = encoding {
                response.headers_mut().insert("content-encoding", encoding.parse().unwrap());
            }
            response
        });
        rig.get("/a").await;
        let answer = range(&rig, "bytes=0-1,-2").await;
        assert_eq!((answer.status, answer.field("x-cache")), (status.as_u16(), "HIT"));
        assert_eq!(answer.body, ALPHABET);
        // A single part of encoded bytes is what it says.
        let expected = if encoding.is_some() { 206 } else { 201 };
        assert_eq!(range(&rig, "bytes=0-1").await.status, expected);
    }
}

#[tokio::test]
async fn a_stale_answer_has_parts_too() {
    let policy = minute().stale_if_error(Duration::from_secs(60));
    let rig = Rig::new(policy, None).handler(|_, run| match run {
        1 => alphabet(),
        _ => Response::builder().status(503).body("down").unwrap(),
    });
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    let part = range(&rig, "bytes=0-1").await;
    assert_eq!((part.status, part.body.as_str(), rig.runs()), (206, "ab", 2));
    assert!(part.field("cache-status").contains("stale-if-error"), "{part:?}");
}

#[tokio::test]
async fn a_part_from_the_handler_is_never_stored() {
    let rig = Rig::new(minute(), None).handler(|request, _| {
        let multipart = request.contains_key("x-multipart");
        let mut response = Response::builder().status(206);
        if !multipart {
            response = response.header("content-range", "bytes 0-1/26");
        }
        if request.contains_key("range") { response.body("ab").unwrap() } else { alphabet() }
    });
    for fields in [&[("range", "bytes=0-1")][..], &[("range", "bytes=0-1"), ("x-multipart", "1")]] {
        let part = rig.get_with("/a", fields).await;
        assert_eq!((part.status, part.field("x-cache")), (206, ""), "{part:?}");
    }
    let whole = rig.get("/a").await;
    assert_eq!((whole.status, whole.body.as_str()), (200, ALPHABET));
    assert_eq!(whole.field("x-cache"), "MISS");
}

#[tokio::test]
async fn a_206_that_nobody_asked_for_is_not_stored() {
    let rig = Rig::new(minute(), None)
        .handler(|_, _| Response::builder().status(206).body("ab").unwrap());
    rig.get("/a").await;
    assert_eq!((rig.get("/a").await.status, rig.runs()), (206, 2));
}

#[tokio::test]
async fn a_refresh_behind_a_part_fetches_the_whole() {
    let policy = minute().stale_while_revalidate(Duration::from_secs(60));
    let rig = Rig::new(policy, None).handler(|request, run| match (run, request.get("range")) {
        (1, _) => alphabet(),
        (_, None) => Response::builder().header("etag", "\"b\"").body("ABCDEF").unwrap(),
        (_, Some(_)) => Response::builder().status(206).body("?").unwrap(),
    });
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(range(&rig, "bytes=0-1").await.body, "ab");
    for _ in 0..1000 {
        if rig.runs() == 2 && range(&rig, "bytes=0-1").await.body == "AB" {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the refreshed response is not there after {} runs", rig.runs());
}

#[tokio::test]
async fn by_the_responses_own_word_parts_are_served_and_never_stored() {
    let rig = Rig::new(Policy::http(), None).handler(|request, _| {
        let own = ["if-none-match", "if-modified-since"];
        assert!(!own.iter().any(|name| request.contains_key(*name)), "a part is not validated");
        if request.contains_key("range") {
            let part = Response::builder().status(206).header("cache-control", "max-age=60");
            return part.header("content-range", "bytes 0-1/26").body("ab").unwrap();
        }
        alphabet()
    });
    assert_eq!(range(&rig, "bytes=0-1").await.status, 206);
    assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
    let part = range(&rig, "bytes=2-3").await;
    assert_eq!((part.status, part.body.as_str(), part.field("x-cache")), (206, "cd", "HIT"));
    // Stale: the handler's part passes, and what is stored stays as it is.
    rig.clock.advance(Duration::from_secs(61));
    let passed = range(&rig, "bytes=2-3").await;
    assert_eq!((passed.status, passed.body.as_str(), passed.field("x-cache")), (206, "ab", ""));
    assert_eq!(rig.runs(), 3);
}

#[tokio::test]
async fn a_part_says_nothing_of_coalescing() {
    let rig = Rig::new(minute(), None).handler(|request, run| {
        if !request.contains_key("range") {
            return Response::new(if run == 2 { "second" } else { "later" });
        }
        let part = Response::builder().status(206).header("content-range", "bytes 0-0/5");
        part.body("f").unwrap()
    });
    rig.get_with("/a", &[("range", "bytes=0-0")]).await;
    rig.in_handler.shut();
    let ask = || {
        let rig = rig.clone();
        tokio::spawn(async move { rig.get("/a").await })
    };
    let before = rig.store.lookups.load(Ordering::SeqCst);
    let (one, other) = (ask(), ask());
    rig.in_handler.reached().await;
    rig.looked_up(before + 2).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    rig.in_handler.open();
    assert_eq!(
        (one.await.unwrap().body, other.await.unwrap().body),
        ("second".into(), "second".into())
    );
    assert_eq!(rig.runs(), 2);
}

#[tokio::test]
async fn an_absurd_content_range_is_not_in_a_multipart() {
    let rig = Rig::new(Policy::http(), None).handler(|_, _| {
        let mut whole = alphabet();
        whole.headers_mut().insert("content-range", http::HeaderValue::from_static("bytes 0-1/2"));
        whole
    });
    rig.get("/a").await;
    let parts = rig.get_with("/a", &[("range", "bytes=0-0,4-4")]).await;
    assert_eq!(parts.status, 206);
    assert!(!parts.headers.contains_key("content-range"));
}
