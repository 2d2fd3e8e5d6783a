//! What is stored, and for how long (RFC 9111 §3, §4.2).

use cache_core::Policy;
use cache_core::policy::setting::{Cookies, SetCookie};
use std::time::Duration;

use super::{Lines, START, answering, saying};

/// Asks twice and says what the first answer's `Cache-Status` tells.
async fn told(policy: Policy, request: Lines, status: u16, lines: Lines) -> String {
    let answers: &'static [(u16, Lines)] = Vec::leak(vec![(status, lines)]);
    let rig = answering(policy, answers);
    let first = rig.get_with("/a", request).await;
    assert_eq!(first.status, status);
    let said = first.field("cache-status").to_owned();
    let second = rig.get_with("/a", request).await;
    let hit = second.field("cache-status").contains("; hit");
    let lives = said.contains("; stored") && !said.contains("ttl=-") && !said.ends_with("ttl=0");
    assert_eq!(hit, lives, "{said} and then {}", second.field("cache-status"));
    said
}

/// What follows `; stored; ttl=`, or the reason.
async fn outcome(request: Lines, status: u16, lines: Lines) -> String {
    let said = told(Policy::http(), request, status, lines).await;
    match said.split_once("stored; ttl=") {
        Some((_, ttl)) => ttl.to_owned(),
        None => said.split_once("detail=").unwrap().1.to_owned(),
    }
}

macro_rules! outcomes {
    ($($request:expr, $status:expr, $lines:expr => $expected:expr;)*) => {
        $(
            let lines: Lines = $lines;
            assert_eq!(outcome($request, $status, lines).await, $expected, "{lines:?}");
        )*
    };
}

#[tokio::test]
async fn explicit_lifetimes_are_taken_in_their_order() {
    outcomes! {
        &[], 200, &[("cache-control", "max-age=60")] => "60";
        &[], 200, &[("cache-control", "max-age=60, s-maxage=5")] => "5";
        &[], 200, &[("cache-control", "max-age=0, s-maxage=5")] => "5";
        &[], 200, &[("cache-control", "max-age=60"), ("expires", "0")] => "60";
        &[], 200, &[("expires", "Sun, 09 Sep 2001 01:47:40 GMT")] => "60";
        &[], 200, &[("expires", "Sun, 09 Sep 2001 01:47:40 GMT"), ("date", "Sun, 09 Sep 2001 01:46:50 GMT")] => "50";
        &[], 200, &[("expires", "Sun, 09 Sep 2001 01:47:40 GMT"), ("date", "foo")] => "60";
        &[], 200, &[("cache-control", "max-age=0"), ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")] => "zero-ttl";
        &[], 200, &[] => "no-lifetime";
        &[], 200, &[("etag", "\"a\"")] => "0";
    }
}

#[tokio::test]
async fn an_expires_that_is_no_date_has_passed() {
    outcomes! {
        &[], 200, &[("expires", "0")] => "zero-ttl";
        &[], 200, &[("expires", "-1")] => "zero-ttl";
        &[], 200, &[("expires", "")] => "zero-ttl";
        &[], 200, &[("expires", "tomorrow")] => "zero-ttl";
        &[], 200, &[("expires", "Thu, 99 Foo 2050 02:01:18 GMT")] => "zero-ttl";
        &[], 200, &[("expires", "Sun, 09 Sep 2001 01:46:40 GMT")] => "zero-ttl";
        &[], 200, &[("expires", "Sun, 09 Sep 2001 01:47:40 GMT"), ("expires", "Sun, 09 Sep 2001 01:47:40 GMT")] => "zero-ttl";
        &[], 200, &[("expires", "Sunday, 09-Sep-01 01:47:40 GMT")] => "60";
        &[], 200, &[("expires", "Sun Sep  9 01:47:40 2001")] => "60";
    }
}

#[tokio::test]
async fn age_is_part_of_the_life() {
    outcomes! {
        &[], 200, &[("cache-control", "max-age=60"), ("age", "20")] => "40";
        &[], 200, &[("cache-control", "max-age=60"), ("age", "60")] => "zero-ttl";
        &[], 200, &[("cache-control", "max-age=60"), ("age", "7200, 0")] => "zero-ttl";
        &[], 200, &[("cache-control", "max-age=60"), ("age", "0"), ("age", "7200")] => "60";
        &[], 200, &[("cache-control", "max-age=60"), ("age", "abc")] => "60";
        &[], 200, &[("cache-control", "max-age=60"), ("age", "-5")] => "60";
        &[], 200, &[("cache-control", "max-age=4294967296"), ("age", "2147483647")] => "1";
        &[], 200, &[("cache-control", "max-age=4294967296"), ("age", "2147483648")] => "zero-ttl";
        &[], 200, &[("cache-control", "max-age=4294967296"), ("age", "99999999999999999999")] => "zero-ttl";
        // By its Date it is an hour old.
        &[], 200, &[("cache-control", "max-age=3660"), ("date", "Sun, 09 Sep 2001 00:46:40 GMT")] => "60";
        // Dates are cut to seconds.
        &[], 200, &[("cache-control", "max-age=60"), ("date", "Sun, 09 Sep 2001 01:46:39 GMT")] => "60";
        &[], 200, &[("cache-control", "max-age=60"), ("date", "Sun, 09 Sep 2001 01:46:38 GMT")] => "58";
        // A clock that is ahead makes nothing younger.
        &[], 200, &[("cache-control", "max-age=60"), ("date", "Sun, 09 Sep 2001 02:46:40 GMT")] => "60";
    }
}

#[tokio::test]
async fn the_time_on_the_way_is_part_of_the_age() {
    let rig = saying(&[&[("cache-control", "max-age=60")]]);
    rig.in_handler.shut();
    let asking = rig.ask("/a");
    rig.in_handler.reached().await;
    rig.clock.advance(Duration::from_secs(7));
    rig.in_handler.open();
    assert!(asking.await.unwrap().field("cache-status").ends_with("ttl=53"));
    assert_eq!(rig.get("/a").await.field("age"), "7");
}

#[tokio::test]
async fn heuristics_follow_last_modified_for_some_statuses() {
    const DAY: &str = "Sat, 08 Sep 2001 01:46:40 GMT";
    outcomes! {
        &[], 200, &[("last-modified", DAY)] => "8640";
        &[], 200, &[("last-modified", "Sun, 09 Sep 2001 01:46:30 GMT")] => "1";
        &[], 200, &[("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")] => "86400";
        &[], 200, &[("last-modified", "Mon, 10 Sep 2001 01:46:40 GMT")] => "0";
        &[], 200, &[("last-modified", "yesterday")] => "0";
        &[], 203, &[("last-modified", DAY)] => "8640";
        &[], 204, &[("last-modified", DAY)] => "8640";
        &[], 300, &[("last-modified", DAY)] => "8640";
        &[], 301, &[("last-modified", DAY)] => "8640";
        &[], 308, &[("last-modified", DAY)] => "8640";
        &[], 404, &[("last-modified", DAY)] => "8640";
        &[], 405, &[("last-modified", DAY)] => "8640";
        &[], 410, &[("last-modified", DAY)] => "8640";
        &[], 414, &[("last-modified", DAY)] => "8640";
        &[], 501, &[("last-modified", DAY)] => "8640";
        &[], 201, &[("last-modified", DAY)] => "no-lifetime";
        &[], 302, &[("last-modified", DAY)] => "no-lifetime";
        &[], 403, &[("last-modified", DAY)] => "no-lifetime";
        &[], 503, &[("last-modified", DAY)] => "no-lifetime";
        &[], 599, &[("last-modified", DAY)] => "no-lifetime";
        &[], 599, &[("last-modified", DAY), ("cache-control", "public")] => "8640";
        &[], 200, &[("last-modified", DAY), ("cache-control", "max-age=5")] => "5";
        &[], 200, &[("last-modified", DAY), ("expires", "0")] => "0";
    }
}

#[tokio::test]
async fn every_final_status_with_a_lifetime_is_stored() {
    for status in [
        200, 201, 202, 203, 204, 205, 299, 300, 302, 307, 400, 404, 416, 418, 499, 500, 503, 599,
        999,
    ] {
        assert_eq!(outcome(&[], status, &[("cache-control", "max-age=9")]).await, "9", "{status}");
    }
    assert_eq!(outcome(&[], 206, &[("cache-control", "max-age=9")]).await, "status");
    assert_eq!(outcome(&[], 304, &[("cache-control", "max-age=9")]).await, "status");
}

#[tokio::test]
async fn must_understand_asks_for_a_known_status() {
    outcomes! {
        &[], 200, &[("cache-control", "max-age=9, must-understand, no-store")] => "9";
        &[], 404, &[("cache-control", "max-age=9, must-understand")] => "9";
        &[], 599, &[("cache-control", "max-age=9, must-understand")] => "status";
        &[], 299, &[("cache-control", "max-age=9, must-understand, no-store")] => "status";
        &[], 200, &[("cache-control", "max-age=9, no-store")] => "no-store";
    }
}

#[tokio::test]
async fn private_and_no_cache_may_speak_of_fields_only() {
    outcomes! {
        &[], 200, &[("cache-control", "max-age=9, private")] => "private";
        &[], 200, &[("cache-control", "max-age=9, private=\"\"")] => "private";
        &[], 200, &[("cache-control", "max-age=9, no-cache")] => "no-cache";
        &[], 200, &[("cache-control", "max-age=9, no-cache"), ("etag", "\"a\"")] => "0";
    }
    let rig = saying(&[&[
        ("cache-control", "max-age=9, private=\"set-cookie, X-Own\", no-cache=\"x-fresh\""),
        ("set-cookie", "a=b"),
        ("x-own", "1"),
        ("x-fresh", "2"),
        ("x-all", "3"),
    ]]);
    let first = rig.get("/a").await;
    assert_eq!((first.field("set-cookie"), first.field("x-own")), ("a=b", "1"));
    let second = rig.get("/a").await;
    assert_eq!((second.field("x-cache"), second.field("x-all")), ("HIT", "3"));
    for gone in ["set-cookie", "x-own", "x-fresh"] {
        assert!(!second.headers.contains_key(gone), "{gone}");
    }
}

/// RFC 9110 §6.6.1: a recipient that stores a response without a date adds one.
#[tokio::test]
async fn a_response_whose_date_is_withheld_gets_one() {
    const DATE: (&str, &str) = ("date", "Sun, 09 Sep 2001 01:46:39 GMT");
    const PRIVATE: Lines = &[("cache-control", "max-age=9, private=\"date\""), DATE];
    const NAMED: Lines = &[("cache-control", "max-age=9"), ("connection", "date"), DATE];
    for said in [&[PRIVATE], &[NAMED]] {
        let rig = saying(said);
        rig.get("/a").await;
        let hit = rig.get("/a").await;
        assert_eq!((hit.field("x-cache"), hit.headers.contains_key("date")), ("HIT", true));
    }
}

#[tokio::test]
async fn responses_to_authorized_requests_must_allow_it() {
    const ALICE: Lines = &[("authorization", "Bearer alice")];
    outcomes! {
        ALICE, 200, &[("cache-control", "max-age=9")] => "authorization";
        ALICE, 200, &[("expires", "Sun, 09 Sep 2001 01:47:40 GMT")] => "authorization";
        ALICE, 200, &[("cache-control", "max-age=9, proxy-revalidate")] => "authorization";
        ALICE, 200, &[("cache-control", "max-age=9, public")] => "9";
        ALICE, 200, &[("cache-control", "max-age=9, must-revalidate")] => "9";
        ALICE, 200, &[("cache-control", "s-maxage=9")] => "9";
        ALICE, 200, &[("cache-control", "max-age=9, public, private")] => "private";
    }
}

#[tokio::test]
async fn cookies_are_private_unless_the_route_says_otherwise() {
    const AGED: Lines = &[("cache-control", "max-age=9")];
    const SETS: Lines = &[("cache-control", "max-age=9"), ("set-cookie", "a=b")];
    const SENT: Lines = &[("cookie", "a=b")];
    assert!(told(Policy::http(), SENT, 200, AGED).await.contains("fwd=bypass; detail=cookie"));
    assert!(told(Policy::http(), &[], 200, SETS).await.contains("detail=set-cookie"));
    let open = || Policy::http().cookies(Cookies::Rfc).set_cookie(SetCookie::DangerReplay);
    assert!(told(open(), SENT, 200, AGED).await.ends_with("stored; ttl=9"));
    assert!(told(open(), SENT, 200, SETS).await.ends_with("stored; ttl=9"));
}

#[tokio::test]
async fn the_policy_may_give_a_default_and_the_response_goes_before_it() {
    let default =
        || Policy::http().lifetime(cache_core::policy::setting::Ttl::For(Duration::from_secs(30)));
    let by_status = || default().ttl_by_status(http::StatusCode::NOT_FOUND, Duration::from_secs(5));
    const DAY: Lines = &[("last-modified", "Sat, 08 Sep 2001 01:46:40 GMT")];
    for (policy, status, lines, ttl) in [
        (default(), 200, &[][..], "ttl=30"),
        (default(), 200, &[("cache-control", "max-age=9")], "ttl=9"),
        (default(), 200, DAY, "ttl=30"),
        (default(), 404, &[], "ttl=30"),
        (by_status(), 404, &[], "ttl=5"),
        (by_status(), 404, &[("cache-control", "max-age=9")], "ttl=9"),
    ] {
        assert!(told(policy, &[], status, lines).await.ends_with(ttl), "{status} {lines:?}");
    }
}

#[tokio::test]
async fn stored_heads_lose_what_belongs_to_a_connection() {
    let rig = saying(&[&[
        ("cache-control", "max-age=9"),
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("proxy-authorization", "Basic eA=="),
        ("te", "trailers"),
        ("trailer", "x-sum"),
        ("upgrade", "h2c"),
        ("x-end", "1"),
    ]]);
    rig.get("/a").await;
    let hit = rig.get("/a").await;
    let mut names: Vec<_> = hit.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let cached = ["accept-ranges", "age", "cache-status", "content-length", "etag", "x-cache"];
    names.retain(|name| !cached.contains(name));
    assert_eq!(names, ["cache-control", "date", "x-end"]);
}

#[tokio::test]
async fn date_is_kept_on_reuse_and_filled_in_where_it_is_missing() {
    const EARLIER: &str = "Sun, 09 Sep 2001 01:46:30 GMT";
    let rig = saying(&[&[("cache-control", "max-age=60"), ("date", EARLIER)]]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(5));
    let hit = rig.get("/a").await;
    assert_eq!((hit.field("date"), hit.field("age")), (EARLIER, "15"));
    let rig = saying(&[&[("cache-control", "max-age=60")]]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(5));
    let hit = rig.get("/a").await;
    assert_eq!((hit.field("date"), hit.field("age")), (START, "5"));
}

#[tokio::test]
async fn content_range_means_nothing_outside_a_206() {
    outcomes! {
        &[], 200, &[("cache-control", "max-age=9"), ("content-range", "bytes 0-1/2")] => "9";
    }
}

#[tokio::test]
async fn statuses_without_a_life_are_not_stored_for_their_validator() {
    for status in [201, 302, 403, 500, 503, 599] {
        assert_eq!(outcome(&[], status, &[("etag", "\"a\"")]).await, "no-lifetime", "{status}");
    }
}

#[tokio::test]
async fn a_default_lifetime_is_not_for_errors() {
    use cache_core::policy::setting::Ttl;
    for (status, stored) in
        [(200, true), (404, true), (302, false), (403, false), (500, false), (503, false)]
    {
        let policy = Policy::http().lifetime(Ttl::For(Duration::from_secs(30)));
        let said = told(policy, &[], status, &[]).await;
        assert_eq!(said.contains("; stored"), stored, "{status} {said}");
    }
}

#[tokio::test]
async fn many_lines_of_one_name_are_no_panic() {
    let rig = crate::engine::rig::Rig::new(Policy::http(), None).handler(|_, _| {
        let mut all = super::response(200, &[("cache-control", "max-age=9")], "x");
        for _ in 0..30_000 {
            all.headers_mut().append("link", http::HeaderValue::from_static("</a>"));
        }
        all
    });
    rig.get("/a").await;
    let again = rig.get("/a").await;
    assert_eq!(again.headers.get_all("link").iter().count(), 30_000);
}
