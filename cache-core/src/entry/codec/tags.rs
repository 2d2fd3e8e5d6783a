//! The tags of a stored entry: each a 16-bit length and its encoded text.
//!
//! Those that a thread has read before are shared: an entry that is asked for again has the same
//! ones, and texts of their own for each of them cost more than to compare all of them at once.

use std::cell::RefCell;

use super::DecodeError;
use crate::entry::fields::checksum;
use crate::tag::{MAX_TAGS, Tag, Tags};

/// The tags of how many entries a thread remembers, in 200 KiB and more for three of usual length
/// each, and no more than 3 MiB. Those that fall into one place displace each other.
const PLACES: usize = 512;

/// The most bytes of tags that are remembered.
const LONGEST: usize = 256;

thread_local! {
    static KNOWN: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// Reads them; everything is checked.
pub(super) fn read(bytes: &[u8]) -> Result<Tags, DecodeError> {
    if bytes.is_empty() || bytes.len() > LONGEST {
        return parse(bytes);
    }
    let known = KNOWN.try_with(|known| known_or_parsed(&mut known.borrow_mut(), bytes));
    // Otherwise the thread ends.
    known.unwrap_or_else(|_| parse(bytes))
}

#[derive(Clone, Default)]
struct Place {
    /// None has as few as the empty place.
    bytes: Box<[u8]>,
    tags: Tags,
    /// The checksum of those that wanted the place last.
    wanted_by: u64,
}

fn known_or_parsed(known: &mut Vec<Place>, bytes: &[u8]) -> Result<Tags, DecodeError> {
    if known.is_empty() {
        known.resize(PLACES, Place::default());
    }
    let sum = checksum(bytes);
    let place = usize::try_from(sum % PLACES as u64).unwrap_or_default();
    let Some(place) = known.get_mut(place) else { return parse(bytes) };
    if *place.bytes == *bytes {
        return Ok(place.tags.clone());
    }
    let tags = parse(bytes)?;
    // What is read once takes no place from others.
    let again = std::mem::replace(&mut place.wanted_by, sum) == sum;
    if again || place.bytes.is_empty() {
        *place = Place { bytes: bytes.into(), tags: tags.clone(), wanted_by: sum };
    }
    Ok(tags)
}

fn parse(mut rest: &[u8]) -> Result<Tags, DecodeError> {
    let mut tags = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (text, after) = after.split_at_checked(length).ok_or(DecodeError::Damaged)?;
        let text = std::str::from_utf8(text).map_err(|_| DecodeError::Malformed("tag"))?;
        tags.push(Tag::from_encoded(text).ok_or(DecodeError::Malformed("tag"))?);
        if tags.len() > MAX_TAGS {
            return Err(DecodeError::Malformed("too many tags"));
        }
        rest = after;
    }
    if rest.is_empty() { Ok(Tags::new(tags)) } else { Err(DecodeError::Damaged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(names: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in names {
            bytes.extend_from_slice(&u16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    #[test]
    fn what_is_remembered_is_what_is_read() {
        let all: Vec<Vec<u8>> = (0..4 * PLACES)
            .map(|number| bytes(&[&format!("t:user:{number}"), "t:users"]))
            .chain([bytes(&[]), bytes(&["t:a"]), bytes(&[&format!("t:{}", "x".repeat(300))])])
            .collect();
        for _ in 0..3 {
            for bytes in &all {
                assert_eq!(read(bytes), parse(bytes));
            }
        }
    }

    #[test]
    fn what_is_read_again_is_shared() {
        let mut known = Vec::new();
        let bytes = bytes(&["t:a", "t:b"]);
        let first = known_or_parsed(&mut known, &bytes).unwrap();
        let again = known_or_parsed(&mut known, &bytes).unwrap();
        assert!(std::ptr::eq(&*first, &*again));
    }

    #[test]
    fn what_is_wrong_is_refused_each_time() {
        let wrong = [bytes(&["z:a"]), bytes(&["t:"]), vec![0], vec![0, 9, b't'], vec![0, 1, 0xff]];
        for _ in 0..3 {
            for bytes in &wrong {
                assert!(read(bytes).is_err(), "{bytes:?}");
            }
        }
    }
}
