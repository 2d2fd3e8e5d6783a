//! `Age` (RFC 9111 §5.1).

use std::time::Duration;

use http::header::{AGE, HeaderMap};

use super::list::members;

/// Seconds beyond 2³¹ mean 2³¹ (§1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// The age that a message states: the first member, ignored if it is no number of seconds.
#[must_use]
pub fn stated(headers: &HeaderMap) -> Duration {
    let first = members(headers, &AGE).next().unwrap_or_default();
    let digits = !first.is_empty() && first.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(first).unwrap_or_default();
    let seconds = if digits { text.parse().unwrap_or(u64::MAX) } else { 0 };
    Duration::from_secs(seconds.min(MAX_SECONDS))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[&'static str]) -> u64 {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(AGE, HeaderValue::from_static(line));
        }
        stated(&headers).as_secs()
    }

    #[test]
    fn the_first_member_counts_if_it_is_a_number() {
        for (lines, age) in [
            (&["7200"][..], 7200),
            (&["7200,0"], 7200),
            (&["0", "7200"], 0),
            (&["", "5"], 5),
            (&["abc"], 0),
            (&["-1"], 0),
            (&["1.5"], 0),
            (&["7200;a=b"], 0),
            (&["2147483647"], 2_147_483_647),
            (&["2147483648"], 1 << 31),
            (&["99999999999999999999999"], 1 << 31),
            (&[], 0),
        ] {
            assert_eq!(of(lines), age, "{lines:?}");
        }
    }
}
