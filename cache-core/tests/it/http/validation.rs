//! Validation inward: the handler is asked whether the stored response holds (RFC 9111 §4.3).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::Policy;
use cache_core::engine::Route;
use http::{HeaderMap, Method};

use super::{Lines, answering, response};
use crate::engine::rig::Rig;

const TAGGED: Lines = &[("cache-control", "max-age=60"), ("etag", "\"a\""), ("x-old", "1")];
const DATED: Lines =
    &[("cache-control", "max-age=60"), ("last-modified", "Sat, 08 Sep 2001 01:46:40 GMT")];

/// What the handler saw of `If-None-Match` and `If-Modified-Since` in each run.
type Seen = Arc<Mutex<Vec<(Option<String>, Option<String>)>>>;

/// A handler that keeps what it was asked; it answers 304 to `holds`.
fn asked(policy: Policy, lines: Lines, news: Lines) -> (Rig, Seen) {
    let seen = Seen::default();
    let kept = Arc::clone(&seen);
    let rig = Rig::new(policy, None).handler(move |request: &HeaderMap, run| {
        let field = |name| request.get(name).map(|value| value.to_str().unwrap().to_owned());
        let conditions = (field("if-none-match"), field("if-modified-since"));
        let holds = conditions != (None, None);
        kept.lock().unwrap().push(conditions);
        if holds {
            response(304, news, "")
        } else {
            response(200, lines, super::BODIES[run.min(5)])
        }
    });
    (rig, seen)
}

async fn later(rig: &Rig, seconds: u64, fields: Lines) -> crate::engine::rig::Answer {
    rig.clock.advance(Duration::from_secs(seconds));
    rig.get_with("/a", fields).await
}

#[tokio::test]
async fn a_stale_response_is_validated_by_its_tag_and_lives_on() {
    let (rig, seen) = asked(Policy::http(), TAGGED, &[("x-new", "2"), ("x-old", "3")]);
    rig.get("/a").await;
    let valid = later(&rig, 61, &[]).await;
    assert_eq!((valid.status, valid.body.as_str()), (200, "first"));
    assert_eq!((valid.field("x-new"), valid.field("x-old")), ("2", "3"));
    let said = "response-cache; fwd=stale; fwd-status=304; stored; ttl=60";
    assert_eq!((valid.field("cache-status"), valid.field("x-cache")), (said, "MISS"));
    assert_eq!(seen.lock().unwrap().last().unwrap(), &(Some("\"a\"".to_owned()), None));
    let hit = later(&rig, 59, &[]).await;
    assert_eq!((hit.field("x-cache"), hit.field("age"), hit.field("x-new")), ("HIT", "59", "2"));
    assert_eq!(rig.runs(), 2);
}

#[tokio::test]
async fn last_modified_validates_too_and_our_own_tag_never() {
    let (rig, seen) = asked(Policy::http(), DATED, &[]);
    let first = rig.get("/a").await;
    assert!(!first.field("etag").is_empty());
    let valid = later(&rig, 61, &[]).await;
    assert_eq!((valid.body.as_str(), valid.field("etag")), ("first", first.field("etag")));
    let wanted = (None, Some("Sat, 08 Sep 2001 01:46:40 GMT".to_owned()));
    assert_eq!(seen.lock().unwrap().last().unwrap(), &wanted);
    // Again, from what was stored by the validation.
    later(&rig, 61, &[]).await;
    assert_eq!(seen.lock().unwrap().last().unwrap(), &wanted);
}

#[tokio::test]
async fn a_new_response_replaces_the_stale_one() {
    let rig = answering(Policy::http(), &[(200, TAGGED)]);
    rig.get("/a").await;
    let new = later(&rig, 61, &[]).await;
    assert_eq!(new.body, "second");
    assert_eq!(
        new.field("cache-status"),
        "response-cache; fwd=stale; fwd-status=200; stored; ttl=60"
    );
    assert_eq!(rig.get("/a").await.body, "second");
}

#[tokio::test]
async fn a_304_confirms_nothing_but_a_200() {
    const GONE: Lines = &[("cache-control", "max-age=60, stale-if-error=600"), ("etag", "\"a\"")];
    let rig = answering(Policy::http(), &[(404, GONE)]).handler(|request, run| {
        assert!(!request.contains_key("if-none-match"));
        response(if run == 1 { 404 } else { 200 }, GONE, super::BODIES[run])
    });
    assert_eq!(rig.get("/a").await.status, 404);
    let found = later(&rig, 61, &[]).await;
    assert_eq!((found.status, found.body.as_str()), (200, "second"));
}

#[tokio::test]
async fn the_clients_own_condition_is_judged_on_the_validated_response() {
    let (rig, seen) = asked(Policy::http(), TAGGED, &[]);
    rig.get("/a").await;
    let other = later(&rig, 61, &[("if-none-match", "\"b\"")]).await;
    assert_eq!((other.status, other.body.as_str()), (200, "first"));
    assert_eq!(seen.lock().unwrap().last().unwrap().0.as_deref(), Some("\"a\""));
    let same = later(&rig, 61, &[("if-none-match", "\"a\"")]).await;
    assert_eq!((same.status, same.body.as_str()), (304, ""));
    let ranged = later(&rig, 10, &[("range", "bytes=0-1")]).await;
    assert_eq!((ranged.status, ranged.body.as_str()), (206, "fi"));
}

#[tokio::test]
async fn a_request_for_a_fresh_answer_validates_too() {
    let (rig, seen) = asked(Policy::http(), TAGGED, &[]);
    rig.get("/a").await;
    let valid = later(&rig, 5, &[("cache-control", "no-cache")]).await;
    assert_eq!(valid.body, "first");
    assert!(valid.field("cache-status").contains("fwd=request; fwd-status=304; stored"));
    assert_eq!(seen.lock().unwrap().last().unwrap().0.as_deref(), Some("\"a\""));
}

#[tokio::test]
async fn no_cache_is_stored_and_validated_each_time() {
    const NO_CACHE: Lines = &[("cache-control", "no-cache, max-age=60"), ("etag", "\"a\"")];
    let (rig, seen) = asked(Policy::http(), NO_CACHE, NO_CACHE);
    for run in 1..4 {
        assert_eq!(rig.get("/a").await.body, "first");
        assert_eq!(rig.runs(), run);
    }
    assert_eq!(seen.lock().unwrap().last().unwrap().0.as_deref(), Some("\"a\""));
}

#[tokio::test]
async fn keep_bounds_how_long_a_stale_response_waits() {
    for (policy, lasts) in
        [(Policy::http(), 3600), (Policy::http().keep(Duration::from_secs(10)), 10)]
    {
        let (rig, _) = asked(policy.clone(), TAGGED, &[]);
        rig.get("/a").await;
        assert_eq!(later(&rig, 60 + lasts - 1, &[]).await.body, "first");
        let (rig, seen) = asked(policy, TAGGED, &[]);
        rig.get("/a").await;
        assert_eq!(later(&rig, 60 + lasts + 1, &[]).await.body, "second");
        assert_eq!(seen.lock().unwrap().last().unwrap(), &(None, None));
    }
}

#[tokio::test]
async fn a_304_that_may_not_be_stored_serves_its_client_only() {
    let (rig, _) = asked(Policy::http(), TAGGED, &[("cache-control", "no-store"), ("x-new", "2")]);
    rig.get("/a").await;
    let valid = later(&rig, 61, &[]).await;
    assert_eq!((valid.body.as_str(), valid.field("x-new")), ("first", "2"));
    assert_eq!(valid.field("age"), "0");
    assert!(valid.field("cache-status").ends_with("fwd-status=304; detail=no-store"));
    // By the head that it has now, it may not lie in the store.
    assert_eq!(rig.get_with("/a", &[("cache-control", "max-stale")]).await.body, "third");
}

#[tokio::test]
async fn a_304_of_another_response_updates_nothing() {
    let (rig, _) = asked(Policy::http(), TAGGED, &[("etag", "\"b\""), ("x-new", "2")]);
    rig.get("/a").await;
    let valid = later(&rig, 61, &[]).await;
    assert_eq!((valid.body.as_str(), valid.field("etag")), ("first", "\"a\""));
    assert!(!valid.headers.contains_key("x-new"));
    assert!(valid.field("cache-status").ends_with("detail=other-validator"), "{valid:?}");
}

#[tokio::test]
async fn an_invalidation_during_the_validation_wins() {
    let policy = Policy::http().tag("t");
    let (rig, _) = asked(policy, TAGGED, &[]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    rig.in_handler.shut();
    let asking = rig.ask("/a");
    rig.in_handler.reached().await;
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    rig.in_handler.open();
    let valid = asking.await.unwrap();
    assert_eq!(valid.body, "first");
    assert!(valid.field("cache-status").ends_with("detail=superseded"), "{valid:?}");
    assert_eq!(rig.get("/a").await.body, "third");
}

#[tokio::test]
async fn a_validated_response_keeps_the_tags_it_had() {
    let (rig, _) = asked(Policy::http().tag("old"), TAGGED, &[]);
    rig.get("/a").await;
    // The same key, as a later deployment would have it.
    let newer = Policy::http().tag("new");
    let rig = Rig { route: Route::new(&rig.cache, newer).unwrap(), ..rig };
    assert_eq!(later(&rig, 61, &[]).await.body, "first");
    assert_eq!(rig.get("/a").await.field("x-cache"), "HIT");
    for tag in ["new", "old"] {
        let before = rig.runs();
        rig.cache.invalidate_tags([tag]).await.unwrap();
        rig.get("/a").await;
        assert_eq!(rig.runs(), before + 1, "{tag}");
        rig.cache.clear().await.unwrap();
        let old = Rig {
            route: Route::new(&rig.cache, Policy::http().tag("old")).unwrap(),
            ..rig.clone()
        };
        old.get("/a").await;
        later(&rig, 61, &[]).await;
    }
}

#[tokio::test]
async fn concurrent_requests_share_one_validation() {
    let (rig, _) = asked(Policy::http(), TAGGED, &[]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    let before = rig.store.lookups.load(std::sync::atomic::Ordering::SeqCst);
    rig.in_handler.shut();
    let ask = || {
        let rig = rig.clone();
        tokio::spawn(async move { rig.get("/a").await })
    };
    let leader = ask();
    rig.in_handler.reached().await;
    let follower = ask();
    rig.looked_up(before + 2).await;
    rig.in_handler.open();
    assert_eq!(leader.await.unwrap().body, "first");
    let follower = follower.await.unwrap();
    assert_eq!(follower.body, "first");
    assert!(follower.field("cache-status").contains("collapsed"), "{follower:?}");
    assert_eq!(rig.runs(), 2);
}

#[tokio::test]
async fn a_fixed_lifetime_validates_as_well() {
    let policy = Policy::ttl(Duration::from_secs(60)).keep(Duration::from_secs(600));
    let (rig, seen) = asked(policy, &[("etag", "\"a\"")], &[]);
    rig.get("/a").await;
    assert_eq!(later(&rig, 61, &[]).await.body, "first");
    assert_eq!(seen.lock().unwrap().last().unwrap().0.as_deref(), Some("\"a\""));
    assert_eq!(later(&rig, 59, &[]).await.field("x-cache"), "HIT");
}

#[tokio::test]
async fn head_validates_what_a_head_request_stored() {
    let (rig, _) = asked(Policy::http(), TAGGED, &[("x-new", "2")]);
    rig.request(Method::HEAD, "/a", &[]).await;
    rig.clock.advance(Duration::from_secs(61));
    let head = rig.request(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status, head.field("x-new")), (200, "2"));
}

/// What HEAD makes of a stored GET; the handler's answer to HEAD is `head`.
async fn after_head(
    head: Lines,
    request: Lines,
    seconds: u64,
) -> (Rig, crate::engine::rig::Answer) {
    let answers: &'static [(u16, Lines)] = Vec::leak(vec![(200, TAGGED), (200, head)]);
    let rig = answering(Policy::http(), answers);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(seconds));
    let answer = rig.request(Method::HEAD, "/a", request).await;
    (rig, answer)
}

#[tokio::test]
async fn head_confirms_a_stale_get() {
    const SAME: Lines = &[
        ("cache-control", "max-age=60"),
        ("etag", "\"a\""),
        ("x-new", "2"),
        ("content-length", "5"),
    ];
    let (rig, head) = after_head(SAME, &[], 61).await;
    assert_eq!(head.field("x-new"), "2");
    assert!(
        head.field("cache-status").ends_with("fwd=stale; fwd-status=200; stored; ttl=60"),
        "{head:?}"
    );
    let get = later(&rig, 30, &[]).await;
    assert_eq!((get.body.as_str(), get.field("x-cache")), ("first", "HIT"));
    assert_eq!((get.field("x-new"), get.field("x-old"), get.field("age")), ("2", "1", "30"));
}

#[tokio::test]
async fn head_of_another_representation_ends_a_stored_get() {
    const NO_CACHE: Lines = &[("cache-control", "no-cache")];
    for other in [
        &[("cache-control", "max-age=60"), ("etag", "\"b\"")][..],
        &[("cache-control", "max-age=60"), ("etag", "\"a\""), ("content-length", "9")],
        &[("cache-control", "max-age=60")],
    ] {
        let (rig, _) = after_head(other, NO_CACHE, 5).await;
        assert_eq!(rig.get("/a").await.body, "third", "{other:?}");
    }
}

#[tokio::test]
async fn the_client_that_asked_keeps_what_is_its_own() {
    use cache_core::policy::setting::SetCookie;
    const NEWS: Lines = &[
        ("cache-control", "max-age=60, private=\"x-own\""),
        ("set-cookie", "a=b"),
        ("x-own", "1"),
    ];
    for fields in [&[][..], &[("if-none-match", "*")]] {
        let (rig, _) = asked(Policy::http().set_cookie(SetCookie::Strip), TAGGED, NEWS);
        rig.get("/a").await;
        let valid = later(&rig, 61, fields).await;
        // A 304 would have no cookie.
        assert_eq!(valid.status, 200);
        assert_eq!((valid.field("set-cookie"), valid.field("x-own")), ("a=b", "1"));
        let hit = rig.get("/a").await;
        assert_eq!(hit.field("x-cache"), "HIT");
        assert!(!hit.headers.contains_key("set-cookie") && !hit.headers.contains_key("x-own"));
    }
}

#[tokio::test]
async fn a_304_that_makes_a_response_private_ends_it() {
    const OLD: Lines = &[("cache-control", "max-age=600"), ("etag", "\"a\"")];
    for news in ["private", "no-store", "private, max-age=60"] {
        let lines: Lines = Vec::leak(vec![("cache-control", news)]);
        let answers: &'static [(u16, Lines)] =
            Vec::leak(vec![(200, OLD), (304, lines), (200, OLD)]);
        let rig = answering(Policy::http(), answers);
        rig.get("/a").await;
        let own = rig.get_with("/a", &[("cache-control", "no-cache")]).await;
        assert_eq!(own.body, "first");
        assert_eq!(rig.get("/a").await.body, "third", "{news}");
    }
}

#[tokio::test]
async fn what_was_invalidated_before_the_ticket_is_not_validated() {
    let (rig, seen) = asked(Policy::http().tag("t"), DATED, &[]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    rig.store.before_begin.shut();
    let asking = rig.ask("/a");
    rig.store.before_begin.reached().await;
    // Changed within the second that `Last-Modified` says, so that a 304 would be wrong.
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    rig.store.before_begin.open();
    assert_eq!(asking.await.unwrap().body, "second");
    assert_eq!(seen.lock().unwrap().last().unwrap(), &(None, None));
    assert_eq!(rig.get("/a").await.body, "second");
}

#[tokio::test]
async fn what_was_invalidated_is_confirmed_by_no_head() {
    const SAME: Lines = &[DATED[0], DATED[1], ("content-length", "5")];
    let rig = answering(Policy::http().tag("t"), &[(200, DATED), (200, SAME)]);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(61));
    rig.store.waits.store(true, std::sync::atomic::Ordering::SeqCst);
    let before = rig.store.lookups.load(std::sync::atomic::Ordering::SeqCst);
    let asking = tokio::spawn({
        let rig = rig.clone();
        async move { rig.request(Method::HEAD, "/a", &[]).await }
    });
    // The GET is found; the HEAD is looked up, and its ticket issued, after the invalidation.
    rig.looked_up(before + 2).await;
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    asking.await.unwrap();
    assert_eq!(rig.get("/a").await.body, "third");
}
