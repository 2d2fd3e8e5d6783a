//! Unsafe requests invalidate (RFC 9111 §4.4).

use std::time::Duration;

use cache_core::Policy;
use cache_core::policy::setting::{OnInvalidationError, UnsafeInvalidates};
use http::Method;

use super::{Lines, answering, saying};
use crate::engine::rig::Rig;

const AGED: Lines = &[("cache-control", "max-age=600")];

fn method(text: &str) -> Method {
    Method::from_bytes(text.as_bytes()).unwrap()
}

/// Stores `read`, sends `unsafe_method` to `/dir/a` whose answer is `write`, and says whether `read`
/// is still stored.
async fn survives(read: &str, unsafe_method: &str, write: (u16, Lines)) -> bool {
    survives_under(Policy::http(), read, unsafe_method, write).await
}

async fn survives_under(policy: Policy, read: &str, verb: &str, write: (u16, Lines)) -> bool {
    let answers: &'static [(u16, Lines)] = Vec::leak(vec![(200, AGED), write, (200, AGED)]);
    let rig = answering(policy, answers);
    let host: Lines = &[("host", "example.org")];
    rig.get_with(read, host).await;
    let said = rig.request(method(verb), "/dir/a", host).await;
    assert_eq!(said.status, write.0);
    assert_eq!(said.field("cache-status"), "response-cache; fwd=method; detail=method");
    rig.get_with(read, host).await.field("x-cache") == "HIT"
}

#[tokio::test]
async fn success_with_any_method_that_is_not_known_to_be_safe_invalidates_the_target() {
    for verb in ["POST", "PUT", "PATCH", "DELETE", "M-SEARCH", "FOO"] {
        for status in [200, 201, 204, 299, 302, 303] {
            assert!(!survives("/dir/a", verb, (status, &[])).await, "{verb} {status}");
        }
        for status in [400, 404, 500, 503] {
            assert!(survives("/dir/a", verb, (status, &[])).await, "{verb} {status}");
        }
        assert!(survives("/dir/b", verb, (200, &[])).await, "{verb}");
        assert!(survives("/dir/a?q", verb, (200, &[])).await, "{verb}");
    }
    for verb in ["OPTIONS", "TRACE", "PROPFIND", "QUERY"] {
        assert!(survives("/dir/a", verb, (200, &[])).await, "{verb}");
    }
}

#[tokio::test]
async fn location_and_content_location_count_on_the_same_origin() {
    for name in ["location", "content-location"] {
        for (value, hits) in [
            ("/dir/b", false),
            ("b", false),
            ("./b", false),
            ("../dir/b", false),
            ("http://example.org/dir/b", false),
            ("//example.org:80/dir/b", false),
            ("https://example.org/dir/b#x", false),
            ("http://other.example/dir/b", true),
            ("http://example.org:8080/dir/b", true),
            ("/dir/b?x", true),
            ("c", true),
            ("mailto:a@b", true),
        ] {
            let lines: Lines = Vec::leak(vec![(name, value)]);
            assert_eq!(survives("/dir/b", "POST", (201, lines)).await, hits, "{name}: {value}");
        }
    }
}

#[tokio::test]
async fn the_setting_switches_it() {
    let none = Policy::http().unsafe_invalidates(UnsafeInvalidates::None);
    assert!(survives_under(none, "/dir/a", "POST", (200, &[])).await);
    let uri = Policy::ttl(Duration::from_secs(60)).unsafe_invalidates(UnsafeInvalidates::Uri);
    assert!(!survives_under(uri, "/dir/a", "POST", (200, &[])).await);
    assert!(
        survives_under(Policy::ttl(Duration::from_secs(60)), "/dir/a", "POST", (200, &[])).await
    );
}

#[tokio::test]
async fn what_makes_no_difference_to_the_key_makes_none_here() {
    use cache_core::key::query::QueryRule;
    let rig = answering(Policy::http(), &[(200, AGED)]);
    rig.get("/a?x=1&y=2").await;
    rig.request(Method::POST, "/a?y=2&x=1", &[]).await;
    assert_eq!(rig.get("/a?x=1&y=2").await.body, "third");
    let rule: QueryRule = serde_json::from_str(r#"{"only":["x"]}"#).unwrap();
    let rig = answering(Policy::http().query(rule), &[(200, AGED)]);
    rig.get("/a?x=1&noise=2").await;
    rig.request(Method::POST, "/a?x=1", &[]).await;
    assert_eq!(rig.get("/a?x=1").await.body, "third");
    let rig = answering(Policy::http().key("one"), &[(200, AGED)]);
    rig.get("/a").await;
    rig.request(Method::POST, "/b", &[]).await;
    assert_eq!(rig.get("/a").await.body, "third");
}

#[tokio::test]
async fn every_variant_and_head_go_too() {
    let rig =
        answering(Policy::http(), &[(200, &[("cache-control", "max-age=600"), ("vary", "foo")])]);
    let one: Lines = &[("foo", "1")];
    let two: Lines = &[("foo", "2")];
    rig.get_with("/a", one).await;
    rig.get_with("/a", two).await;
    rig.request(Method::HEAD, "/b", &[]).await;
    rig.request(Method::DELETE, "/a", &[]).await;
    rig.request(Method::DELETE, "/b", &[]).await;
    for fields in [one, two] {
        assert_eq!(rig.get_with("/a", fields).await.field("x-cache"), "MISS");
    }
    assert_eq!(rig.request(Method::HEAD, "/b", &[]).await.field("x-cache"), "MISS");
}

#[tokio::test]
async fn a_fill_that_began_before_the_write_is_not_stored() {
    let rig = answering(Policy::http(), &[(200, AGED)]);
    rig.in_handler.shut();
    let reading = rig.ask("/a");
    rig.in_handler.reached().await;
    let writing = tokio::spawn({
        let rig = rig.clone();
        async move { rig.request(Method::PUT, "/a", &[]).await }
    });
    while rig.runs() < 2 {
        tokio::task::yield_now().await;
    }
    rig.in_handler.open();
    let (_, write) = (reading.await.unwrap(), writing.await.unwrap());
    assert_eq!(write.status, 200);
    assert_ne!(rig.get("/a").await.body, "first");
}

#[tokio::test]
async fn it_works_while_the_cache_is_switched_off() {
    let rig = answering(Policy::http(), &[(200, AGED)]);
    rig.get("/a").await;
    rig.cache.set_enabled(false);
    rig.request(Method::POST, "/a", &[]).await;
    rig.cache.set_enabled(true);
    assert_eq!(rig.get("/a").await.body, "third");
}

#[tokio::test]
async fn a_store_that_fails_is_told_as_the_policy_says() {
    for (rule, status) in
        [(OnInvalidationError::Pass, 200), (OnInvalidationError::Unavailable, 503)]
    {
        let rig: Rig = answering(Policy::http().on_invalidation_error(rule), &[(200, AGED)]);
        rig.store.fail_invalidations.store(true, std::sync::atomic::Ordering::SeqCst);
        let write = rig.request(Method::POST, "/a", &[]).await;
        assert_eq!(write.status, status);
        let said = "response-cache; fwd=method; detail=invalidation-failed";
        assert_eq!(write.field("cache-status"), said);
        assert_eq!(rig.cache.stats().invalidation_errors, 1);
    }
}

#[tokio::test]
async fn countless_targets_are_invalidated_and_leave_few_marks() {
    let rig = answering(Policy::http(), &[(200, AGED)]);
    for n in 0..1100 {
        rig.request(Method::POST, &format!("/flood/{n}"), &[]).await;
    }
    // By a mark that it shares with others, now that its own would be one too many.
    rig.get("/a").await;
    rig.request(Method::POST, "/a", &[]).await;
    assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
    assert_eq!(rig.get("/a").await.field("x-cache"), "HIT");
}

#[tokio::test]
async fn a_write_reaches_what_another_protocol_version_stored() {
    for (read, read_host, write, write_host) in [
        ("https://example.org/a", None, "/a", Some("example.org")),
        ("/a", Some("example.org"), "https://example.org/a", None),
        ("/a", Some("example.org:80"), "/a", Some("Example.org")),
        ("https://example.org:443/a", None, "/a", Some("Example.org")),
    ] {
        let fields = |host: Option<&'static str>| -> Lines {
            host.map_or(&[], |host| Vec::leak(vec![("host", host)]))
        };
        let rig = saying(&[AGED]);
        rig.get_with(read, fields(read_host)).await;
        rig.request(Method::POST, write, fields(write_host)).await;
        assert_eq!(rig.get_with(read, fields(read_host)).await.body, "third", "{read} {write}");
    }
}
