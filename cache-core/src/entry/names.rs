//! Names of fields that take one byte in packed fields. Frozen: a number says the same for ever.

use http::header::HeaderName;

/// The number of a name that has none.
pub(super) const UNKNOWN: u8 = 0;

macro_rules! known {
    ($($text:literal)*) => {
        const TEXTS: [&str; KNOWN.len()] = [$($text),*];
        /// The names that have numbers, from 1. New ones go to the end; there is room for 127.
        static KNOWN: [HeaderName; [$($text),*].len()] = [$(HeaderName::from_static($text)),*];
    };
}

known! {
    "accept-ranges"
    "access-control-allow-credentials"
    "access-control-allow-headers"
    "access-control-allow-methods"
    "access-control-allow-origin"
    "access-control-expose-headers"
    "access-control-max-age"
    "age"
    "allow"
    "alt-svc"
    "cache-control"
    "cache-status"
    "cdn-cache-control"
    "content-disposition"
    "content-encoding"
    "content-language"
    "content-length"
    "content-location"
    "content-range"
    "content-security-policy"
    "content-security-policy-report-only"
    "content-type"
    "date"
    "etag"
    "expires"
    "last-modified"
    "link"
    "location"
    "pragma"
    "referrer-policy"
    "refresh"
    "retry-after"
    "server"
    "set-cookie"
    "strict-transport-security"
    "vary"
    "via"
    "warning"
    "www-authenticate"
    "x-content-type-options"
    "x-dns-prefetch-control"
    "x-frame-options"
    "x-xss-protection"
    "content-digest"
    "content-md5"
    "cross-origin-embedder-policy"
    "cross-origin-opener-policy"
    "cross-origin-resource-policy"
    "deprecation"
    "permissions-policy"
    "repr-digest"
    "server-timing"
    "sunset"
    "surrogate-control"
    "surrogate-key"
    "timing-allow-origin"
    "x-cache"
    "x-powered-by"
    "x-request-id"
    "x-robots-tag"
}

/// Where the number of a name is found, or the first place after it; a power of two places.
static NUMBERS: [u8; 256] = numbers();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn numbers() -> [u8; 256] {
    let mut numbers = [0; 256];
    let mut number: u8 = 1;
    while (number as usize) <= TEXTS.len() {
        let mut place = first_place(TEXTS[number as usize - 1].as_bytes()) as usize;
        while numbers[place] != 0 {
            place = (place + 1) % numbers.len();
        }
        numbers[place] = number;
        number += 1;
    }
    numbers
}

/// Spreads the known names well.
const fn first_place(name: &[u8]) -> u8 {
    let last = match name.last() {
        Some(last) => *last,
        None => 0,
    };
    let (_, from_middle) = name.split_at(name.len() / 2);
    let middle = match from_middle.first() {
        Some(middle) => *middle,
        None => 0,
    };
    #[expect(clippy::cast_possible_truncation, reason = "its low bits are meant")]
    let length = name.len() as u8;
    last.wrapping_mul(2).wrapping_add(middle.wrapping_mul(30)).wrapping_add(length.wrapping_mul(13))
}

/// The number of a name, [`UNKNOWN`] if it has none.
pub(super) fn number_of(name: &HeaderName) -> u8 {
    let mut place = first_place(name.as_str().as_bytes());
    loop {
        let number = NUMBERS.get(usize::from(place)).copied().unwrap_or(UNKNOWN);
        if number == UNKNOWN || known(number) == Some(name) {
            return number;
        }
        place = place.wrapping_add(1);
    }
}

/// The name with this number.
pub(super) fn known(number: u8) -> Option<&'static HeaderName> {
    KNOWN.get(usize::from(number).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Digest;

    #[test]
    fn numbers_say_the_same_for_ever() {
        let first = TEXTS.get(..60).unwrap().join("\n");
        let expected = "ce8618fd8ed1f063cba0186cd124673d38ea64077f2f77f9d81394518becd626";
        assert_eq!(Digest::of(first.as_bytes()).to_hex(), expected, "stored heads would change");
    }

    #[test]
    fn every_known_name_is_its_number() {
        assert!(KNOWN.len() < 128);
        for (at, name) in KNOWN.iter().enumerate() {
            assert_eq!(usize::from(number_of(name)), at + 1, "{name}");
        }
        for name in ["x-own", "a", "etags"] {
            assert_eq!(number_of(&HeaderName::from_static(name)), UNKNOWN, "{name}");
        }
    }
}
