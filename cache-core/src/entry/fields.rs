//! The fields of a stored response.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::packed::{self, Line, Lines};

/// The fields of a stored response, in order, without hop-by-hop ones.
///
/// They lie packed in one block; names and values are made of it for whoever asks. Several lines of
/// one name follow each other.
#[derive(Clone, Default)]
pub struct StoredFields {
    /// Lines, and nothing else.
    packed: Bytes,
    number: u64,
}

/// The number is a checksum: others may have it too.
const IS_CHECKSUM: u64 = 1 << 63;

impl StoredFields {
    /// The names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.lines().map(|line| (line.name.as_str(), line.value))
    }

    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<HeaderValue> {
        self.get_all(name).next()
    }

    /// All values of a field, in order; copies, which do not keep the rest.
    pub fn get_all(&self, name: &HeaderName) -> impl Iterator<Item = HeaderValue> {
        self.lines().filter(|line| line.name.is(name)).filter_map(|line| {
            let mut value = HeaderValue::from_bytes(line.value).ok()?;
            value.set_sensitive(line.sensitive);
            Some(value)
        })
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines().count()
    }

    /// Whether there is no field.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// A table of these fields.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        let mut map = table_of(self.len());
        self.copy_if(|_| true, &mut map);
        map
    }

    /// What was packed before, as it was read from a store; or what is wrong with it.
    pub(crate) fn read(packed: Bytes) -> Result<Self, &'static str> {
        packed::check(&packed)?;
        Ok(Self { number: checksum(&packed) | IS_CHECKSUM, packed })
    }

    /// What was packed of lines that were fields of a table.
    pub(super) fn of_lines(packed: Vec<u8>) -> Self {
        // Without room behind them, which nobody would count.
        Self { packed: Bytes::from(packed.into_boxed_slice()), number: next_number() }
    }

    /// The block that they lie in.
    pub(crate) const fn packed(&self) -> &Bytes {
        &self.packed
    }

    pub(crate) fn lines(&self) -> Lines<'_> {
        Lines(&self.packed)
    }

    /// Where to look for what was made of the same fields before.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Whether these are surely the same lines in the same order.
    pub(super) fn are(&self, other: &Self) -> bool {
        self.number == other.number
            && (self.number & IS_CHECKSUM == 0 || self.packed == other.packed)
    }

    /// The same in a block of its own. What was read is a part of the whole reply of a store; what
    /// was made is shared with other threads, which would all count the holders in one place.
    pub(super) fn apart(&self) -> Self {
        Self { packed: Bytes::copy_from_slice(&self.packed), number: self.number }
    }

    /// Whether a value is not to be kept where it need not be.
    pub(super) fn are_sensitive(&self) -> bool {
        self.lines().any(|line| line.sensitive)
    }

    /// The fields of an answer. `values` are those of `own`, in that order; a field that the
    /// response has already stays beside them if `adds` says so of its name.
    pub(crate) fn answer(
        &self,
        own: &[OwnField],
        values: impl Iterator<Item = HeaderValue>,
        adds: impl Fn(&HeaderName) -> bool,
    ) -> HeaderMap {
        let mut map = table_of(self.len() + own.len() + 1);
        self.copy_if(|_| true, &mut map);
        put(&mut map, own, values, adds);
        map
    }

    /// The same for a 304, which has only those fields that `kept` names; it learns whether there
    /// is an entity tag.
    pub(crate) fn answer_not_modified(
        &self,
        kept: impl Fn(&str, bool) -> bool,
        own: &[OwnField],
        values: impl Iterator<Item = HeaderValue>,
        adds: impl Fn(&HeaderName) -> bool,
    ) -> HeaderMap {
        let etag = self.contains(&http::header::ETAG);
        let mut map = HeaderMap::with_capacity(self.len().min(6) + own.len());
        self.copy_if(|name| kept(name, etag), &mut map);
        put(&mut map, own, values, adds);
        map
    }

    pub(super) fn contains(&self, name: &HeaderName) -> bool {
        self.lines().any(|line| line.name.is(name))
    }

    pub(super) fn copy_if(&self, kept: impl Fn(&str) -> bool, to: &mut HeaderMap) {
        for line in self.lines().filter(|line| kept(line.name.as_str())) {
            if let (Some(name), Some(value)) = (line.name.to_name(), self.value(line)) {
                // They came from a table, or are no more than a table holds.
                let _ = to.try_append(name, value);
            }
        }
    }

    /// A part of the block; `None` of nothing that is in it.
    fn value(&self, line: Line<'_>) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_maybe_shared(self.packed.slice_ref(line.value)).ok()?;
        value.set_sensitive(line.sensitive);
        Some(value)
    }
}

/// A field that the cache writes into its answers.
#[derive(Clone, Debug)]
pub(crate) struct OwnField {
    pub(crate) name: HeaderName,
    /// Its value in the answers that lie ready, where that is always the same. Such fields follow
    /// the others.
    pub(crate) always: Option<HeaderValue>,
}

/// Tells those of a process apart.
fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed) & !IS_CHECKSUM
}

/// A guess where to look, no more.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |mixed: u64, word: u64| (mixed.rotate_left(5) ^ word).wrapping_mul(ODD);
    let (words, rest) = bytes.as_chunks::<8>();
    let mixed = words.iter().fold(0, |mixed, word| mix(mixed, u64::from_le_bytes(*word)));
    let mixed = rest.iter().fold(mixed, |mixed, byte| mix(mixed, u64::from(*byte)));
    mixed ^ (mixed >> 32)
}

/// A table with room for so many lines. Most of a great many share their names and need no place of
/// their own; and a table has no more than 2¹⁵.
pub(super) fn table_of(lines: usize) -> HeaderMap {
    HeaderMap::with_capacity(lines.min(1 << 10))
}

fn put(
    map: &mut HeaderMap,
    own: &[OwnField],
    values: impl Iterator<Item = HeaderValue>,
    adds: impl Fn(&HeaderName) -> bool,
) {
    for (OwnField { name, .. }, value) in own.iter().zip(values) {
        if adds(name) {
            map.append(name, value);
        } else {
            map.insert(name, value);
        }
    }
}

impl From<HeaderMap> for StoredFields {
    fn from(map: HeaderMap) -> Self {
        Self::from(&map)
    }
}

impl From<&HeaderMap> for StoredFields {
    fn from(map: &HeaderMap) -> Self {
        Self { packed: Bytes::from(packed::pack(map)), number: next_number() }
    }
}

/// Equal if the same names have the same lines; the order of names does not count.
impl PartialEq for StoredFields {
    fn eq(&self, other: &Self) -> bool {
        self.packed == other.packed || self.to_map() == other.to_map()
    }
}

impl Eq for StoredFields {}

impl fmt::Debug for StoredFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.lines().filter_map(|line| Some((line.name.as_str(), self.value(line)?)));
        f.debug_map().entries(lines).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{Hash as _, Hasher};
    use std::sync::Arc;

    use http::header::{AGE, ETAG, SET_COOKIE};

    use super::super::laid;
    use super::*;

    fn map() -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in [(ETAG, "\"a\""), (SET_COOKIE, "a=1"), (SET_COOKIE, "b=2")] {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn what_was_put_in_can_be_asked_for() {
        let fields = StoredFields::from(map());
        assert_eq!(fields.to_map(), map());
        assert_eq!(fields.len(), 3);
        assert_eq!(fields.get(&ETAG).unwrap(), "\"a\"");
        assert_eq!(fields.get(&AGE), None);
        assert_eq!(fields.get_all(&SET_COOKIE).collect::<Vec<_>>(), ["a=1", "b=2"]);
        assert!(StoredFields::default().is_empty());
    }

    #[test]
    fn those_with_one_number_are_the_same() {
        let made = StoredFields::from(map());
        assert!(made.are(&made.clone()));
        assert!(!made.are(&StoredFields::from(map())), "told apart without a look at them");
        let read = StoredFields::read(made.packed.clone()).unwrap();
        assert!(read.are(&StoredFields::read(made.packed.clone()).unwrap()));
        assert!(!read.are(&made));
        let mut other = map();
        other.insert(ETAG, HeaderValue::from_static("\"b\""));
        let other = StoredFields { number: read.number, ..StoredFields::from(other) };
        assert!(!read.are(&other), "a checksum proves nothing");
    }

    /// As `http` hashes names until it takes them for an attack.
    struct Fnv(u64);

    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
    }

    /// So many lines of different names, the last few thousand in the same part of a table.
    fn flood(lines: usize) -> Bytes {
        let names = (0..).map(|number| format!("x{number:x}"));
        let crowded = |name: &String| {
            let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
            HeaderName::from_lowercase(name.as_bytes()).unwrap().hash(&mut hasher);
            hasher.finish() & 0x7fff < 2_000
        };
        let spread = lines.saturating_sub(3_600);
        let mut packed = Vec::new();
        for name in names.clone().take(spread).chain(names.skip(spread).filter(crowded)).take(lines)
        {
            packed.push(0);
            packed::put_sized(name.as_bytes(), &mut packed);
            packed.push(0);
        }
        packed.into()
    }

    #[test]
    fn every_line_that_is_read_finds_a_place_in_a_table() {
        for lines in [16_000, packed::MOST_LINES] {
            // All of them, or none: a field that is left out may be the one that forbids to share.
            if let Ok(fields) = StoredFields::read(flood(lines)) {
                assert_eq!(fields.to_map().len(), lines);
                let table = laid(&fields, &Arc::default(), 1, None, Default::default).unwrap();
                assert_eq!(table.whole().len(), lines + 1);
            }
        }
        assert!(StoredFields::read(flood(packed::MOST_LINES)).is_ok());
    }

    #[test]
    fn a_name_that_is_taken_is_kept_or_replaced() {
        let names = [AGE, HeaderName::from_static("cache-status")];
        let own = names.map(|name| OwnField { name, always: None });
        let values = ["7", "ours"].map(HeaderValue::from_static);
        let mut map = map();
        map.insert("cache-status", HeaderValue::from_static("theirs"));
        map.insert(AGE, HeaderValue::from_static("1"));
        let taken = StoredFields::from(map);
        let answer = taken.answer(&own, values.into_iter(), |name| *name == "cache-status");
        let lines: Vec<_> = answer.get_all("cache-status").iter().collect();
        assert_eq!(lines, ["theirs", "ours"]);
        assert_eq!(answer.get(AGE).unwrap(), "7");
    }
}
