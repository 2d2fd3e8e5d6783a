//! Which parts of a query string select a response.
//!
//! Segments are compared by their decoded *name* and kept by their raw bytes: `%61=1` obeys a
//! rule for `a`, yet never shares an entry with `a=1`, since a handler may tell them apart.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The `query` setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum QueryRule {
    /// All parameters; the order of different names does not matter, repeated values keep theirs.
    #[default]
    Sorted,
    /// The query string byte by byte.
    Raw,
    /// Only these names, sorted.
    Only(Vec<String>),
    /// All names but these, sorted. The preset `tracking` stands for the usual campaign
    /// parameters (see [`is_tracking`]).
    Except(Vec<String>),
}

impl QueryRule {
    /// The segments of `query` that select a response, in key order.
    #[must_use]
    pub fn segments<'q>(&self, query: &'q str) -> Vec<&'q str> {
        let mut segments: Vec<&str> = match self {
            Self::Raw => return vec![query],
            Self::Sorted => query.split('&').collect(),
            Self::Only(names) => query
                .split('&')
                .filter(|segment| names.iter().any(|name| *name == decoded_name(segment)))
                .collect(),
            Self::Except(names) => query
                .split('&')
                .filter(|segment| !excluded(names, &decoded_name(segment)))
                .collect(),
        };
        if segments.len() > 1 {
            // A stable sort: `a=1&a=2` stays apart from `a=2&a=1`.
            segments.sort_by_cached_key(|segment| decoded_name(segment));
        }
        segments
    }

    /// Whether a query that holds no selecting segment equals an absent one. `/?` and `/` are
    /// different under the rules that keep everything.
    pub(crate) const fn reduces(&self) -> bool {
        matches!(self, Self::Only(_) | Self::Except(_))
    }
}

fn excluded(names: &[String], name: &str) -> bool {
    names.iter().any(|entry| entry == name || (entry == "tracking" && is_tracking(name)))
}

/// Whether `name` is a campaign parameter that no handler should depend on: `utm_*` and the click
/// identifiers of the large advertising networks.
#[must_use]
pub fn is_tracking(name: &str) -> bool {
    const NAMES: [&str; 17] = [
        "_ga",
        "_gl",
        "dclid",
        "epik",
        "fbclid",
        "gad_source",
        "gbraid",
        "gclid",
        "gclsrc",
        "igshid",
        "li_fat_id",
        "mc_cid",
        "mc_eid",
        "msclkid",
        "ttclid",
        "twclid",
        "wbraid",
    ];
    name.starts_with("utm_") || NAMES.contains(&name)
}

fn decoded_name(segment: &str) -> Cow<'_, str> {
    let name = segment.split('=').next().unwrap_or_default();
    if name.bytes().any(|byte| byte == b'%' || byte == b'+') {
        form_urlencoded::parse(name.as_bytes()).next().map_or(Cow::Borrowed(""), |(name, _)| name)
    } else {
        Cow::Borrowed(name)
    }
}

/// The name under which a target is known to `invalidate_keys`: the path, and the query sorted.
///
/// Text that does not begin with `/` is a custom key and stays as it is.
#[must_use]
pub fn canonical_name(text: &str) -> Cow<'_, str> {
    match text.split_once('?') {
        Some((path, query)) if text.starts_with('/') && query.contains('&') => {
            Cow::Owned(format!("{path}?{}", QueryRule::Sorted.segments(query).join("&")))
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_ignores_the_order_of_names_but_not_of_values() {
        let rule = QueryRule::Sorted;
        assert_eq!(rule.segments("b=1&a=2"), rule.segments("a=2&b=1"));
        assert_ne!(rule.segments("a=1&a=2"), rule.segments("a=2&a=1"));
        assert_ne!(rule.segments("a=1"), rule.segments("a=1&a=1"));
        assert_ne!(rule.segments("a"), rule.segments("a="));
    }

    #[test]
    fn only_and_except_match_decoded_names() {
        let only = QueryRule::Only(vec!["a".into()]);
        assert_eq!(only.segments("b=1&%61=2&c=3"), ["%61=2"]);
        let except = QueryRule::Except(vec!["tracking".into(), "x y".into()]);
        assert_eq!(except.segments("utm_source=n&q=1&x+y=2&gclid=3"), ["q=1"]);
    }

    #[test]
    fn names_of_targets_do_not_depend_on_query_order() {
        assert_eq!(canonical_name("/q?b=1&a=2"), "/q?a=2&b=1");
        assert_eq!(canonical_name("user:7?b&a"), "user:7?b&a");
    }
}
