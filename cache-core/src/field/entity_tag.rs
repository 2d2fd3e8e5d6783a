//! Entity tags and lists of them (RFC 9110 §8.8.3, §13.1.2).

use http::header::HeaderValue;
use http::{HeaderMap, header};

use crate::key::Digest;

/// Whether a list of entity tags names this one. Several lines are one list.
///
/// Comparison is weak (§8.8.3.2). A backslash is an ordinary character of a tag. What is no
/// entity tag matches nothing.
#[must_use]
pub fn none_match_names(request: &HeaderMap, etag: &HeaderValue) -> bool {
    lines_name(request.get_all(header::IF_NONE_MATCH).iter(), etag)
}

/// The same of the lines.
pub(crate) fn lines_name<'l, I: Iterator<Item = &'l HeaderValue>>(
    mut lines: I,
    etag: &HeaderValue,
) -> bool {
    let Some(wanted) = opaque(etag.as_bytes()) else { return false };
    lines.any(|line| {
        // A client sends back what it was sent, mostly.
        line == etag
            || line.as_bytes().trim_ascii() == b"*"
            || opaque_tags(line.as_bytes()).any(|tag| tag == wanted)
    })
}

/// Strong comparison (§8.8.3.2): the same, and neither is weak. What is no entity tag equals
/// nothing.
#[must_use]
pub fn strongly_equal(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (one.trim_ascii(), other.trim_ascii());
    let inner = one.strip_prefix(b"\"").and_then(|tag| tag.strip_suffix(b"\""));
    one == other && inner.is_some_and(|tag| !tag.contains(&b'"'))
}

/// Whether two entity tags name the same representation, weakly compared (§8.8.3.2). What is no
/// entity tag equals nothing but itself.
#[must_use]
pub fn weakly_equal(one: &HeaderValue, other: &HeaderValue) -> bool {
    match (opaque(one.as_bytes()), opaque(other.as_bytes())) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// The entity tag of a body: its SHA-256 in lower-case hexadecimal, quoted; weak if asked for.
#[must_use]
pub fn generate(body: &[u8], weak: bool) -> HeaderValue {
    let mut text = *b"W/\"................................................................\"";
    if let Some((_, [digits @ .., _])) = text.split_first_chunk_mut::<3>() {
        digits.copy_from_slice(Digest::of(body).hex_digits().as_flattened());
    }
    let text = if weak { text.as_slice() } else { text.get(2..).unwrap_or_default() };
    // Hexadecimal digits and quotes are valid in every field value.
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The bytes of a weak one that was made here.
pub(crate) const LONGEST: usize = 68;

/// Whether it is an entity tag, by its quotes.
pub(crate) fn is_tag(value: &HeaderValue) -> bool {
    opaque(value.as_bytes()).is_some()
}

/// The opaque part, without `W/` and quotes.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let tag = tag.trim_ascii();
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    tag.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// The opaque parts of the entity tags in one line. What stands before a quote must be nothing or
/// `W/`; otherwise it is no entity tag.
fn opaque_tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            let open = rest.iter().position(|byte| *byte == b'"')?;
            let (before, after) = rest.split_at_checked(open)?;
            let after = after.get(1..)?;
            let close = after.iter().position(|byte| *byte == b'"')?;
            rest = after.get(close + 1..)?;
            let prefix = before.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            if matches!(prefix.trim_ascii(), b"" | b"W/") {
                return after.get(..close);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lines: &[&'static str], etag: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(line));
        }
        none_match_names(&headers, &HeaderValue::from_static(etag))
    }

    #[test]
    fn lists_lines_weakness_and_star() {
        assert!(names(&[r#""a", W/"b,c""#], r#""b,c""#));
        assert!(names(&[r#""a""#, r#""z""#], r#"W/"z""#));
        assert!(names(&[" * "], r#""any""#));
        assert!(names(&[r#""back\", "x""#], r#""x""#));
    }

    #[test]
    fn broken_lists_match_nothing() {
        for broken in ["", "a", "\"a", "W/a", "'a'", "\"aa\"", "w/\"a\"", "x\"a\""] {
            assert!(!names(&[broken], "\"a\""), "{broken}");
        }
        assert!(!names(&["\"a\""], "a"));
    }

    #[test]
    fn generated_tags_are_quoted_sha_256() {
        let empty = "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
        assert_eq!(generate(b"", false), empty);
        assert_eq!(generate(b"", true), format!("W/{empty}"));
    }
}
