//! Keys are injective over their parts.

use cache_core::key::Digest;
use cache_core::key::canonical::{Canonical, Part};
use cache_core::key::query::{QueryRule, canonical_name};
use cache_core::tag::Tag;
use proptest::prelude::*;

fn digest(parts: &[(bool, Vec<u8>)]) -> Digest {
    let mut canonical = Canonical::new();
    for (named, bytes) in parts {
        if *named {
            canonical.named(Part::Field, b"f", std::iter::once(bytes.as_slice()));
        } else {
            canonical.part(Part::Path, bytes);
        }
    }
    canonical.digest()
}

/// Short parts over few letters, so that ambiguous spellings would meet.
fn parts() -> impl Strategy<Value = Vec<(bool, Vec<u8>)>> {
    let byte = prop::sample::select(vec![0_u8, 1, 5, 7, b'a', b'\x1f', b'/']);
    prop::collection::vec((any::<bool>(), prop::collection::vec(byte, 0..4)), 0..4)
}

proptest! {
    #[test]
    fn c038_different_parts_give_different_keys(a in parts(), b in parts()) {
        prop_assert_eq!(a == b, digest(&a) == digest(&b));
    }

    #[test]
    fn c035_query_order_of_names_never_matters_and_that_of_values_always_does(
        names in prop::collection::vec("[a-c]{1,2}", 1..6),
    ) {
        let segments: Vec<String> =
            names.iter().enumerate().map(|(i, name)| format!("{name}={i}")).collect();
        let query = segments.join("&");
        let mut by_name = segments;
        by_name.sort_by(|a, b| a.split('=').next().cmp(&b.split('=').next()));
        let sorted = QueryRule::Sorted.segments(&query);
        prop_assert_eq!(sorted, by_name);
    }

    #[test]
    fn key_tags_never_depend_on_query_order(a in "[a-z]{1,3}", b in "[a-z]{1,3}") {
        prop_assume!(a != b);
        let (one, other) = (format!("/p?{a}=1&{b}=2"), format!("/p?{b}=2&{a}=1"));
        prop_assert_eq!(canonical_name(&one), canonical_name(&other));
        prop_assert_eq!(Tag::key(None, &one), Tag::key(None, &other));
    }

    #[test]
    fn query_rules_never_panic(query in ".{0,60}", name in ".{0,5}") {
        let rules = [
            QueryRule::Sorted,
            QueryRule::Raw,
            QueryRule::Only(vec![name.clone()]),
            QueryRule::Except(vec![name, "tracking".to_owned()]),
        ];
        for rule in rules {
            let _ = rule.segments(&query);
        }
    }
}

#[test]
fn absent_is_not_empty() {
    let mut absent = Canonical::new();
    absent.named(Part::Field, b"f", std::iter::empty());
    let mut empty = Canonical::new();
    empty.named(Part::Field, b"f", std::iter::once(&b""[..]));
    assert_ne!(absent.digest(), empty.digest());
}
