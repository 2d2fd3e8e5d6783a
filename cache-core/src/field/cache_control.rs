//! `Cache-Control` of requests and responses (RFC 9111 §5.2).

use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, PRAGMA};

use super::list::{members, split};

/// Seconds beyond 2³¹ mean 2³¹ (RFC 9111 §1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// The directives of one message. Names are compared without case; of a repeated directive the
/// first value counts (§4.2.1); a value that is no number makes the response stale rather than
/// eternal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheControl {
    /// `no-store` (§5.2.1.5, §5.2.2.5).
    pub no_store: bool,
    /// `no-cache`, with or without field names (§5.2.1.4, §5.2.2.4).
    pub no_cache: bool,
    /// `private`, with or without field names (§5.2.2.7).
    pub private: bool,
    /// `no-cache` of the whole response.
    pub no_cache_all: bool,
    /// `private` of the whole response.
    pub private_all: bool,
    /// The fields that a qualified `no-cache` or `private` speaks of.
    pub withheld: Vec<HeaderName>,
    /// `public` (§5.2.2.9).
    pub public: bool,
    /// `must-revalidate` (§5.2.2.2).
    pub must_revalidate: bool,
    /// `proxy-revalidate` (§5.2.2.8).
    pub proxy_revalidate: bool,
    /// `must-understand` (§5.2.2.3).
    pub must_understand: bool,
    /// `only-if-cached` (§5.2.1.7).
    pub only_if_cached: bool,
    /// `max-age` (§5.2.1.1, §5.2.2.1).
    pub max_age: Option<Duration>,
    /// `s-maxage` (§5.2.2.10).
    pub s_maxage: Option<Duration>,
    /// `min-fresh` (§5.2.1.3).
    pub min_fresh: Option<Duration>,
    /// `max-stale` (§5.2.1.2); without a value any staleness will do.
    pub max_stale: Option<Duration>,
    /// `stale-while-revalidate` (RFC 5861 §3).
    pub stale_while_revalidate: Option<Duration>,
    /// `stale-if-error` (RFC 5861 §4).
    pub stale_if_error: Option<Duration>,
}

impl CacheControl {
    /// Reads all `Cache-Control` lines of a message.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut all = Self::default();
        for line in headers.get_all(CACHE_CONTROL) {
            let mut rest = line.as_bytes();
            while let Some(directive) = directive(rest) {
                all.apply(directive.name, directive.value);
                rest = directive.after;
            }
        }
        all
    }

    /// Reads a request's directives; `Pragma: no-cache` counts where there is no `Cache-Control`
    /// (§5.4).
    #[must_use]
    pub fn of_request(headers: &HeaderMap) -> Self {
        let mut all = Self::of(headers);
        if !headers.contains_key(CACHE_CONTROL) {
            all.no_cache =
                members(headers, &PRAGMA).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        all
    }

    /// Takes one directive. `value` may be quoted.
    pub(super) fn apply(&mut self, name: &[u8], value: Option<&[u8]>) {
        // No directive that matters is longer.
        let mut lower = [0; 22];
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        match &*lower {
            b"no-store" => self.no_store = true,
            b"no-cache" => {
                self.no_cache = true;
                self.no_cache_all |= !self.withhold(value);
            }
            b"private" => {
                self.private = true;
                self.private_all |= !self.withhold(value);
            }
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"max-age" => first(&mut self.max_age, seconds(value)),
            b"s-maxage" => first(&mut self.s_maxage, seconds(value)),
            b"min-fresh" => first(&mut self.min_fresh, seconds(value)),
            b"max-stale" if value.is_none() => first(&mut self.max_stale, Duration::MAX),
            b"max-stale" => first(&mut self.max_stale, seconds(value)),
            b"stale-while-revalidate" => first(&mut self.stale_while_revalidate, seconds(value)),
            b"stale-if-error" => first(&mut self.stale_if_error, seconds(value)),
            _ => {}
        }
    }

    /// Takes the field names of a qualified directive; `false` if there are none, or if one of
    /// them is no name: then the whole response is meant. So it is without quotes, which nobody may
    /// send (§5.2.2.4): `private=true` is more than a field of that name.
    fn withhold(&mut self, value: Option<&[u8]>) -> bool {
        let quoted = value.filter(|value| value.starts_with(b"\""));
        let names: Result<Vec<_>, _> =
            split(quoted.map(unquoted).unwrap_or_default()).map(HeaderName::from_bytes).collect();
        match names {
            Ok(names) if !names.is_empty() => {
                self.withheld.extend(names);
                true
            }
            _ => false,
        }
    }

    /// Whether a stale response must not be served without validation (§5.2.2.2, §5.2.2.4,
    /// §5.2.2.8, §5.2.2.10).
    #[must_use]
    pub const fn forbids_stale(&self) -> bool {
        self.no_cache_all
            || self.must_revalidate
            || self.proxy_revalidate
            || self.s_maxage.is_some()
    }

    /// Whether a response to a request with `Authorization` may be shared (§3.5).
    #[must_use]
    pub const fn shares_authorized(&self) -> bool {
        self.public || self.must_revalidate || self.s_maxage.is_some()
    }
}

struct Directive<'l> {
    name: &'l [u8],
    value: Option<&'l [u8]>,
    after: &'l [u8],
}

/// The next directive of a line, and what follows. Whatever is no token separates: a list that is
/// held together by the wrong sign still says `private`.
fn directive(line: &[u8]) -> Option<Directive<'_>> {
    let start = line.iter().position(|byte| is_token(*byte))?;
    let line = line.get(start..)?;
    let (name, after) = line.split_at(token_length(line));
    let Some(value) = after.trim_ascii_start().strip_prefix(b"=") else {
        return Some(Directive { name, value: None, after });
    };
    let value = value.trim_ascii_start();
    let length = quoted_length(value).unwrap_or_else(|| token_length(value));
    let (value, after) = value.split_at_checked(length)?;
    Some(Directive { name, value: Some(value), after })
}

fn token_length(text: &[u8]) -> usize {
    text.iter().position(|byte| !is_token(*byte)).unwrap_or(text.len())
}

/// The length of a quoted string, quotes included; `None` if there is none, or no end to it.
fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut inside = text.strip_prefix(b"\"")?.iter().enumerate();
    while let Some((at, byte)) = inside.next() {
        match byte {
            b'\\' => drop(inside.next()),
            b'"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn first(slot: &mut Option<Duration>, value: Duration) {
    slot.get_or_insert(value);
}

/// Delta-seconds, quoted or not; zero if they are none.
fn seconds(value: Option<&[u8]>) -> Duration {
    let digits = value.map(unquoted).unwrap_or_default();
    let mut seconds = 0_u64;
    for byte in digits {
        if !byte.is_ascii_digit() {
            return Duration::ZERO;
        }
        seconds = seconds.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    }
    Duration::from_secs(seconds.min(MAX_SECONDS))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[&'static str]) -> CacheControl {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        CacheControl::of(&headers)
    }

    #[test]
    fn case_spaces_lines_and_quotes() {
        let read = of(&["NO-Store , Max-Age = \"60\"", "private=\"set-cookie, x\", s-maxage=5"]);
        assert!(read.no_store && read.private);
        assert_eq!(read.max_age, Some(Duration::from_secs(60)));
        assert_eq!(read.s_maxage, Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_directive_inside_quotes_is_text() {
        assert!(!of(&[r#"ext="no-store, private""#]).no_store);
    }

    #[test]
    fn a_qualified_directive_names_fields() {
        let read = of(&["no-cache=\"a, B\", private=\"set-cookie\", max-age=5"]);
        assert!(read.no_cache && read.private && !read.no_cache_all && !read.private_all);
        assert_eq!(read.withheld, ["a", "b", "set-cookie"]);
        for whole in [
            "private=\"\"",
            "private=\"a b\"",
            "private=\"a\", private",
            "private=",
            "private=true",
        ] {
            assert!(of(&[whole]).private_all, "{whole}");
        }
    }

    #[test]
    fn typing_errors_do_not_make_a_response_public() {
        for text in [
            "private; max-age=0",
            "no-cache private",
            "x=\"open, private",
            "=, private",
            "private\tmax-age=5",
        ] {
            assert!(of(&[text]).private, "{text}");
        }
        assert_eq!(of(&["private; max-age=7"]).max_age, Some(Duration::from_secs(7)));
    }

    #[test]
    fn the_first_of_a_repeated_value_counts() {
        assert_eq!(of(&["max-age=1, max-age=9"]).max_age, Some(Duration::from_secs(1)));
    }

    #[test]
    fn overflow_is_large_and_nonsense_is_zero() {
        let large = Some(Duration::from_secs(1 << 31));
        assert_eq!(of(&["max-age=99999999999999999999999"]).max_age, large);
        for text in ["max-age=-1", "max-age=1.5", "max-age=x", "max-age", "max-age="] {
            assert_eq!(of(&[text]).max_age, Some(Duration::ZERO), "{text}");
        }
        assert_eq!(of(&["max-stale"]).max_stale, Some(Duration::MAX));
    }

    #[test]
    fn pragma_counts_only_alone() {
        let mut headers = HeaderMap::new();
        headers.insert(PRAGMA, HeaderValue::from_static("No-Cache"));
        assert!(CacheControl::of_request(&headers).no_cache);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=1"));
        assert!(!CacheControl::of_request(&headers).no_cache);
    }
}
