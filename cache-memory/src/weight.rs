//! What an entry counts against the bound.

use std::mem::size_of;

use cache_core::entry::{Entry, StoredHead};
use cache_core::tag::{Tag, TagKind};

use crate::slot::Slot;

// All of these are what is asked of the allocator and what it adds to each block, up to 23 bytes; and
// tables are taken to have grown just now, so that half of their places are empty.

/// Bytes of the fixed parts of an entry, its slot, and its places in the cache and in the table
/// of deadlines; measured.
const ENTRY: usize = 400;

/// Bytes of one tag: a cell of its own (80), its place in the map (39), in the entry (16), in the
/// slot (16). The tag of a key is alone, mostly, and needs the cell only when it is put again.
const TAG: usize = 152;

/// Bytes of a text that is too long for the tag itself, beyond the text.
const TEXT: usize = 40;

/// The longest text that lies in the tag itself.
const SHORT: usize = 15;

/// Bytes of one nominated field beyond its name and its value: its place and that of its line.
const NOMINATED: usize = 96;

/// Bytes of the digest of a variant.
const VARIANT: usize = 48;

/// Bytes of the times that most responses do not have.
const TIMES: usize = 56;

/// What the entry costs in memory, and not less: its payload ([`Entry::weight`]) and the
/// bookkeeping around it. Counting the payload alone would let a store of small entries grow to
/// several times its bound.
pub(crate) fn weight(entry: &Entry) -> u64 {
    const { assert!(size_of::<Slot>() <= 80) }
    let tags = entry.tags().iter().map(of_tag);
    let variant = if entry.key().variant().is_some() { VARIANT } else { 0 };
    let bookkeeping = ENTRY + tags.sum::<usize>() + variant + entry.response().map_or(0, head);
    u64::try_from(entry.weight().saturating_add(bookkeeping)).unwrap_or(u64::MAX)
}

fn of_tag(tag: &Tag) -> usize {
    match tag.as_str().len() {
        ..=SHORT => TAG,
        // The tag of a key has room for a second text by what it does not need of the rest.
        _ if tag.kind() == TagKind::Key => TAG + TEXT,
        // A cell keeps the text of the entry that it was made for, which may have been replaced.
        text => TAG + 2 * TEXT + text,
    }
}

fn head(head: &StoredHead) -> usize {
    let times = if head.has_rare_times() { TIMES } else { 0 };
    NOMINATED * head.presented.names().count() + times
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use bytes::Bytes;
    use cache_core::entry::{Content, Life};
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
