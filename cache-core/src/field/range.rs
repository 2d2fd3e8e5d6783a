//! `Range` and `If-Range` against a complete representation (RFC 9110 §13.1.5, §14).

use std::ops::Range;
use std::time::Duration;

use http::header::{self, HeaderMap};

use super::conditional::date;
use super::entity_tag;
use super::list;

/// How many ranges a request may name. One that names more gets the whole (§17.15): many small
/// parts cost more than they save.
pub const MAX_RANGES: usize = 16;

/// What of a representation is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "RFC 9110 knows these three answers")]
pub enum Asked {
    /// All of it: no range is asked for, or none that must be understood.
    Whole,
    /// These bytes: at least one part, none empty, none overlapping or touching another, in the
    /// order of the request.
    Parts(Vec<Range<usize>>),
    /// Nothing that is there (§15.5.17).
    Unsatisfiable,
}

/// What a request asks of a representation of `length` bytes whose head this is.
///
/// A field that is repeated, of another unit, not of the grammar (§14.1.1) or with more than
/// [`MAX_RANGES`] ranges is ignored, and so is any where `If-Range` does not hold, where the
/// response says `Accept-Ranges: none`, and where there is nothing to take a part of.
#[must_use]
pub fn asked(request: &HeaderMap, response: &HeaderMap, length: usize) -> Asked {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return Asked::Whole };
    if length == 0 || refuses(response) || !if_range_holds(request, response) {
        return Asked::Whole;
    }
    match specs(line.as_bytes()) {
        Some(specs) => select(&specs, length),
        None => Asked::Whole,
    }
}

/// Whether the response says that no ranges are to be had (§14.3).
fn refuses(response: &HeaderMap) -> bool {
    list::members(response, &header::ACCEPT_RANGES).any(|unit| unit.eq_ignore_ascii_case(b"none"))
}

/// §13.1.5: an entity tag must be the same and strong; a date must be the same and strong, that is,
/// at least a second older than the response (§8.8.2.2).
fn if_range_holds(request: &HeaderMap, response: &HeaderMap) -> bool {
    let mut lines = request.get_all(header::IF_RANGE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(_), Some(_)) => false,
        (Some(line), None) if line.as_bytes().contains(&b'"') => {
            let etag = response.get(header::ETAG);
            etag.is_some_and(|etag| entity_tag::strongly_equal(line.as_bytes(), etag.as_bytes()))
        }
        (Some(_), None) => {
            let asked = date(request, &header::IF_RANGE);
            let modified = date(response, &header::LAST_MODIFIED);
            let made = date(response, &header::DATE);
            match (asked, modified, made) {
                (Some(asked), Some(modified), Some(made)) => {
                    asked == modified
                        && made
                            .duration_since(modified)
                            .is_ok_and(|age| age >= Duration::from_secs(1))
                }
                _ => false,
            }
        }
    }
}

/// One member of a range set, as it was sent. Numbers too large to be counted are the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spec {
    /// From a position, up to and with another.
    From(usize, Option<usize>),
    /// The last so many bytes.
    Last(usize),
}

/// The members; `None` if the field is to be ignored.
fn specs(value: &[u8]) -> Option<Vec<Spec>> {
    let split = value.iter().position(|byte| *byte == b'=')?;
    let (unit, set) = value.split_at_checked(split)?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for member in list::split(set.get(1..)?) {
        if specs.len() == MAX_RANGES {
            return None;
        }
        specs.push(spec(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(member: &[u8]) -> Option<Spec> {
    let dash = member.iter().position(|byte| *byte == b'-')?;
    let (first, last) = (member.get(..dash)?, member.get(dash + 1..)?);
    if first.is_empty() {
        return Some(Spec::Last(number(last)?));
    }
    let first = number(first)?;
    if last.is_empty() {
        return Some(Spec::From(first, None));
    }
    let last = number(last)?;
    (first <= last).then_some(Spec::From(first, Some(last)))
}

fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = std::str::from_utf8(digits).ok()?;
    Some(text.parse().unwrap_or(usize::MAX))
}

fn select(specs: &[Spec], length: usize) -> Asked {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for spec in specs {
        let part = match *spec {
            Spec::From(first, last) => {
                first..last.map_or(length, |last| last.saturating_add(1)).min(length)
            }
            Spec::Last(count) => length.saturating_sub(count)..length,
        };
        // Beyond the end, or the last none: not satisfiable, which the others may be.
        if part.start < part.end {
            merge(&mut parts, part);
        }
    }
    if parts.is_empty() { Asked::Unsatisfiable } else { Asked::Parts(parts) }
}

/// Adds a part; those that it overlaps or touches become one with it, at the place of the first.
fn merge(parts: &mut Vec<Range<usize>>, part: Range<usize>) {
    let mut whole = part;
    let mut place = None;
    let mut index = 0;
    while let Some(other) = parts.get(index) {
        if whole.start <= other.end && other.start <= whole.end {
            whole = whole.start.min(other.start)..whole.end.max(other.end);
            parts.remove(index);
            // What it has become may reach those that were passed over.
            place = Some(place.map_or(index, |place: usize| place.min(index)));
            index = 0;
        } else {
            index += 1;
        }
    }
    let place = place.unwrap_or(parts.len()).min(parts.len());
    parts.insert(place, whole);
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one part is a list of one range")]
mod tests {
    use http::HeaderValue;
    use http::header::HeaderName;
    use proptest::prelude::*;

    use super::*;

    const MONDAY: &str = "Mon, 02 Jan 2023 00:00:00 GMT";
    const MONDAY_RFC_850: &str = "Monday, 02-Jan-23 00:00:00 GMT";
    const A_SECOND_LATER: &str = "Mon, 02 Jan 2023 00:00:01 GMT";

    fn map(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in lines {
            map.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        map
    }

    /// Of twenty-six bytes.
    fn of_26(range: &str) -> Asked {
        asked(&map(&[(header::RANGE, range)]), &HeaderMap::new(), 26)
    }

    #[test]
    fn the_grammar_and_its_meaning() {
        for (range, expected) in [
            ("bytes=0-0", vec![0..1]),
            ("bytes=0-4", vec![0..5]),
            ("BYTES=0-4", vec![0..5]),
            ("bytes=20-", vec![20..26]),
            ("bytes=-6", vec![20..26]),
            ("bytes=-999", vec![0..26]),
            ("bytes=20-999", vec![20..26]),
            ("bytes=0-99999999999999999999999", vec![0..26]),
            ("bytes=00-04", vec![0..5]),
            ("bytes=0-0,-1", vec![0..1, 25..26]),
            ("bytes= 0-0 ,, -1,", vec![0..1, 25..26]),
            ("bytes=-1,0-0", vec![25..26, 0..1]),
            // What is beyond the end is left out while something is there.
            ("bytes=30-40,0-0", vec![0..1]),
            ("bytes=-0,0-0", vec![0..1]),
            // Overlapping and touching ones are one.
            ("bytes=0-4,2-9", vec![0..10]),
            ("bytes=0-4,5-9", vec![0..10]),
            ("bytes=0-1,10-11,1-10", vec![0..12]),
            ("bytes=20-22,0-1,4-5,1-4", vec![20..23, 0..6]),
        ] {
            assert_eq!(of_26(range), Asked::Parts(expected), "{range}");
        }
        for range in ["bytes=26-", "bytes=26-30", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(of_26(range), Asked::Unsatisfiable, "{range}");
        }
        for range in [
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=4-2",
            "bytes=0-4-6",
            "bytes=0x1-2",
            "bytes=+1-2",
            "bytes=--1",
            "bytes =0-1",
            "bytes=1 - 2",
            "lines=0-1",
            "=0-1",
            "0-1",
            "bytes=0-1;2-3",
            "bytes=0-1,4-2",
            "bytes=\"0-1\"",
        ] {
            assert_eq!(of_26(range), Asked::Whole, "{range}");
        }
    }

    #[test]
    fn too_many_ranges_and_several_lines_are_ignored() {
        let many = |count: usize| {
            let list: Vec<_> = (0..count).map(|n| format!("{n}-{n}")).collect();
            format!("bytes={}", list.join(","))
        };
        assert_eq!(of_26(&many(MAX_RANGES)), Asked::Parts(vec![0..MAX_RANGES]));
        assert_eq!(of_26(&many(MAX_RANGES + 1)), Asked::Whole);
        let twice = map(&[(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=0-1")]);
        assert_eq!(asked(&twice, &HeaderMap::new(), 26), Asked::Whole);
    }

    #[test]
    fn nothing_has_no_parts_and_a_response_may_refuse() {
        let request = map(&[(header::RANGE, "bytes=0-1")]);
        assert_eq!(asked(&request, &HeaderMap::new(), 0), Asked::Whole);
        let refusing = map(&[(header::ACCEPT_RANGES, "none")]);
        assert_eq!(asked(&request, &refusing, 26), Asked::Whole);
        let accepting = map(&[(header::ACCEPT_RANGES, "bytes")]);
        assert_eq!(asked(&request, &accepting, 26), Asked::Parts(vec![0..2]));
    }

    #[test]
    fn if_range_needs_the_same_strong_validator() {
        let response = |etag: &'static str, made: &'static str| {
            map(&[(header::ETAG, etag), (header::LAST_MODIFIED, MONDAY), (header::DATE, made)])
        };
        for (if_range, etag, made, holds) in [
            ("\"a\"", "\"a\"", MONDAY, true),
            ("\"b\"", "\"a\"", MONDAY, false),
            ("W/\"a\"", "\"a\"", MONDAY, false),
            ("W/\"a\"", "W/\"a\"", MONDAY, false),
            ("\"a\"", "W/\"a\"", MONDAY, false),
            ("\"a\", \"b\"", "\"a\"", MONDAY, false),
            ("a", "a", MONDAY, false),
            (MONDAY, "\"a\"", A_SECOND_LATER, true),
            (MONDAY_RFC_850, "\"a\"", A_SECOND_LATER, true),
            (MONDAY, "\"a\"", MONDAY, false),
            (A_SECOND_LATER, "\"a\"", A_SECOND_LATER, false),
            ("yesterday", "\"a\"", A_SECOND_LATER, false),
        ] {
            let request = map(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, if_range)]);
            let expected = if holds { Asked::Parts(vec![0..2]) } else { Asked::Whole };
            assert_eq!(asked(&request, &response(etag, made), 26), expected, "{if_range} {etag}");
        }
        let request = map(&[
            (header::RANGE, "bytes=0-1"),
            (header::IF_RANGE, "\"a\""),
            (header::IF_RANGE, "\"a\""),
        ]);
        assert_eq!(asked(&request, &response("\"a\"", MONDAY), 26), Asked::Whole);
        let request = map(&[(header::RANGE, "bytes=0-1"), (header::IF_RANGE, MONDAY)]);
        assert_eq!(asked(&request, &HeaderMap::new(), 26), Asked::Whole);
    }

    fn member() -> impl Strategy<Value = String> {
        prop_oneof![
            (0..40usize, 0..40usize).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            (0..40usize).prop_map(|a| format!("{a}-")),
            (0..40usize).prop_map(|a| format!("-{a}")),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_sent_the_parts_are_within_and_apart(value in "[ -~]{0,40}", length in 0..64usize) {
            let value = format!("bytes={value}");
            let parts = asked(&map(&[(header::RANGE, &value)]), &HeaderMap::new(), length);
            if let Asked::Parts(parts) = parts {
                prop_assert!(!parts.is_empty());
                for (index, part) in parts.iter().enumerate() {
                    prop_assert!(part.start < part.end && part.end <= length);
                    for other in &parts[index + 1..] {
                        prop_assert!(part.end < other.start || other.end < part.start);
                    }
                }
            }
        }

        #[test]
        fn the_parts_are_just_the_bytes_asked_for(
            members in prop::collection::vec(member(), 1..=MAX_RANGES),
            length in 1..40usize,
        ) {
            let value = format!("bytes={}", members.join(", "));
            let mut wanted = vec![false; length];
            for member in &members {
                let (first, last) = member.split_once('-').unwrap();
                let (from, to) = match (first.parse::<usize>(), last.parse::<usize>()) {
                    (Ok(first), Ok(last)) => (first, last + 1),
                    (Ok(first), Err(_)) => (first, length),
                    (Err(_), count) => (length.saturating_sub(count.unwrap()), length),
                };
                for byte in wanted.iter_mut().take(to).skip(from) {
                    *byte = true;
                }
            }
            let mut given = vec![false; length];
            match asked(&map(&[(header::RANGE, &value)]), &HeaderMap::new(), length) {
                Asked::Whole => prop_assert!(false, "{value} is of the grammar"),
                Asked::Unsatisfiable => {}
                Asked::Parts(parts) => {
                    for part in parts {
                        given[part].fill(true);
                    }
                }
            }
            prop_assert_eq!(given, wanted);
        }
    }
}
