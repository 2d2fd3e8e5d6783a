//! When a stored response is served (RFC 9111 §4, §5.2.1; RFC 5861).

use std::time::Duration;

use cache_core::Policy;
use http::Method;

use super::{Lines, answering, saying};
use crate::engine::rig::Rig;

const AGED: Lines = &[("cache-control", "max-age=60")];

/// Stores `/a` with these fields, waits, and asks again with a directive.
async fn after(seconds: u64, lines: Lines, directive: &'static str) -> String {
    let all: &'static [Lines] = Vec::leak(vec![lines]);
    let rig = saying(all);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(seconds));
    let answer = rig.get_with("/a", Vec::leak(vec![("cache-control", directive)])).await;
    let said = answer.field("cache-status");
    said.split("; ").nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn request_directives_narrow_and_widen() {
    for (seconds, lines, directive, expected) in [
        (10, AGED, "max-age=20", "hit"),
        (10, AGED, "max-age=5", "fwd=request"),
        (10, AGED, "max-age=0", "fwd=request"),
        (10, AGED, "min-fresh=50", "hit"),
        (10, AGED, "min-fresh=51", "fwd=request"),
        (10, AGED, "no-cache", "fwd=request"),
        (10, AGED, "no-store", "fwd=bypass"),
        (10, AGED, "foo, bar=\"no-cache\", only-if-cached", "hit"),
        (10, AGED, "only-if-cached", "hit"),
        (70, AGED, "nothing", "fwd=uri-miss"),
        (70, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], "nothing", "fwd=stale"),
        (70, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], "max-stale", "hit"),
        (70, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], "max-stale=10", "hit"),
        (70, &[("cache-control", "max-age=60"), ("etag", "\"a\"")], "max-stale=9", "fwd=stale"),
        (
            70,
            &[("cache-control", "max-age=60, must-revalidate"), ("etag", "\"a\"")],
            "max-stale",
            "fwd=stale",
        ),
        (
            70,
            &[("cache-control", "max-age=60, proxy-revalidate"), ("etag", "\"a\"")],
            "max-stale",
            "fwd=stale",
        ),
        (70, &[("cache-control", "s-maxage=60"), ("etag", "\"a\"")], "max-stale", "fwd=stale"),
        (
            10,
            &[("cache-control", "max-age=60, no-cache"), ("etag", "\"a\"")],
            "max-stale",
            "fwd=stale",
        ),
    ] {
        assert_eq!(after(seconds, lines, directive).await, expected, "{lines:?} {directive}");
    }
}

#[tokio::test]
async fn pragma_counts_where_there_is_no_cache_control() {
    let rig = saying(&[AGED]);
    rig.get("/a").await;
    assert_eq!(rig.get_with("/a", &[("pragma", "no-cache")]).await.body, "second");
    let both = &[("pragma", "no-cache"), ("cache-control", "max-age=60")];
    assert_eq!(rig.get_with("/a", both).await.field("x-cache"), "HIT");
}

#[tokio::test]
async fn only_if_cached_never_reaches_the_handler() {
    let rig = saying(&[AGED]);
    let ask = || rig.get_with("/a", &[("cache-control", "only-if-cached")]);
    let none = ask().await;
    assert_eq!((none.status, none.body.as_str()), (504, ""));
    assert!(none.field("cache-status").ends_with("detail=only-if-cached"), "{none:?}");
    assert_eq!(rig.runs(), 0);
    rig.get("/a").await;
    assert_eq!(ask().await.body, "first");
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(ask().await.status, 504);
    assert_eq!(rig.runs(), 1);
}

#[tokio::test]
async fn age_and_ttl_add_up_to_the_life() {
    let rig = saying(&[&[("cache-control", "max-age=60"), ("age", "10")]]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_millis(1_500));
    let hit = rig.get("/a").await;
    assert_eq!(hit.field("age"), "11");
    assert_eq!(hit.field("cache-status"), "response-cache; hit; ttl=49");
}

/// What a request gets so many seconds after `/a` was stored, the handler being broken since.
async fn broken_after(seconds: u64, policy: Policy, lines: Lines) -> (u16, String) {
    let answers: &'static [(u16, Lines)] = Vec::leak(vec![(200, lines), (503, &[])]);
    let rig = answering(policy, answers);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(seconds));
    let answer = rig.get("/a").await;
    (answer.status, answer.field("cache-status").to_owned())
}

#[tokio::test]
async fn stale_if_error_comes_from_the_response_or_the_policy() {
    let set = || Policy::http().stale_if_error(Duration::from_secs(30));
    for (policy, lines, last) in [
        (Policy::http(), &[("cache-control", "max-age=60, stale-if-error=30")][..], 89),
        (set(), AGED, 89),
        (set(), &[("cache-control", "max-age=60, stale-if-error=10")], 69),
    ] {
        let (status, said) = broken_after(last, policy.clone(), lines).await;
        assert_eq!(status, 200, "{lines:?}");
        assert!(
            said.ends_with(&format!("hit; ttl=-{}; detail=stale-if-error", last - 60)),
            "{said}"
        );
        assert_eq!(broken_after(last + 1, policy, lines).await.0, 503, "{lines:?}");
    }
    assert_eq!(broken_after(61, Policy::http(), AGED).await.0, 503);
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"] {
        let text = format!("max-age=60, stale-if-error=30, {strict}");
        let lines: Lines = Vec::leak(vec![("cache-control", &*text.leak()), ("etag", "\"a\"")]);
        assert_eq!(broken_after(61, set(), lines).await.0, 503, "{strict}");
    }
}

async fn refreshed(rig: &Rig, runs: usize) {
    while rig.runs() < runs {
        tokio::task::yield_now().await;
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stale_while_revalidate_comes_from_the_response() {
    let rig = saying(&[&[("cache-control", "max-age=60, stale-while-revalidate=30")]]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(89));
    let stale = rig.get("/a").await;
    assert_eq!(stale.body, "first");
    let said = "response-cache; hit; ttl=-29; detail=stale-while-revalidate";
    assert_eq!(stale.field("cache-status"), said);
    refreshed(&rig, 2).await;
    assert_eq!(rig.get("/a").await.body, "second");
    rig.clock.advance(Duration::from_secs(90));
    assert_eq!(rig.get("/a").await.body, "third");
}

#[tokio::test]
async fn stale_while_revalidate_yields_to_must_revalidate() {
    let rig =
        saying(&[&[("cache-control", "max-age=60, stale-while-revalidate=30, must-revalidate")]]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(rig.get("/a").await.body, "second");
}

#[tokio::test]
async fn a_refresh_asks_with_the_stored_validator() {
    const TAGGED: Lines =
        &[("cache-control", "max-age=60, stale-while-revalidate=30"), ("etag", "\"a\"")];
    let rig = answering(Policy::http(), &[(200, TAGGED), (304, TAGGED)]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    assert_eq!(rig.get("/a").await.body, "first");
    refreshed(&rig, 2).await;
    let fresh = rig.get("/a").await;
    assert_eq!((fresh.body.as_str(), fresh.field("age")), ("first", "0"));
    assert_eq!(rig.runs(), 2);
}

#[tokio::test]
async fn conditional_requests_are_answered_from_the_store() {
    let rig = saying(&[&[
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("last-modified", "Sat, 08 Sep 2001 01:46:40 GMT"),
    ]]);
    rig.get("/a").await;
    for fields in [
        &[("if-none-match", "W/\"a\"")][..],
        &[("if-none-match", "\"x\", \"a\"")],
        &[("if-modified-since", "Sat, 08 Sep 2001 01:46:40 GMT")],
    ] {
        let answer = rig.get_with("/a", fields).await;
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{fields:?}");
    }
    assert_eq!(rig.runs(), 1);
    for fields in
        [&[("if-match", "\"a\"")][..], &[("if-unmodified-since", "Sat, 08 Sep 2001 01:46:40 GMT")]]
    {
        let answer = rig.get_with("/a", fields).await;
        assert!(answer.field("cache-status").contains("fwd=bypass; detail=precondition"));
    }
    assert_eq!(rig.runs(), 3);
}

#[tokio::test]
async fn head_is_answered_by_a_stored_get() {
    let rig = saying(&[AGED]);
    rig.get("/a").await;
    let head = rig.request(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.field("x-cache"), head.body.as_str()), ("HIT", ""));
    assert_eq!(head.field("content-length"), "5");
}

#[tokio::test]
async fn windows_of_the_policy_are_no_life() {
    let policy = || {
        Policy::http()
            .stale_while_revalidate(Duration::from_secs(30))
            .stale_if_error(Duration::from_secs(30))
    };
    for status in [200, 302, 500] {
        let rig = answering(policy(), Vec::leak(vec![(status, Lines::default())]));
        let first = rig.get("/a").await;
        assert!(first.field("cache-status").ends_with("detail=no-lifetime"), "{status} {first:?}");
        assert_eq!(rig.get("/a").await.body, "second");
    }
    let rig = answering(policy(), &[(200, &[("cache-control", "max-age=0")]), (503, &[])]);
    rig.get("/a").await;
    assert_eq!(rig.get("/a").await.body, "first");
}
