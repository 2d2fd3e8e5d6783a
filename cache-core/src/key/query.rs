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

    /// Whether all of it is one segment that selects a response.
    pub(crate) fn takes_whole(&self, query: &str) -> bool {
        match self {
            Self::Raw => true,
            Self::Sorted => !query.as_bytes().contains(&b'&'),
            Self::Only(_) | Self::Except(_) => false,
        }
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

/// The name under which a target is known to `invalidate_keys`: the path, and the query sorted, both
/// decoded. A path parameter is decoded when a template names a target by it; and targets that are
/// only spelled otherwise had better be invalidated together than one of them not at all.
///
/// Text that does not begin with `/` is a custom key and stays as it is.
#[must_use]
pub fn canonical_name(text: &str) -> Cow<'_, str> {
    // Most have none of these; a look at all bytes together is shorter than one after the other.
    let is_special = |byte: u8| matches!(byte, b'%' | b'+' | b'&');
    let is_plain = !text.bytes().fold(false, |any, byte| any | is_special(byte));
    if !text.starts_with('/') || is_plain {
        return Cow::Borrowed(text);
    }
    let Some((path, query)) = text.split_once('?') else { return decoded(text) };
    let mut name = decoded(path).into_owned();
    for (number, segment) in QueryRule::Sorted.segments(query).into_iter().enumerate() {
        name.push(if number == 0 { '?' } else { '&' });
        name.push_str(&decoded(&segment.replace('+', " ")));
    }
    Cow::Owned(name)
}

/// Text without its percent-encoding; what is no encoding stays.
fn decoded(text: &str) -> Cow<'_, str> {
    let Some((first, encoded)) = text.split_once('%') else { return Cow::Borrowed(text) };
    let mut bytes = first.as_bytes().to_vec();
    for piece in encoded.split('%') {
        let digits = piece.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
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
        assert_eq!(canonical_name("user:%41"), "user:%41");
    }

    #[test]
    fn names_of_targets_do_not_depend_on_spelling() {
        assert_eq!(canonical_name("/jos%C3%A9/%zz%4"), "/josé/%zz%4");
        assert_eq!(canonical_name("/a+b?d=%C3%a9&a=b+c%2B"), "/a+b?a=b c+&d=é");
        assert_eq!(canonical_name("/%ff%"), "/\u{fffd}%");
    }
}
