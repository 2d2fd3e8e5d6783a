//! Lines of answers that this thread has converted before.
//!
//! What lies in the store is sent again and again, and what the cache says of itself changes once a
//! second. A line that was converted before is shared instead of copied. Only answers from the
//! store come here: nothing that was meant for one client stays in memory.

use std::cell::RefCell;

use actix_web::http::header as framework;
use http::{HeaderName, HeaderValue};

/// How many lines a thread remembers.
const PLACES: usize = 512;

/// The longest value that is remembered, in bytes.
const LONGEST: usize = 256;

type Line = (framework::HeaderName, framework::HeaderValue);

struct Known {
    name: HeaderName,
    value: HeaderValue,
    line: Line,
}

thread_local! {
    static KNOWN: RefCell<Vec<Option<Known>>> = const { RefCell::new(Vec::new()) };
}

/// The line in the framework's terms: what `convert` gives for it, or gave before.
pub(crate) fn line(
    (name, value): (&HeaderName, &HeaderValue),
    convert: impl Fn((&HeaderName, &HeaderValue)) -> Option<Line>,
) -> Option<Line> {
    if value.len() > LONGEST || value.is_sensitive() {
        return convert((name, value));
    }
    let known = KNOWN.try_with(|known| {
        let mut known = known.borrow_mut();
        if known.is_empty() {
            known.resize_with(PLACES, || None);
        }
        // A value that is sent again lies where it lay.
        let place = known.get_mut(place_of(name, value))?;
        if let Some(known) = place
            && known.name == *name
            && known.value == *value
        {
            return Some(known.line.clone());
        }
        let line = convert((name, value))?;
        let (name, value) = (name.clone(), value.clone());
        *place = Some(Known { name, value, line: line.clone() });
        Some(line)
    });
    // The thread ends.
    known.unwrap_or_else(|_| convert((name, value)))
}

/// Multiplied, so that what lies at regular distances does not share a place.
fn place_of(name: &HeaderName, value: &HeaderValue) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let lies_at = value.as_bytes().as_ptr().addr().wrapping_add(name.as_str().len());
    let mixed = (lies_at as u64).wrapping_mul(ODD) >> 32;
    usize::try_from(mixed).unwrap_or_default() % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_converted_once() {
        let name = HeaderName::from_static("x-known");
        let value = HeaderValue::from_static("a value");
        let convert = |(name, value): (&HeaderName, &HeaderValue)| {
            let name = framework::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
            Some((name, framework::HeaderValue::from_bytes(value.as_bytes()).ok()?))
        };
        let first = line((&name, &value), convert).unwrap();
        let again = line((&name, &value), |_| None).unwrap();
        assert_eq!((first.0.as_str(), first.1.as_bytes()), ("x-known", &b"a value"[..]));
        assert_eq!(first, again);
    }

    #[test]
    fn another_name_and_another_value_are_told_apart() {
        let value = HeaderValue::from_static("the same bytes");
        let names = ["x-one", "x-two"].map(HeaderName::from_static);
        let asked = std::cell::Cell::new(0);
        for name in &names {
            line((name, &value), |_| {
                asked.set(asked.get() + 1);
                None
            });
        }
        assert_eq!(asked.get(), 2);
    }
}
