//! Parsers against arbitrary bytes: they never panic, and what they find is there.

use cache_core::field::cache_control::CacheControl;
use cache_core::field::reference::{Base, same_origin};
use cache_core::field::{age, groups, targeted};
use http::header::{AGE, CACHE_CONTROL};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Field lines with whatever bytes are allowed in one.
fn lines() -> impl Strategy<Value = Vec<HeaderValue>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        "[a-z=\",;() ?0-9*:-]{0,60}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(bytes, 0..4).prop_map(|all| {
        all.iter().filter_map(|bytes| HeaderValue::from_bytes(bytes).ok()).collect()
    })
}

fn map(name: &HeaderName, lines: Vec<HeaderValue>) -> HeaderMap {
    lines.into_iter().map(|line| (name.clone(), line)).collect()
}

proptest! {
    #[test]
    fn cache_control_reads_anything(lines in lines()) {
        let read = CacheControl::of(&map(&CACHE_CONTROL, lines.clone()));
        prop_assert!(!read.private_all || read.private);
        prop_assert!(!read.no_cache_all || read.no_cache);
        let text = lines.iter().map(|line| line.as_bytes().to_ascii_lowercase()).collect::<Vec<_>>();
        let has = |word: &[u8]| text.iter().any(|line| line.windows(word.len()).any(|w| w == word));
        prop_assert!(!read.no_store || has(b"no-store"));
        prop_assert!(read.max_age.is_none() || has(b"max-age"));
    }

    #[test]
    fn a_forbidding_directive_is_found_among_others(
        before in "[a-z0-9=, -]{0,30}",
        after in "[a-z0-9=, -]{0,30}",
        word in prop_oneof![Just("no-store"), Just("NO-STORE"), Just("No-Store")],
    ) {
        let line = HeaderValue::from_str(&format!("{before},{word},{after}")).unwrap();
        prop_assert!(CacheControl::of(&map(&CACHE_CONTROL, vec![line])).no_store);
    }

    #[test]
    fn age_is_bounded(lines in lines(), number in any::<u64>()) {
        prop_assert!(age::stated(&map(&AGE, lines)).as_secs() <= 1 << 31);
        let line = HeaderValue::from_str(&number.to_string()).unwrap();
        prop_assert_eq!(age::stated(&map(&AGE, vec![line])).as_secs(), number.min(1 << 31));
    }

    #[test]
    fn structured_fields_read_anything(lines in lines()) {
        let _ = targeted::of(&map(&CDN, lines.clone()), &[CDN]);
        let names = groups::of(&map(&groups::CACHE_GROUPS, lines), &groups::CACHE_GROUPS);
        prop_assert!(names.is_none_or(|names| names.len() <= groups::MAX_GROUPS));
    }

    #[test]
    fn groups_come_back_as_they_were_named(names in prop::collection::vec("[ !#-\\[\\]-~]{0,40}", 0..40)) {
        let text = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let line = HeaderValue::from_str(&text).unwrap();
        let read = groups::of(&map(&groups::CACHE_GROUPS, vec![line]), &groups::CACHE_GROUPS).unwrap();
        prop_assert!(names.iter().all(|name| read.contains(name)));
        prop_assert!(read.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn a_reference_leads_to_a_path_on_the_origin(reference in "\\PC{0,40}", path in "/[a-z./]{0,20}") {
        let base = Base { scheme: None, authority: Some("example.org"), path: &path, query: None };
        if let Some(target) = same_origin(&base, &reference) {
            prop_assert!(target.path.starts_with('/'), "{target:?}");
            prop_assert!(!target.path.contains(['?', '#']) || path.contains(['?', '#']), "{target:?}");
        }
    }

    #[test]
    fn no_other_authority_is_the_same_origin(authority in "[a-z0-9.-]{1,20}(:[0-9]{1,5})?") {
        let base = Base { scheme: Some("http"), authority: Some("example.org"), path: "/", query: None };
        let found = same_origin(&base, &format!("http://{authority}/x")).is_some();
        let same = matches!(authority.as_str(), "example.org" | "example.org:80");
        prop_assert_eq!(found, same);
    }
}
