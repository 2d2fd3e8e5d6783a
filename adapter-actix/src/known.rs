//! Fields of answers that this thread has converted before.
//!
//! What lies in the store is sent again and again, and what the cache says of itself changes once a
//! second. Lines that were converted before are shared instead of copied. Only answers that lie
//! ready are remembered: nothing that was meant for one client stays in memory.

use std::cell::RefCell;

use actix_web::http::header as framework;
use cache_core::engine::{Reply, Says};
use cache_core::threads;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue};

/// The fields of how many answers a thread usually remembers.
const PLACES: usize = 512;

/// The most lines of an answer that is remembered.
const MOST_LINES: usize = 24;

/// The most bytes that its values have, all together.
const MOST_BYTES: usize = 2048;

/// The values of an answer's first lines that are others in other answers.
type Own<'r> = [Option<&'r HeaderValue>; 2];

type Line = (framework::HeaderName, framework::HeaderValue);

thread_local! {
    static KNOWN: RefCell<Vec<Option<Known>>> = const { RefCell::new(Vec::new()) };
}

/// Puts an answer's fields into a table of the framework's: what `convert` gives for them, or gave
/// before. Gives the length that they state, which is left out: what the framework sends is the
/// size of the body.
pub(crate) fn put(
    reply: &Reply,
    to: &mut framework::HeaderMap,
    convert: impl Fn((&HeaderName, &HeaderValue)) -> Option<Line>,
) -> Option<u64> {
    let known = reply.ready_fields().and_then(|ready| {
        let known = KNOWN.try_with(|known| {
            let mut known = known.borrow_mut();
            if known.is_empty() {
                known.resize_with(threads::places(PLACES), || None);
            }
            let place = threads::place(ready.number, known.len());
            let place = known.get_mut(place)?;
            let own = || reply.varying_fields();
            let ready = (ready.number, ready.says);
            let known = recalled(place, ready, own, || reply.fields(), &convert)?;
            for (name, value) in &known.lines {
                to.append(name.clone(), value.clone());
            }
            Some(known.length)
        });
        // Otherwise the thread ends.
        known.ok().flatten()
    });
    known.unwrap_or_else(|| {
        let mut length = None;
        for line in reply.fields() {
            if *line.0 == CONTENT_LENGTH {
                length = length.or_else(|| stated(line.1));
            } else if let Some((name, value)) = convert(line) {
                to.append(name, value);
            }
        }
        length
    })
}

/// The length that a value states.
pub(crate) fn stated(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.parse().ok()
}

/// What is known of these fields, as they are now; `None` if they are not to be remembered.
fn recalled<'p, 'f, F>(
    place: &'p mut Option<Known>,
    (number, says): (u64, Option<Says>),
    own: impl Fn() -> Own<'f>,
    fields: impl Fn() -> F,
    convert: &impl Fn((&HeaderName, &HeaderValue)) -> Option<Line>,
) -> Option<&'p Known>
where
    F: Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
{
    if let Some(known) = place {
        if known.number == number {
            known.used = true;
            let says_the_same = says.is_some() && known.says == says;
            if !says_the_same && !known.follow(says, own(), fields(), convert) {
                return None;
            }
            return place.as_ref();
        }
        // What is asked for often is not driven out by what is asked for once.
        if std::mem::take(&mut known.used) {
            return None;
        }
    }
    *place = Known::of((number, says), own(), fields(), convert);
    place.as_ref()
}

struct Known {
    number: u64,
    /// What the first lines say, and their values, as they were.
    says: Option<Says>,
    own: [Option<HeaderValue>; 2],
    lines: Vec<Line>,
    /// That a line states which is not among these.
    length: Option<u64>,
    /// Asked for since others last wanted the place.
    used: bool,
}

impl Known {
    /// `None` if they are too many, or not to be remembered.
    fn of<'f>(
        (number, says): (u64, Option<Says>),
        own: Own<'_>,
        fields: impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
        convert: &impl Fn((&HeaderName, &HeaderValue)) -> Option<Line>,
    ) -> Option<Self> {
        let own = own.map(Option::<&HeaderValue>::cloned);
        let mut known = Self { number, says, own, lines: Vec::new(), length: None, used: false };
        let mut bytes = 0;
        for (name, value) in fields {
            bytes += value.len();
            if bytes > MOST_BYTES || known.lines.len() == MOST_LINES || value.is_sensitive() {
                return None;
            }
            if *name == CONTENT_LENGTH {
                known.length = known.length.or_else(|| stated(value));
            } else {
                known.lines.push(shared(&convert((name, value))?));
            }
        }
        Some(known)
    }

    /// Whether nothing has changed.
    fn is_of(&self, own: Own<'_>) -> bool {
        self.own.iter().zip(own).all(|(known, now)| match (known, now) {
            (Some(known), Some(now)) => is_same(known, now),
            (None, None) => true,
            _ => false,
        })
    }

    /// Converts what has changed; false if that cannot be.
    fn follow<'f>(
        &mut self,
        says: Option<Says>,
        own: Own<'_>,
        fields: impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
        convert: &impl Fn((&HeaderName, &HeaderValue)) -> Option<Line>,
    ) -> bool {
        if self.is_of(own) {
            self.says = says;
            return true;
        }
        let count = own.iter().flatten().count();
        if count != self.own.iter().flatten().count() {
            return false;
        }
        // Without these nothing is what is known here.
        (self.says, self.own) = (None, [None, None]);
        for (line, known) in fields.take(count).zip(&mut self.lines) {
            let Some(converted) = convert(line) else { return false };
            *known = shared(&converted);
        }
        (self.says, self.own) = (says, own.map(Option::<&HeaderValue>::cloned));
        true
    }
}

/// The same line. What is a clone itself is cloned, and dropped, with less ado.
fn shared(line: &Line) -> Line {
    line.clone()
}

/// Whether two values are the same: in most cases one and the same.
fn is_same(one: &HeaderValue, other: &HeaderValue) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    std::ptr::eq(one, other) || one == other
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    type Lines = [(&'static str, &'static str)];

    /// One place, and how many lines were converted for it.
    #[derive(Default)]
    struct Place {
        known: Option<Known>,
        converted: Cell<usize>,
    }

    impl Place {
        /// The number of lines converted for this answer, whose first line is the cache's own;
        /// `None` if it is not remembered.
        fn ask(&mut self, number: u64, lines: &Lines) -> Option<usize> {
            let header = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            let headers: Vec<_> = lines.iter().map(header).collect();
            let convert = |(name, value): (&HeaderName, &HeaderValue)| {
                self.converted.set(self.converted.get() + 1);
                let name = framework::HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
                Some((name, framework::HeaderValue::from_bytes(value.as_bytes()).ok()?))
            };
            self.converted.set(0);
            let fields = || headers.iter().map(|(name, value)| (name, value));
            let own = || [headers.first().map(|(_, value)| value), None];
            let known = recalled(&mut self.known, (number, None), own, fields, &convert)?;
            let given = known.lines.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            let lines = lines.iter().filter(|(name, _)| *name != "content-length");
            assert!(given.eq(lines.map(|(name, value)| (*name, value.as_bytes()))));
            assert!(known.length.is_none_or(|length| length == 7));
            Some(self.converted.get())
        }
    }

    #[test]
    fn a_length_is_left_out() {
        let mut place = Place::default();
        let lines = [("x-n", "1"), ("content-length", "7"), ("x-a", "a")];
        assert_eq!(place.ask(1, &lines), Some(2));
        assert_eq!(place.known.and_then(|known| known.length), Some(7));
    }

    #[test]
    fn lines_are_converted_once_and_then_when_they_change() {
        let mut place = Place::default();
        assert_eq!(place.ask(1, &[("x-n", "1"), ("x-a", "a"), ("x-a", "b")]), Some(3));
        assert_eq!(place.ask(1, &[("x-n", "1"), ("x-a", "a"), ("x-a", "b")]), Some(0));
        assert_eq!(place.ask(1, &[("x-n", "2"), ("x-a", "a"), ("x-a", "b")]), Some(1));
        assert_eq!(place.ask(1, &[("x-n", "2"), ("x-a", "a"), ("x-a", "b")]), Some(0));
    }

    #[test]
    fn others_are_told_apart() {
        let mut place = Place::default();
        place.ask(1, &[("x-n", "1"), ("x-a", "a")]);
        assert_eq!(place.ask(2, &[("x-n", "1"), ("x-a", "b")]), Some(2));
        assert_eq!(place.ask(1, &[("x-n", "1"), ("x-a", "a")]), Some(2));
    }

    #[test]
    fn what_is_asked_for_often_keeps_its_place() {
        let (mut place, often, once) = (Place::default(), [("x-n", "1")], [("x-n", "2")]);
        place.ask(1, &often);
        place.ask(1, &often);
        assert_eq!(place.ask(2, &once), None);
        assert_eq!(place.ask(1, &often), Some(0));
        place.ask(2, &once);
        assert_eq!(place.ask(2, &once), Some(1));
        assert_eq!(place.ask(2, &once), Some(0));
    }

    #[test]
    fn large_ones_are_not_remembered() {
        let long: &'static str = "x".repeat(MOST_BYTES).leak();
        let mut place = Place::default();
        assert_eq!(place.ask(1, &[("x-n", "1"), ("x-a", long)]), None);
        assert_eq!(place.ask(2, &[("x-n", long)]), Some(1));
    }
}
