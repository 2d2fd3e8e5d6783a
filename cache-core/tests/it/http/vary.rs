//! Variants (RFC 9111 §4.1).

use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::Policy;
use cache_core::policy::setting::VaryValues;

use super::{Lines, answering, saying};

const AGED: Lines = &[("cache-control", "max-age=600")];

const VARIES: Lines = &[("cache-control", "max-age=60"), ("vary", "foo, accept-language")];

#[tokio::test]
async fn values_that_mean_the_same_select_the_same() {
    for (one, other, exact) in [
        (&[("foo", "1, 2")][..], &[("foo", "1"), ("foo", "2")][..], false),
        (&[("foo", "1,2")], &[("foo", "1 ,\t2")], false),
        (&[("accept-language", "en, de")], &[("accept-language", "de, EN")], false),
        (&[("accept-language", "en, de")], &[("accept-language", "en, de")], true),
    ] {
        for (values, hits) in [(VaryValues::Normalised, true), (VaryValues::Exact, exact)] {
            let rig = answering(Policy::http().vary_values(values), &[(200, VARIES)]);
            for waits in [false, true] {
                rig.store.waits.store(waits, Ordering::SeqCst);
                rig.get_with("/a", one).await;
                let again = rig.get_with("/a", other).await;
                let hit = again.field("x-cache") == "HIT";
                assert!(hit == hits || waits && hit, "{other:?} by {values:?}: {again:?}");
            }
        }
    }
}

#[tokio::test]
async fn other_values_are_other_variants() {
    for (one, other) in [
        (&[("foo", "1")][..], &[("foo", "2")][..]),
        (&[("foo", "1")], &[]),
        (&[], &[("foo", "1")]),
        (&[("foo", "a")], &[("foo", "A")]),
        (&[("foo", "1,2")], &[("foo", "2,1")]),
        (&[("foo", "")], &[]),
        (&[("accept-language", "en, de;q=0.5")], &[("accept-language", "en;q=0.5, de")]),
    ] {
        let rig = answering(Policy::http(), &[(200, VARIES)]);
        rig.get_with("/a", one).await;
        let miss = rig.get_with("/a", other).await;
        assert!(miss.field("cache-status").contains("fwd=vary-miss"), "{miss:?}");
    }
}

#[tokio::test]
async fn an_older_variant_outlives_a_newer_response_that_is_not_stored() {
    const UNSTORABLE: Lines = &[("cache-control", "no-store"), ("vary", "foo")];
    let rig = saying(&[VARIES, UNSTORABLE]);
    rig.get_with("/a", &[("foo", "1")]).await;
    assert_eq!(rig.get_with("/a", &[("foo", "2")]).await.body, "second");
    let old = rig.get_with("/a", &[("foo", "1")]).await;
    assert_eq!((old.field("x-cache"), old.body.as_str()), ("HIT", "first"));
}

#[tokio::test]
async fn a_star_anywhere_is_never_stored() {
    for lines in [
        &[("cache-control", "max-age=60"), ("vary", "*")][..],
        &[("cache-control", "max-age=60"), ("vary", "foo, *")],
        &[("cache-control", "max-age=60"), ("vary", ""), ("vary", "*")],
        &[("cache-control", "max-age=60"), ("vary", "foo"), ("vary", ", *")],
    ] {
        let all: &'static [Lines] = Vec::leak(vec![lines]);
        let rig = saying(all);
        assert!(rig.get("/a").await.field("cache-status").ends_with("detail=vary"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_response_that_stops_varying_does_not_answer_other_variants() {
    for waits in [false, true] {
        let rig = answering(
            Policy::http(),
            &[
                (
                    200,
                    &[
                        ("cache-control", "max-age=60, no-cache=\"vary\""),
                        ("etag", "\"a\""),
                        ("vary", "foo"),
                    ],
                ),
                (304, &[("etag", "\"a\"")]),
                (200, AGED),
            ],
        );
        rig.store.waits.store(waits, Ordering::SeqCst);
        rig.get_with("/a", &[("foo", "1")]).await;
        rig.clock.advance(Duration::from_secs(61));
        assert_eq!(rig.get_with("/a", &[("foo", "1")]).await.body, "first");
        assert_eq!(rig.get_with("/a", &[("foo", "2")]).await.body, "third", "waits: {waits}");
    }
}

#[tokio::test]
async fn both_kinds_of_store_treat_a_response_without_vary_alike() {
    for waits in [false, true] {
        let rig = answering(
            Policy::http(),
            &[
                (200, &[("cache-control", "max-age=60"), ("etag", "\"a\""), ("vary", "foo")]),
                (200, AGED),
                (200, AGED),
            ],
        );
        rig.store.waits.store(waits, Ordering::SeqCst);
        rig.get_with("/a", &[("foo", "1")]).await;
        rig.clock.advance(Duration::from_secs(61));
        assert_eq!(rig.get_with("/a", &[("foo", "1")]).await.body, "second");
        assert_eq!(rig.get_with("/a", &[("foo", "2")]).await.body, "third", "waits: {waits}");
    }
}

#[tokio::test]
async fn a_refresh_keeps_what_selects() {
    for waits in [false, true] {
        let rig = answering(
            Policy::http(),
            &[
                (
                    200,
                    &[
                        (
                            "cache-control",
                            "max-age=60, stale-while-revalidate=30, no-cache=\"vary\"",
                        ),
                        ("etag", "\"a\""),
                        ("vary", "foo"),
                    ],
                ),
                (304, &[("etag", "\"a\"")]),
                (200, AGED),
            ],
        );
        rig.store.waits.store(waits, Ordering::SeqCst);
        rig.get_with("/a", &[("foo", "1")]).await;
        rig.clock.advance(Duration::from_secs(61));
        assert_eq!(rig.get_with("/a", &[("foo", "1")]).await.body, "first");
        while rig.store.puts.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(rig.get_with("/a", &[("foo", "2")]).await.body, "third", "waits: {waits}");
    }
}

#[tokio::test]
async fn open_quotes_do_not_join_lines() {
    const VARIES: Lines = &[("cache-control", "max-age=60"), ("vary", "foo")];
    for (one, other) in [
        (&[("foo", "\"a"), ("foo", "b\"")][..], &[("foo", "\"a,b\"")][..]),
        (&[("foo", "\"a, b\"")], &[("foo", "\"a"), ("foo", " b\"")]),
    ] {
        let rig = saying(&[VARIES]);
        rig.get_with("/a", one).await;
        assert_eq!(rig.get_with("/a", other).await.body, "second", "{one:?}");
    }
}

#[tokio::test]
async fn space_inside_a_language_is_no_language() {
    const VARIES: Lines = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    let rig = saying(&[VARIES]);
    rig.get_with("/a", &[("accept-language", "e n")]).await;
    assert_eq!(rig.get_with("/a", &[("accept-language", "en")]).await.body, "second");
}
