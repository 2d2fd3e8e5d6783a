//! Values that many responses have.
//!
//! A remembered table is copied for each answer. A value of it that is static costs a copy nothing
//! that is counted, and its end nothing that is freed; any other costs two locked additions.

use http::header::{HeaderName, HeaderValue};

/// The text of a value that many responses have: static, for adapters whose framework has values of its
/// own. `None` for any other value, and for one that is sensitive.
#[must_use]
pub fn usual_value(value: &HeaderValue) -> Option<&'static str> {
    if value.is_sensitive() {
        return None;
    }
    let text = std::str::from_utf8(value.as_bytes()).ok()?;
    as_text(text).or_else(|| as_number(text))
}

/// The same of a name that has no number of its own in tables.
#[must_use]
pub fn usual_name(name: &HeaderName) -> Option<&'static str> {
    (name == X_CACHE).then_some(X_CACHE)
}

const X_CACHE: &str = "x-cache";

/// The same value, if it is one of those that are usual. Never one that is sensitive.
pub(super) fn value(value: &HeaderValue) -> Option<HeaderValue> {
    usual_value(value).map(HeaderValue::from_static)
}

/// A number as a value.
pub(crate) fn number(number: u64) -> HeaderValue {
    digits(number).map_or_else(|| HeaderValue::from(number), HeaderValue::from_static)
}

/// The same name; the usual one of those that have no number of their own is static.
pub(crate) fn name(name: HeaderName) -> HeaderName {
    usual_name(&name).map_or(name, HeaderName::from_static)
}

/// The same value, which others set.
pub(crate) fn setting(set: HeaderValue) -> HeaderValue {
    value(&set).unwrap_or(set)
}

macro_rules! texts {
    ($($text:literal)*) => {
        fn as_text(text: &str) -> Option<&'static str> {
            match text {
                $($text => Some($text),)*
                _ => None,
            }
        }

        #[cfg(test)]
        const TEXTS: &[&str] = &[$($text),*];
    };
}

texts! {
    // The cache's own.
    "HIT"
    "MISS"
    // Types.
    "application/atom+xml"
    "application/javascript"
    "application/json"
    "application/json; charset=utf-8"
    "application/ld+json"
    "application/manifest+json"
    "application/octet-stream"
    "application/pdf"
    "application/problem+json"
    "application/rss+xml"
    "application/wasm"
    "application/xml"
    "application/xml; charset=utf-8"
    "font/woff2"
    "image/avif"
    "image/gif"
    "image/jpeg"
    "image/png"
    "image/svg+xml"
    "image/webp"
    "image/x-icon"
    "text/css"
    "text/css; charset=utf-8"
    "text/csv; charset=utf-8"
    "text/html"
    "text/html; charset=utf-8"
    "text/javascript"
    "text/javascript; charset=utf-8"
    "text/plain"
    "text/plain; charset=utf-8"
    "text/xml; charset=utf-8"
    // Codings and units.
    "br"
    "bytes"
    "deflate"
    "gzip"
    "none"
    "zstd"
    // Nominated fields.
    "accept"
    "Accept"
    "accept-encoding"
    "Accept-Encoding"
    "accept-language"
    "Accept-Language"
    "origin"
    "Origin"
    "origin, access-control-request-method, access-control-request-headers"
    // Lives.
    "max-age=0"
    "max-age=60"
    "max-age=300"
    "max-age=3600"
    "max-age=86400"
    "no-cache"
    "public"
    "public, max-age=0"
    "public, max-age=60"
    "public, max-age=300"
    "public, max-age=600"
    "public, max-age=3600"
    "public, max-age=86400"
    "public, max-age=31536000"
    "public, max-age=31536000, immutable"
    // What is said to browsers.
    "*"
    "1; mode=block"
    "DENY"
    "SAMEORIGIN"
    "max-age=31536000"
    "max-age=31536000; includeSubDomains"
    "no-referrer"
    "nosniff"
    "same-origin"
    "strict-origin-when-cross-origin"
    "true"
}

/// All numbers of up to four digits, one behind the other.
static NUMBERS: [u8; START_OF_FOUR + 4 * 9_000] = numbers();

const START_OF_TWO: usize = 10;
const START_OF_THREE: usize = START_OF_TWO + 2 * 90;
const START_OF_FOUR: usize = START_OF_THREE + 3 * 900;

#[expect(clippy::indexing_slicing, reason = "at compile time")]
const fn numbers() -> [u8; START_OF_FOUR + 4 * 9_000] {
    let mut digits = [0; START_OF_FOUR + 4 * 9_000];
    let (mut at, mut number, mut unit) = (0, 0, 1);
    while at < digits.len() {
        if number == unit * 10 {
            unit *= 10;
        }
        let mut place = unit;
        while place > 0 {
            digits[at] = b'0' + (number / place % 10) as u8;
            at += 1;
            place /= 10;
        }
        number += 1;
    }
    digits
}

/// The digits of a number that has few.
fn digits(number: u64) -> Option<&'static str> {
    let number = usize::try_from(number).ok()?;
    let (start, length) = match number {
        0..10 => (number, 1),
        10..100 => (START_OF_TWO + 2 * (number - 10), 2),
        100..1_000 => (START_OF_THREE + 3 * (number - 100), 3),
        1_000..10_000 => (START_OF_FOUR + 4 * (number - 1_000), 4),
        _ => return None,
    };
    std::str::from_utf8(NUMBERS.get(start..start + length)?).ok()
}

/// The same digits, if they are those of a number that has few.
fn as_number(text: &str) -> Option<&'static str> {
    let few = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    // With zeros before it a number is written otherwise.
    digits(text.parse().ok().filter(|_| few)?).filter(|digits| *digits == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<HeaderValue> {
        value(&HeaderValue::from_str(text).unwrap())
    }

    #[test]
    fn a_usual_value_is_the_same_value() {
        for text in TEXTS {
            assert_eq!(of(text).as_ref().map(HeaderValue::as_bytes), Some(text.as_bytes()));
        }
        for text in ["", "Bytes", "bytes ", "text/plain;charset=utf-8", "\u{e4}"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_written_as_ever() {
        for at in (0..12_000).chain([u64::MAX - 1, u64::MAX]) {
            let written = HeaderValue::from(at);
            assert_eq!(number(at), written);
            assert_eq!(value(&written).unwrap_or_else(|| written.clone()), written);
            assert_eq!(value(&written).is_some(), at < 10_000);
        }
        for text in ["00", "01", "0000", "0100", "00001", "+1", "-1", "1e3", " 1", "1.0"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_sensitive_stays_so() {
        for text in ["true", "7"] {
            let mut secret = HeaderValue::from_str(text).unwrap();
            secret.set_sensitive(true);
            assert_eq!(value(&secret), None);
            assert!(setting(secret).is_sensitive());
        }
    }

    #[test]
    fn a_name_stays_the_same() {
        for text in ["x-cache", "x-cache-status", "etag"] {
            let named = HeaderName::from_bytes(text.as_bytes()).unwrap();
            assert_eq!(name(named.clone()), named);
        }
    }
}
