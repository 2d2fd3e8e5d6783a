//! Tables of answers that a thread has laid out before.
//!
//! An answer is sent as a table, and making one of packed fields costs more than all else that a
//! hit does. A table found here was made of the very same fields, for the same names of the cache
//! and a body of the same length.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};

use super::fields::{OwnField, StoredFields, table_of};
use super::packed::{self, Name};
use super::usual;
use crate::field::conditional::Tag;
use crate::threads;

/// The fields of how many entries a thread usually remembers: with a copy of them and their table, 2 KiB
/// each for eight lines, 1 KiB more once a 304 was sent, and no more than 28 KiB (lines of one name).
/// Those that fall into one place displace each other.
const PLACES: usize = threads::USUAL;

/// The most lines that are remembered: with the cache's own, what a table of 64 places holds.
const MOST_LINES: usize = 44;

/// The most bytes that these have. A policy for a browser's scripts alone may take some thousand.
const MOST_BYTES: usize = 8 << 10;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known(Vec::new())) };
}

/// The table of the answer that a stored response is. The cache's own fields are the first ones,
/// those whose values are not always the same first of all; the last one says how long the body is,
/// if the response itself does not.
#[derive(Debug)]
pub(crate) struct Laid {
    /// How many of the fields are the cache's own, and how many of these are not always the same.
    own: usize,
    varying: usize,
    table: HeaderMap,
    /// Those that a 304 has, laid out the same way; made when the first one is sent.
    of_not_modified: OnceLock<HeaderMap>,
    etag: Tag,
    /// Tells the remembered ones of a process apart.
    number: Option<u64>,
    /// What the values that are not always the same follow from, as they are now.
    said: Option<Standing>,
}

/// What the values of those of the cache's own fields follow from that are not always the same, for
/// answers of one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// In seconds.
    pub(crate) age: u64,
    pub(crate) seconds_left: i64,
}

/// The values of these fields, in their order.
pub(crate) type Varying = [Option<HeaderValue>; 2];

/// The table for these fields, with these values in those of the cache's own that are not always the
/// same; `None` where the response has one of them already, or so many fields that a table might not
/// hold them all. Without `said`, nobody can tell when the values are the same again.
pub(crate) fn laid(
    fields: &StoredFields,
    own: &Arc<[OwnField]>,
    length: usize,
    said: Option<Standing>,
    values: impl Fn() -> Varying,
) -> Option<Arc<Laid>> {
    let answer = Answer { fields, own, length, said, values };
    KNOWN.try_with(|known| known.borrow_mut().get(&answer)).unwrap_or_else(|_| answer.once())
}

/// What a table is asked for.
struct Answer<'a, V> {
    fields: &'a StoredFields,
    own: &'a Arc<[OwnField]>,
    length: usize,
    said: Option<Standing>,
    values: V,
}

impl<V: Fn() -> Varying> Answer<'_, V> {
    /// A table that nobody will ask for again.
    fn once(&self) -> Option<Arc<Laid>> {
        self.laid(self.fields, None)
    }

    fn laid(&self, fields: &StoredFields, number: Option<u64>) -> Option<Arc<Laid>> {
        let mut laid = Laid::of(fields, self.own, self.length, number)?;
        laid.say(self.said, (self.values)());
        Some(Arc::new(laid))
    }
}

impl Laid {
    /// The values that are not always the same are still blank.
    fn of(
        fields: &StoredFields,
        own: &[OwnField],
        length: usize,
        number: Option<u64>,
    ) -> Option<Self> {
        let lines = lines_beside(own, fields)?;
        if lines > packed::MOST_LINES || has_twice(own) {
            return None;
        }
        let mut table = blank(own, lines + own.len() + 1);
        fields.copy_if(|_| true, &mut table);
        if length > 0 && !table.contains_key(CONTENT_LENGTH) {
            table.append(CONTENT_LENGTH, HeaderValue::from(length));
        }
        if number.is_some() {
            for value in table.values_mut() {
                if let Some(usual) = usual::value(value) {
                    *value = usual;
                }
            }
        }
        let varying = own.iter().filter(|field| field.always.is_none()).count();
        let (own, etag, of_not_modified) = (own.len(), Tag::of(&table), OnceLock::new());
        Some(Self { own, varying, table, of_not_modified, etag, number, said: None })
    }

    /// Writes the values that are not always the same.
    fn say(&mut self, said: Option<Standing>, values: Varying) {
        if let Some(table) = self.of_not_modified.get_mut() {
            write(table, values.clone());
        }
        write(&mut self.table, values);
        self.said = said;
    }

    /// The table of every answer but a 304.
    pub(crate) const fn whole(&self) -> &HeaderMap {
        &self.table
    }

    pub(crate) const fn etag(&self) -> &Tag {
        &self.etag
    }

    /// That of every 304. `kept` must always be the same; it learns whether there is an entity tag.
    pub(crate) fn not_modified(&self, kept: impl Fn(&str, bool) -> bool) -> &HeaderMap {
        self.of_not_modified.get_or_init(|| {
            let etag = self.table.contains_key(http::header::ETAG);
            let stays = |(at, (name, _)): &(usize, (&HeaderName, _))| {
                *at < self.own || kept(name.as_str(), etag)
            };
            let lines = || self.table.iter().enumerate().filter(stays).map(|(_, line)| line);
            let mut table = table_of(lines().count());
            for (name, value) in lines() {
                table.append(name, value.clone());
            }
            table
        })
    }

    /// One of the two, as it was made before.
    pub(crate) fn table(&self, not_modified: bool) -> &HeaderMap {
        self.of_not_modified.get().filter(|_| not_modified).unwrap_or(&self.table)
    }

    /// The same to be changed; without a copy where nobody else has it.
    pub(crate) fn into_table(this: Arc<Self>, not_modified: bool) -> HeaderMap {
        // What is remembered is held there, and an attempt to take it out costs something.
        if this.number.is_some() {
            return this.table(not_modified).clone();
        }
        match Arc::try_unwrap(this) {
            Ok(Self { table, of_not_modified, .. }) => {
                of_not_modified.into_inner().filter(|_| not_modified).unwrap_or(table)
            }
            Err(shared) => shared.table(not_modified).clone(),
        }
    }

    /// The same with other values, for an answer while another one has this table.
    fn saying(&self, said: Option<Standing>, values: Varying) -> Self {
        let (table, of_not_modified) = (self.table.clone(), self.of_not_modified.clone());
        let etag = self.etag.clone();
        let mut copy = Self { table, of_not_modified, etag, number: None, ..*self };
        copy.say(said, values);
        copy
    }

    /// The values of the first fields that are others in other answers.
    pub(crate) fn varying(&self, not_modified: bool) -> [Option<&HeaderValue>; 2] {
        let mut values = self.table(not_modified).values().take(self.varying);
        [values.next(), values.next()]
    }

    /// What these values follow from, if that is all that they follow from.
    pub(crate) const fn says(&self) -> Option<Standing> {
        self.said
    }

    /// What tells one of the two apart from all others, if it will be met again. Those of a 304 count
    /// down from the highest number, so that the low bits of both are spread evenly.
    pub(crate) fn number(&self, not_modified: bool) -> Option<u64> {
        self.number.map(|number| if not_modified { !number } else { number })
    }
}

/// Made at its first use.
struct Known(Vec<Option<Place>>);

struct Place {
    fields: StoredFields,
    own: Arc<[OwnField]>,
    length: usize,
    laid: Option<Arc<Laid>>,
    /// Asked for since others last wanted the place.
    used: bool,
    /// The number of those that wanted it last.
    wanted_by: u64,
}

impl Known {
    fn get(&mut self, answer: &Answer<'_, impl Fn() -> Varying>) -> Option<Arc<Laid>> {
        if self.0.is_empty() {
            self.0.resize_with(threads::places(PLACES), || None);
        }
        let Answer { fields, own, length, .. } = *answer;
        let index = index(fields, own, self.0.len());
        let Some(place) = self.0.get_mut(index) else { return answer.once() };
        if let Some(known) = place {
            if known.is_of(fields, own, length) {
                known.used = true;
                return known.saying(answer);
            }
            // What is asked for often is not driven out by what is asked for once, which is not
            // remembered at all unless there is room.
            let again = std::mem::replace(&mut known.wanted_by, fields.number()) == fields.number();
            if std::mem::take(&mut known.used) || !again {
                return answer.once();
            }
        }
        if !is_worth_it(fields) {
            return answer.once();
        }
        let fields = fields.apart();
        let laid = answer.laid(&fields, Some(next_number()));
        let (own, wanted_by) = (Arc::clone(own), fields.number());
        place.insert(Place { fields, own, length, laid, used: false, wanted_by }).laid.clone()
    }
}

impl Place {
    fn is_of(&self, fields: &StoredFields, own: &Arc<[OwnField]>, length: usize) -> bool {
        // Nobody else can have the address: it is held here.
        Arc::ptr_eq(&self.own, own) && self.length == length && self.fields.are(fields)
    }

    /// The table with these values. They are not written again while they are the same.
    fn saying(&mut self, answer: &Answer<'_, impl Fn() -> Varying>) -> Option<Arc<Laid>> {
        let laid = self.laid.as_mut()?;
        if answer.said.is_some() && laid.said == answer.said {
            return Some(Arc::clone(laid));
        }
        let values = (answer.values)();
        let Some(only) = Arc::get_mut(laid) else {
            return Some(Arc::new(laid.saying(answer.said, values)));
        };
        only.say(answer.said, values);
        Some(Arc::clone(laid))
    }
}

/// Whether fields may be kept here, which may be longer than in the store.
fn is_worth_it(fields: &StoredFields) -> bool {
    fields.packed().len() <= MOST_BYTES && fields.len() <= MOST_LINES && !fields.are_sensitive()
}

/// Where a table belongs: no more than a guess where to look.
fn index(fields: &StoredFields, own: &Arc<[OwnField]>, places: usize) -> usize {
    let address = Arc::as_ptr(own).cast::<()>().addr() >> 4;
    threads::place(fields.number().wrapping_add(address as u64), places)
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
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

/// Puts these values into the first fields of a table.
fn write(table: &mut HeaderMap, values: Varying) {
    for (place, value) in table.values_mut().zip(values.into_iter().flatten()) {
        *place = value;
    }
}

/// How many lines there are; `None` where one of the cache's own fields is among them, or may be.
fn lines_beside(own: &[OwnField], fields: &StoredFields) -> Option<usize> {
    if own.iter().any(|field| field.name == CONTENT_LENGTH) {
        return None;
    }
    let is_own = |name: Name<'_>| own.iter().any(|field| name.is(&field.name));
    fields.lines().try_fold(0, |lines, line| (!is_own(line.name)).then_some(lines + 1))
}

/// A name of ours that occurs twice has no place that is surely its own.
fn has_twice(own: &[OwnField]) -> bool {
    let mut before = own.iter().enumerate();
    before.any(|(at, field)| own.iter().take(at).any(|other| other.name == field.name))
}

#[cfg(test)]
mod tests {
    use http::header::{AGE, ETAG, HeaderName, SET_COOKIE};

    use super::*;

    fn map(etag: &'static str) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in [(ETAG, etag), (SET_COOKIE, "a=1"), (SET_COOKIE, "b=2")] {
            map.append(name, HeaderValue::from_static(value));
        }
        map
    }

    fn own() -> Arc<[OwnField]> {
        let names = [AGE, HeaderName::from_static("cache-status")];
        Arc::from(names.map(|name| OwnField { name, always: None }))
    }

    fn made(etag: &'static str) -> StoredFields {
        StoredFields::from(map(etag))
    }

    fn laid(fields: &StoredFields, own: &Arc<[OwnField]>, length: usize) -> Option<Arc<Laid>> {
        super::laid(fields, own, length, None, Varying::default)
    }

    fn laid_once(fields: &StoredFields, own: &Arc<[OwnField]>) -> Option<Arc<Laid>> {
        Answer { fields, own, length: 7, said: None, values: Varying::default }.once()
    }

    impl Known {
        /// A table whose values nobody asks for.
        fn any(
            &mut self,
            fields: &StoredFields,
            own: &Arc<[OwnField]>,
            length: usize,
        ) -> Option<Arc<Laid>> {
            let said = Some(Standing { age: 0, seconds_left: 0 });
            self.get(&Answer { fields, own, length, said, values: Varying::default })
        }
    }

    /// As it comes out of a store.
    fn read(etag: &'static str) -> StoredFields {
        StoredFields::read(made(etag).packed().clone()).unwrap()
    }

    #[test]
    fn the_own_fields_are_the_first_and_the_length_is_the_last() {
        let own = own();
        let laid = laid(&made("\"a\""), &own, 7).unwrap();
        let names: Vec<_> = laid.whole().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["age", "cache-status", "etag", "set-cookie", "content-length"]);
        assert_eq!(laid.whole()[CONTENT_LENGTH], "7");
        let kept = |name: &str, _: bool| name == "etag";
        let names: Vec<_> = laid.not_modified(kept).keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["age", "cache-status", "etag"]);
        assert_eq!(laid.table(true), laid.not_modified(kept));
        assert_eq!(laid.table(false), laid.whole());
    }

    #[test]
    fn a_length_that_is_stated_stays_and_none_is_said_of_nothing() {
        let mut stated = map("\"a\"");
        stated.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        let stated = StoredFields::from(stated);
        assert_eq!(laid(&stated, &own(), 7).unwrap().whole()[CONTENT_LENGTH], "5");
        assert!(!laid(&made("\"a\""), &own(), 0).unwrap().whole().contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn what_is_always_the_same_is_there_already() {
        let hit = HeaderName::from_static("x-cache");
        let field = |always| OwnField { name: hit.clone(), always };
        let own = Arc::from([field(Some(HeaderValue::from_static("HIT")))]);
        assert_eq!(laid(&made("\"a\""), &own, 0).unwrap().whole()[&hit], "HIT");
        // A name that occurs twice has no place of its own.
        assert!(laid(&made("\"a\""), &Arc::from([field(None), field(None)]), 0).is_none());
    }

    #[test]
    fn a_name_that_is_taken_has_no_place() {
        let mut taken = map("\"a\"");
        taken.insert(AGE, HeaderValue::from_static("1"));
        let (taken, own) = (StoredFields::from(taken), own());
        for _ in 0..3 {
            assert!(laid(&taken, &own, 0).is_none());
        }
    }

    #[test]
    fn answers_of_one_kind_take_all_places_by_their_number() {
        let (own, places) = (own(), 16);
        for not_modified in [false, true] {
            let mut taken = [0; 16];
            for number in 100..116 {
                let laid = Laid::of(&made("\"a\""), &own, 7, Some(number)).unwrap();
                taken[threads::place(laid.number(not_modified).unwrap(), places)] += 1;
            }
            assert_eq!(taken, [1; 16]);
        }
    }

    #[test]
    fn what_was_laid_out_is_found_again() {
        let own = own();
        for fields in [made, read] {
            let mut known = Known(Vec::new());
            let (fields, same) = (fields("\"a\""), fields("\"a\""));
            let first = known.any(&fields, &own, 7).unwrap();
            assert!(Arc::ptr_eq(&first, &known.any(&fields.clone(), &own, 7).unwrap()));
            let again = known.any(&same, &own, 7).unwrap();
            assert_eq!(again.whole(), first.whole());
            assert!(first.number(false).is_some() && first.number(false) != first.number(true));
        }
        let mut known = Known(Vec::new());
        let first = known.any(&read("\"a\""), &own, 7).unwrap();
        assert!(Arc::ptr_eq(&first, &known.any(&read("\"a\""), &own, 7).unwrap()));
    }

    #[test]
    fn others_are_told_apart() {
        let (own, others) = (own(), own());
        let mut known = Known(Vec::new());
        let fields = read("\"a\"");
        let table = |known: &mut Known, fields: &_, own: &_, length| {
            let laid = known.any(fields, own, length).unwrap();
            let text =
                |name| laid.whole().get(name).map(|value| value.to_str().unwrap().to_owned());
            (text(ETAG).unwrap(), text(CONTENT_LENGTH).unwrap())
        };
        let expected = |etag: &str, length: &str| (etag.to_owned(), length.to_owned());
        for _ in 0..4 {
            assert_eq!(table(&mut known, &fields, &own, 7), expected("\"a\"", "7"));
            assert_eq!(table(&mut known, &fields, &own, 8), expected("\"a\"", "8"));
            assert_eq!(table(&mut known, &read("\"b\""), &own, 7), expected("\"b\"", "7"));
            assert_eq!(table(&mut known, &fields, &others, 7), expected("\"a\"", "7"));
        }
    }

    #[test]
    fn what_is_not_always_the_same_is_said_anew() {
        let (own, fields) = (own(), made("\"a\""));
        let written = std::cell::Cell::new(0);
        let said = |age| Some(Standing { age, seconds_left: 9 });
        let mut known = Known(Vec::new());
        let mut ask = |said: Option<Standing>, age: u64| {
            let values = || {
                written.set(written.get() + 1);
                [Some(HeaderValue::from(age)), Some(HeaderValue::from_static("hit"))]
            };
            let answer = Answer { fields: &fields, own: &own, length: 7, said, values };
            let laid = known.get(&answer).unwrap();
            laid.not_modified(|name, _| name == "etag");
            for not_modified in [false, true] {
                assert_eq!(laid.table(not_modified)[AGE], HeaderValue::from(age));
                assert_eq!(laid.table(not_modified)["cache-status"], "hit");
            }
            (laid, written.get())
        };
        assert_eq!(ask(said(1), 1).1, 1);
        assert_eq!(ask(said(1), 1).1, 1, "the same is not written again");
        let (held, now_written) = ask(said(2), 2);
        assert_eq!(held.varying(false).map(|value| value.unwrap().as_bytes()), [b"2", &b"hit"[..]]);
        assert_eq!(now_written, 2);
        // It is held by an answer, which says what it said.
        let (beside, now_written) = ask(said(3), 3);
        assert_eq!((beside.number(false), now_written), (None, 3));
        assert_eq!(held.table(false)[AGE], "2");
        drop(held);
        assert_eq!(ask(said(3), 3).1, 4);
        // Nobody knows whether these are the same.
        assert_eq!(ask(None, 3).1, 5);
        assert_eq!(ask(None, 4).1, 6);
        assert_eq!(ask(said(3), 3).1, 7);
    }

    #[test]
    fn what_is_asked_for_often_keeps_its_place() {
        let own = own();
        let mut known = Known(Vec::new());
        let often = made("\"a\"");
        let first = known.any(&often, &own, 7).unwrap();
        known.any(&often, &own, 7);
        // Another one that falls into its place.
        let once = std::iter::repeat_with(|| made("\"b\""))
            .find(|other| index(other, &own, PLACES) == index(&often, &own, PLACES))
            .unwrap();
        let alone = known.any(&once, &own, 7).unwrap();
        assert_eq!((alone.number(false), Arc::strong_count(&alone)), (None, 1));
        assert!(Arc::ptr_eq(&first, &known.any(&often, &own, 7).unwrap()));
        known.any(&once, &own, 7);
        let second = known.any(&once, &own, 7).unwrap();
        assert!(Arc::ptr_eq(&second, &known.any(&once, &own, 7).unwrap()));
    }

    #[test]
    fn what_is_asked_for_once_is_remembered_only_where_there_is_room() {
        let own = own();
        let mut known = Known(Vec::new());
        let first = made("\"a\"");
        let laid = known.any(&first, &own, 7).unwrap();
        // Nobody has asked for it again; but neither has anybody for one of these.
        let same_place =
            |other: &StoredFields| index(other, &own, PLACES) == index(&first, &own, PLACES);
        for _ in 0..4 {
            let once = std::iter::repeat_with(|| made("\"b\"")).find(same_place).unwrap();
            assert_eq!(known.any(&once, &own, 7).unwrap().number(false), None);
        }
        assert!(Arc::ptr_eq(&laid, &known.any(&first, &own, 7).unwrap()));
    }

    #[test]
    fn sensitive_values_are_not_remembered() {
        let own = own();
        let mut map = map("\"a\"");
        let mut secret = HeaderValue::from_static("s");
        secret.set_sensitive(true);
        map.insert("x-secret", secret);
        let laid = Known(Vec::new()).any(&StoredFields::from(map), &own, 7).unwrap();
        assert_eq!(laid.number(false), None);
        assert!(laid.whole()["x-secret"].is_sensitive());
    }

    #[test]
    fn usual_values_of_what_is_remembered_are_the_same_values() {
        let own = own();
        let mut map = map("\"a\"");
        map.append("accept-ranges", HeaderValue::from_static("bytes"));
        map.append("vary", HeaderValue::from_static("accept"));
        map.append("vary", HeaderValue::from_static("origin"));
        let fields = StoredFields::read(StoredFields::from(&map).packed().clone()).unwrap();
        let (remembered, once) =
            (Known(Vec::new()).any(&fields, &own, 7), laid_once(&fields, &own));
        let (remembered, once) = (remembered.unwrap(), once.unwrap());
        assert!(remembered.number(false).is_some() && once.number(false).is_none());
        assert!(remembered.whole().iter().eq(once.whole().iter()));
    }

    #[test]
    fn what_is_remembered_of_a_reply_is_not_the_whole_of_it() {
        let packed = made("\"a\"").packed().clone();
        let reply = bytes::Bytes::from([&packed[..], &[0; 4096]].concat());
        let fields = StoredFields::read(reply.slice(..packed.len())).unwrap();
        let mut known = Known(Vec::new());
        known.any(&fields, &own(), 7);
        drop(fields);
        assert!(reply.is_unique(), "the reply of a store is held");
    }

    #[test]
    fn large_ones_are_not_remembered() {
        let own = own();
        let mut map = map("\"a\"");
        map.insert("x-long", HeaderValue::from_str(&"x".repeat(MOST_BYTES)).unwrap());
        let mut known = Known(Vec::new());
        let laid = known.any(&StoredFields::from(map), &own, 7).unwrap();
        assert_eq!(laid.number(false), None);
        let table = Laid::into_table(laid, false);
        assert_eq!(table["x-long"].len(), MOST_BYTES);
    }
}
