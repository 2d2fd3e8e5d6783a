//! Targeted cache control: `Cache-Control` that is meant for some caches only (RFC 9213).

use http::header::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::cache_control::CacheControl;

/// The directives of the first of these fields that a response has with something in it; `None`
/// if `Cache-Control` and `Expires` count (§2.2).
///
/// A field that is no structured dictionary is not there. A directive of the wrong type is
/// ignored, unless it is one that forbids.
#[must_use]
pub fn of(headers: &HeaderMap, names: &[HeaderName]) -> Option<CacheControl> {
    names.iter().find_map(|name| read(headers, name))
}

fn read(headers: &HeaderMap, name: &HeaderName) -> Option<CacheControl> {
    if !headers.contains_key(name) {
        return None;
    }
    // Lines are one dictionary, in which the last of equal keys counts.
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut all = CacheControl::default();
    for (key, entry) in &dictionary {
        let value = match entry {
            ListEntry::Item(item) => Some(&item.bare_item),
            ListEntry::InnerList(_) => None,
        };
        apply(&mut all, key.as_str(), value);
    }
    Some(all)
}

fn apply(all: &mut CacheControl, key: &str, value: Option<&BareItem>) {
    let restrains = matches!(
        key,
        "no-store"
            | "no-cache"
            | "private"
            | "must-revalidate"
            | "proxy-revalidate"
            | "must-understand"
    );
    match value {
        Some(BareItem::Boolean(true)) => all.apply(key.as_bytes(), None),
        Some(BareItem::Boolean(false)) => {}
        Some(BareItem::String(names)) if matches!(key, "no-cache" | "private") => {
            all.apply(key.as_bytes(), Some(format!("\"{}\"", names.as_str()).as_bytes()));
        }
        Some(BareItem::Integer(seconds)) if !restrains => {
            let seconds = i64::from(*seconds).max(0).to_string();
            all.apply(key.as_bytes(), Some(seconds.as_bytes()));
        }
        _ if restrains => all.apply(key.as_bytes(), None),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OWN: HeaderName = HeaderName::from_static("my-cache-control");
    const CDN: HeaderName = HeaderName::from_static("cdn-cache-control");

    fn map(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect()
    }

    fn cdn(line: &'static str) -> Option<CacheControl> {
        of(&map(&[(CDN, line)]), &[OWN, CDN])
    }

    #[test]
    fn the_first_field_of_the_list_counts() {
        let both = map(&[(CDN, "max-age=5"), (OWN, "max-age=7")]);
        assert_eq!(of(&both, &[OWN, CDN]).unwrap().max_age, Some(Duration::from_secs(7)));
        assert_eq!(of(&both, &[CDN]).unwrap().max_age, Some(Duration::from_secs(5)));
        assert_eq!(of(&both, &[]), None);
        let invalid = map(&[(CDN, "max-age=5"), (OWN, "max-age=;")]);
        assert_eq!(of(&invalid, &[OWN, CDN]).unwrap().max_age, Some(Duration::from_secs(5)));
    }

    #[test]
    fn several_lines_are_one_dictionary() {
        let lines = [(CDN, "max-age=5, public"), (CDN, "max-age=9")];
        let headers: HeaderMap = {
            let mut headers = HeaderMap::new();
            for (name, line) in lines {
                headers.append(name, HeaderValue::from_static(line));
            }
            headers
        };
        let read = of(&headers, &[CDN]).unwrap();
        assert!(read.public);
        assert_eq!(read.max_age, Some(Duration::from_secs(9)));
    }

    #[test]
    fn empty_and_broken_fields_are_not_there() {
        for line in ["", "  ", "max-age=", "Max-Age=5", "max-age=5;;", "a b"] {
            assert_eq!(cdn(line), None, "{line:?}");
        }
    }

    #[test]
    fn types_matter_and_doubt_forbids() {
        assert_eq!(cdn("max-age=\"60\"").unwrap().max_age, None);
        assert_eq!(cdn("max-age=-5").unwrap().max_age, Some(Duration::ZERO));
        assert_eq!(cdn("max-age=6.5").unwrap().max_age, None);
        assert!(cdn("no-store").unwrap().no_store);
        assert!(cdn("no-store=1").unwrap().no_store);
        assert!(!cdn("no-store=?0, max-age=5").unwrap().no_store);
        assert!(cdn("private=(a)").unwrap().private_all);
        let listed = cdn("private=\"x, y\", s-maxage=9").unwrap();
        assert!(listed.private && !listed.private_all);
        assert_eq!(listed.withheld, ["x", "y"]);
    }
}
