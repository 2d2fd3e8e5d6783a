//! What a thread has read before.
//!
//! An entry that is asked for again is read to the same tags and the same head if all of its bytes
//! before the body are the same, so they are compared with those that were read last, and neither
//! summed nor checked anew. Whether the entry is still *valid* is nothing that is remembered: its
//! stamp is among the bytes, the marks are not.

use std::cell::RefCell;

use bytes::Bytes;

use super::DecodeError;
use crate::entry::Content;
use crate::tag::Tags;
use crate::threads;

/// How many entries a thread usually remembers, in 200 KiB and more with heads of usual length. Those that
/// fall into one place displace each other.
const PLACES: usize = 512;

/// The most bytes before a body that are remembered: 2 MiB in all.
const LONGEST: usize = 4 << 10;

/// The most tags and lines of nominated fields that these are read to, together. Each may be one byte
/// there, and takes 32 here.
const MOST_PARTS: usize = 128;

/// What they are read to.
pub(super) type Read = (Tags, Content);

thread_local! {
    static KNOWN: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// Reads the first `length` bytes, as `read` does. `number` is of the entry's key, `sum` of these
/// bytes: where to look, no more.
pub(super) fn read(
    bytes: &Bytes,
    length: usize,
    (number, sum): (u64, u64),
    read: impl Fn(&Bytes) -> Result<Read, DecodeError>,
) -> Result<Read, DecodeError> {
    if length > LONGEST {
        return read(bytes);
    }
    let known = KNOWN.try_with(|known| {
        known_or_read(&mut known.borrow_mut(), bytes, length, (number, sum), &read)
    });
    // Otherwise the thread ends.
    known.unwrap_or_else(|_| read(bytes))
}

#[derive(Clone, Default)]
struct Place {
    bytes: Bytes,
    read: Option<Read>,
    /// The sum of those that wanted the place last.
    wanted_by: u64,
}

fn known_or_read(
    known: &mut Vec<Place>,
    bytes: &Bytes,
    length: usize,
    (number, sum): (u64, u64),
    read: impl Fn(&Bytes) -> Result<Read, DecodeError>,
) -> Result<Read, DecodeError> {
    if known.is_empty() {
        known.resize(threads::places(PLACES), Place::default());
    }
    let place = threads::place(number, known.len());
    let (Some(place), Some(head)) = (known.get_mut(place), bytes.get(..length)) else {
        return read(bytes);
    };
    if let Some(read) = &place.read
        && place.bytes == head
    {
        return Ok(read.clone());
    }
    // What is read once takes no place from others.
    let again = std::mem::replace(&mut place.wanted_by, sum) == sum;
    if !again && place.read.is_some() {
        return read(bytes);
    }
    // A copy, which does not keep the whole reply of a store.
    let own = Bytes::copy_from_slice(head);
    let read = read(&own)?;
    if is_kept(&read) {
        *place = Place { bytes: own, read: Some(read.clone()), wanted_by: sum };
    }
    Ok(read)
}

fn is_kept((tags, content): &Read) -> bool {
    let lines = match content {
        Content::Response(head) => head.presented.lines().map(|(_, lines)| lines.len()).sum(),
        Content::Variants(_) | Content::Value(_) => 0,
    };
    tags.len() + lines <= MOST_PARTS && !is_sensitive(content)
}

/// Whether a value, of the answer or of the request that it was made for, is not to be kept where it
/// need not be.
fn is_sensitive(content: &Content) -> bool {
    match content {
        Content::Response(head) => head.headers.are_sensitive() || head.presented.are_secret(),
        Content::Variants(_) | Content::Value(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::{Duration, SystemTime};

    use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
    use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

    use super::*;
    use crate::entry::{Life, StoredHead};
    use crate::key::vary::{Presented, VariantRecord};

    #[test]
    fn the_same_bytes_are_read_once_and_others_each_time() {
        let (mut known, reads) = (Vec::new(), Cell::new(0));
        let mut ask = |text: &'static str, length: usize| {
            let decode = |bytes: &Bytes| {
                reads.set(reads.get() + 1);
                let tags = Tags::user([std::str::from_utf8(&bytes[..length]).unwrap()]).unwrap();
                Ok((tags, Content::Variants(VariantRecord::default())))
            };
            let bytes = Bytes::from_static(text.as_bytes());
            let sum = u64::from(bytes[0]) + length as u64;
            let read = known_or_read(&mut known, &bytes, length, (7, sum), decode).unwrap();
            assert_eq!(read.0, Tags::user([&text[..length]]).unwrap());
            reads.get()
        };
        assert_eq!([ask("head-body", 4), ask("head-other", 4), ask("head", 4)], [1, 1, 1]);
        // Another one under the place is read, and takes it when it is wanted again.
        assert_eq!([ask("lead-body", 4), ask("head-body", 4)], [2, 2]);
        assert_eq!([ask("lead-", 4), ask("lead-", 4)], [3, 3]);
        assert_eq!([ask("head-body", 4), ask("lead-", 4)], [4, 4]);
        assert_eq!(ask("leadbody", 5), 5);
    }

    #[test]
    fn sensitive_values_are_not_remembered() {
        let head = |sensitive: bool, nominated: HeaderName| {
            let mut value = HeaderValue::from_static("value");
            let request = HeaderMap::from_iter([(nominated.clone(), value.clone())]);
            let presented = Presented::take(&[nominated], &request);
            value.set_sensitive(sensitive);
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-own"), value)]);
            let life = Life::new(SystemTime::UNIX_EPOCH, Duration::ZERO);
            StoredHead::new(StatusCode::OK, headers, life, presented)
        };
        let bytes = Bytes::from_static(b"head");
        let is_remembered = |head: StoredHead| {
            let mut known = Vec::new();
            let read = |_: &Bytes| Ok((Tags::default(), Content::Response(head.clone())));
            known_or_read(&mut known, &bytes, 4, (0, 0), read).unwrap();
            known.iter().any(|place| !place.bytes.is_empty())
        };
        assert!(is_remembered(head(false, ACCEPT_LANGUAGE)));
        assert!(!is_remembered(head(true, ACCEPT_LANGUAGE)));
        // What a client has presented to be known by.
        assert!(!is_remembered(head(false, COOKIE)));
        assert!(!is_remembered(head(false, AUTHORIZATION)));
    }

    #[test]
    fn what_takes_more_memory_than_its_bytes_is_not_remembered() {
        let is_remembered = |lines: usize| {
            let mut request = HeaderMap::new();
            for _ in 0..lines {
                request.append(ACCEPT_LANGUAGE, HeaderValue::from_static(""));
            }
            let presented = Presented::take(&[ACCEPT_LANGUAGE], &request);
            let life = Life::new(SystemTime::UNIX_EPOCH, Duration::ZERO);
            let head = StoredHead::new(StatusCode::OK, HeaderMap::new(), life, presented);
            let read = |_: &Bytes| Ok((Tags::default(), Content::Response(head.clone())));
            let (mut known, bytes) = (Vec::new(), Bytes::from_static(b"head"));
            known_or_read(&mut known, &bytes, 4, (0, 0), read).unwrap();
            known.iter().any(|place| !place.bytes.is_empty())
        };
        assert!(is_remembered(MOST_PARTS));
        assert!(!is_remembered(MOST_PARTS + 1));
    }

    #[test]
    fn what_is_wrong_is_refused_each_time() {
        let mut known = Vec::new();
        let bytes = Bytes::from_static(b"wrong");
        for _ in 0..3 {
            let refused =
                known_or_read(&mut known, &bytes, 5, (0, 0), |_| Err(DecodeError::Damaged));
            assert_eq!(refused.unwrap_err(), DecodeError::Damaged);
        }
    }
}
