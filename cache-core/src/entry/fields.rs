//! The fields of a stored response, laid out to be sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use http::header::{CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue};

/// The fields of a stored response, in order, without hop-by-hop ones.
///
/// Inside lies a table that is copied for each answer. Where the engine has made room in it for the
/// fields that it writes into every answer itself, an answer needs no table to grow and no name to
/// be looked up; that room is nowhere to be seen from outside.
#[derive(Clone, Debug, Default)]
pub struct StoredFields {
    map: HeaderMap,
    room: Option<Room>,
    /// Those that a 304 has, with the same room; made when the first one is sent.
    of_not_modified: OnceLock<Box<HeaderMap>>,
}

/// The first fields of a table, kept for the cache's own.
#[derive(Clone, Debug)]
struct Room {
    own: Arc<[OwnField]>,
    /// Tells the tables of a process apart.
    number: u64,
    /// Behind all others the body's length is stated, which the response itself has not.
    length: bool,
}

/// A field that the cache writes into its answers.
#[derive(Clone, Debug)]
pub(crate) struct OwnField {
    pub(crate) name: HeaderName,
    /// Its value in the answers that lie ready, where that is always the same. Such fields follow
    /// the others.
    pub(crate) always: Option<HeaderValue>,
}

impl StoredFields {
    /// The names and values, in order. Several lines of one name follow each other.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let own = self.room.as_ref().map_or(0, |room| room.own.len());
        self.map.iter().skip(own).take(self.len())
    }

    /// The first value of a field.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        if self.is_in_room(name) { None } else { self.map.get(name) }
    }

    /// All values of a field, in order.
    pub fn get_all<'f>(&'f self, name: &HeaderName) -> impl Iterator<Item = &'f HeaderValue> {
        let lines = Some(name).filter(|name| !self.is_in_room(name));
        lines.map(|name| self.map.get_all(name).iter()).into_iter().flatten()
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.map.len() - self.hidden()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For how many fields memory is held.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.map.capacity()
    }

    /// A table of these fields alone.
    #[must_use]
    pub fn to_map(&self) -> HeaderMap {
        if self.room.is_none() {
            return self.map.clone();
        }
        let mut map = table_of(self.len());
        self.copy_if(|_| true, &mut map);
        map
    }

    /// The same with room for the cache's own fields, and with the length of the body, if that is
    /// known and not stated already. Nothing changes if one of the names is taken.
    pub(crate) fn with_room(self, own: &Arc<[OwnField]>, length: Option<usize>) -> Self {
        // A name of ours that occurs twice has no place that is surely its own.
        let names = own.iter().enumerate();
        let twice = |(at, field): (usize, &OwnField)| {
            own.iter().skip(at + 1).any(|other| other.name == field.name)
        };
        let taken = |name: &HeaderName| own.iter().any(|field| field.name == *name);
        if self.room.is_some() || names.into_iter().any(twice) || self.map.keys().any(taken) {
            return self;
        }
        let stated = taken(&CONTENT_LENGTH) || self.map.contains_key(CONTENT_LENGTH);
        let length = length.filter(|_| !stated);
        // A new table, so that it has no more places than it needs.
        let mut map = blank(own, self.map.len() + own.len() + 1);
        let mut last = None;
        for (name, value) in self.map {
            // Further lines of a name come without it.
            last = name.or(last);
            if let Some(name) = &last {
                map.append(name.clone(), value);
            }
        }
        if let Some(length) = length {
            map.append(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let room = Room { own: Arc::clone(own), number: next_number(), length: length.is_some() };
        Self { map, room: Some(room), of_not_modified: OnceLock::new() }
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
        kept: impl Fn(&HeaderName, bool) -> bool,
        own: &[OwnField],
        values: impl Iterator<Item = HeaderValue>,
        adds: impl Fn(&HeaderName) -> bool,
    ) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len().min(6) + own.len());
        self.copy_kept(kept, &mut map);
        put(&mut map, own, values, adds);
        map
    }

    /// The table of every answer with this room. The cache's own fields are the first ones, those
    /// whose values are not always the same first of all, and blank. `None` where there is no room
    /// for these fields.
    pub(crate) fn ready(&self, own: &Arc<[OwnField]>) -> Option<&HeaderMap> {
        let room = self.room.as_ref()?;
        Arc::ptr_eq(&room.own, own).then_some(&self.map)
    }

    /// The same of every 304. `kept` must always be the same.
    pub(crate) fn ready_not_modified(
        &self,
        kept: impl Fn(&HeaderName, bool) -> bool,
        own: &Arc<[OwnField]>,
    ) -> Option<&HeaderMap> {
        self.ready(own)?;
        Some(self.of_not_modified.get_or_init(|| {
            let mut map = blank(own, self.len().min(3) + own.len());
            self.copy_kept(kept, &mut map);
            Box::new(map)
        }))
    }

    /// The one that was made ready for a 304, else the one for every other answer.
    pub(crate) fn made_ready(&self, not_modified: bool) -> &HeaderMap {
        let other = self.of_not_modified.get().filter(|_| not_modified);
        other.map_or(&self.map, |map| &**map)
    }

    /// What tells the table that is made ready apart from all others.
    pub(crate) fn number(&self, not_modified: bool) -> Option<u64> {
        Some(self.room.as_ref()?.number * 2 + u64::from(not_modified))
    }

    /// The table as it is, with the room in it.
    pub(crate) const fn table(&self) -> &HeaderMap {
        &self.map
    }

    fn copy_kept(&self, kept: impl Fn(&HeaderName, bool) -> bool, to: &mut HeaderMap) {
        let etag = self.map.contains_key(ETAG);
        self.copy_if(|name| kept(name, etag), to);
    }

    fn copy_if(&self, kept: impl Fn(&HeaderName) -> bool, to: &mut HeaderMap) {
        for (name, value) in self.iter().filter(|(name, _)| kept(name)) {
            to.append(name, value.clone());
        }
    }

    fn hidden(&self) -> usize {
        self.room.as_ref().map_or(0, |room| room.own.len() + usize::from(room.length))
    }

    fn is_in_room(&self, name: &HeaderName) -> bool {
        self.room.as_ref().is_some_and(|room| {
            room.own.iter().any(|field| field.name == *name)
                || room.length && *name == CONTENT_LENGTH
        })
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A table with room for so many lines. Most of a great many share their names and need no place of
/// their own; and a table has no more than 2¹⁵.
fn table_of(lines: usize) -> HeaderMap {
    HeaderMap::with_capacity(lines.min(1 << 10))
}

/// A table for so many lines that begins with these fields.
fn blank(own: &[OwnField], lines: usize) -> HeaderMap {
    let mut map = table_of(lines);
    for field in own {
        let value = field.always.clone().unwrap_or_else(|| HeaderValue::from_static(""));
        map.append(field.name.clone(), value);
    }
    map
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
        Self { map, ..Self::default() }
    }
}

/// Equal if the same names have the same lines; the order of names does not count, and neither does
/// the room.
impl PartialEq for StoredFields {
    fn eq(&self, other: &Self) -> bool {
        self.to_map() == other.to_map()
    }
}

impl Eq for StoredFields {}

#[cfg(test)]
mod tests {
    use http::header::{AGE, SET_COOKIE};

    use super::*;

    fn fields() -> StoredFields {
        let mut map = HeaderMap::new();
        for (name, value) in [(ETAG, "\"a\""), (SET_COOKIE, "a=1"), (SET_COOKIE, "b=2")] {
            map.append(name, HeaderValue::from_static(value));
        }
        StoredFields::from(map)
    }

    fn own() -> (Arc<[OwnField]>, [HeaderValue; 2]) {
        let names = [AGE, HeaderName::from_static("cache-status")];
        let own = names.map(|name| OwnField { name, always: None });
        (Arc::from(own), ["7", "ours"].map(HeaderValue::from_static))
    }

    #[test]
    fn room_is_not_to_be_seen() {
        let (names, _) = own();
        let roomy = fields().with_room(&names, Some(3));
        assert_eq!(roomy, fields());
        assert_eq!(roomy.len(), 3);
        assert!(roomy.iter().eq(fields().iter()));
        assert_eq!((roomy.get(&AGE), roomy.get(&CONTENT_LENGTH)), (None, None));
        assert_eq!(roomy.get(&ETAG).unwrap(), "\"a\"");
    }

    #[test]
    fn what_is_ready_has_the_own_fields_first() {
        let (names, _) = own();
        let roomy = fields().with_room(&names, None);
        let ready = roomy.ready(&names).unwrap();
        assert_eq!(ready.len(), 5);
        assert!(ready.keys().take(2).eq(names.iter().map(|own| &own.name)));
        let stored = fields().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert!(ready.iter().skip(2).map(|(name, _)| name).eq(&stored));
        let kept = |name: &HeaderName, _| *name == ETAG;
        let ready = roomy.ready_not_modified(kept, &names).unwrap();
        assert_eq!(ready.keys().collect::<Vec<_>>(), [&names[0].name, &names[1].name, &ETAG]);
        assert_eq!(roomy.made_ready(true), ready);
        // Another route's names find no room here.
        let others: Arc<[OwnField]> = Arc::from([OwnField { name: AGE, always: None }]);
        assert!(roomy.ready(&others).is_none());
    }

    #[test]
    fn what_is_always_the_same_is_there_already() {
        let hit = HeaderName::from_static("x-cache");
        let field = |always| OwnField { name: hit.clone(), always };
        let names = Arc::from([field(Some(HeaderValue::from_static("HIT")))]);
        let ready = fields().with_room(&names, None);
        assert_eq!(ready.ready(&names).unwrap().get(&hit).unwrap(), "HIT");
        // A name that occurs twice has no place of its own.
        let names = Arc::from([field(None), field(None)]);
        assert!(fields().with_room(&names, None).ready(&names).is_none());
    }

    #[test]
    fn a_name_that_is_taken_is_kept_or_replaced() {
        let (names, own) = own();
        let mut map = fields().to_map();
        map.insert("cache-status", HeaderValue::from_static("theirs"));
        map.insert(AGE, HeaderValue::from_static("1"));
        let taken = StoredFields::from(map).with_room(&names, None);
        let answer = taken.answer(&names, own.into_iter(), |name| *name == "cache-status");
        let lines: Vec<_> = answer.get_all("cache-status").iter().collect();
        assert_eq!(lines, ["theirs", "ours"]);
        assert_eq!(answer.get(AGE).unwrap(), "7");
    }
}
