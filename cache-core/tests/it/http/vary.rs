//! Variants (RFC 9111 §4.1).

use cache_core::Policy;
use cache_core::policy::setting::VaryValues;

use super::{Lines, answering, saying};

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
                rig.store.waits.store(waits, std::sync::atomic::Ordering::SeqCst);
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
