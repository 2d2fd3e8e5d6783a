//! What an entry counts against the bound.

use std::mem::size_of;

use cache_core::entry::Entry;

use crate::slot::Slot;

/// Bytes of the fixed parts of an entry, its slot, and its places in the cache and in the table
/// of deadlines; measured, rounded up.
const ENTRY: usize = 400;

/// Bytes of one tag: a cell of its own, its place in the map, the two pointers to it, and what a
/// text that is too long for the tag itself takes beside its bytes.
const TAG: usize = 128;

/// Bytes of one nominated field beyond its name and its value: its place and that of its line.
const NOMINATED: usize = 96;

/// What the entry costs in memory, roughly: its payload ([`Entry::weight`]) and the bookkeeping
/// around it. Counting the payload alone would let a store of small entries grow to several times
/// its bound.
pub(crate) fn weight(entry: &Entry) -> u64 {
    const { assert!(size_of::<Slot>() <= 80) }
    let nominated = entry.response().map_or(0, |head| head.presented.names().count());
    let bookkeeping = ENTRY + TAG * entry.tags().len() + NOMINATED * nominated;
    u64::try_from(entry.weight().saturating_add(bookkeeping)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use cache_core::entry::{Content, Life, StoredHead};
    use cache_core::key::vary::Presented;
    use cache_core::key::{Digest, Key};
    use cache_core::tag::Tags;
    use http::header::{ACCEPT, ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn nominated_fields_count_their_places_and_their_text() {
        let request = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("de"))]);
        let weighs = |names: &[HeaderName]| {
            let life = Life::new(SystemTime::UNIX_EPOCH, Duration::ZERO);
            let presented = Presented::take(names, &request);
            let head = StoredHead::new(http::StatusCode::OK, HeaderMap::new(), life, presented);
            let (key, content) = (Key::new(Digest::of(b"k")), Content::Response(head));
            weight(&Entry::new(key, Tags::default(), life.stored_at, content, Bytes::new()))
        };
        let text = "accept".len() + "accept-language".len() + "de".len();
        let more = u64::try_from(2 * NOMINATED + text).unwrap();
        assert_eq!(weighs(&[ACCEPT, ACCEPT_LANGUAGE]), weighs(&[]) + more);
    }
}
