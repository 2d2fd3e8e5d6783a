//! Which fields tell the variants of a key apart, as a thread has last seen in the store.
//!
//! It saves a look for the record of them, and no more: what is found under a variant's key is valid
//! by its own tags and says itself what it was asked with, and where nothing is found to be served the
//! record decides. What was seen holds until a record is put for the key in this process, by whatever
//! cache; only stores that never wait are looked at so, and these are of one process. Ten times
//! a second the record is looked for all the same: a store that is full must see that it is in use.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderName;

use super::written::CacheId;
use crate::key::memo::Purpose;
use crate::key::vary::is_secret;
use crate::key::{Digest, Key};
use crate::policy::setting::VaryValues;
use crate::threads;

/// For how many keys a thread usually remembers them, in 40 KiB beside the names. Those that fall into
/// one place displace each other.
const PLACES: usize = 512;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { places: Vec::new(), kinds: Vec::new() }) };
}

/// For so long a record is not looked for, in milliseconds.
const HOLDS: u64 = 100;

/// For how many sets of names a thread has a purpose; then it begins anew.
const KINDS: usize = 64;

/// Keys that share a counter make each other's records looked for.
const COUNTERS: usize = 1 << 10;

/// How many records have been put.
static PUT: [AtomicU64; COUNTERS] = [const { AtomicU64::new(0) }; COUNTERS];

/// Made at its first use.
#[derive(Default)]
struct Known {
    places: Vec<Option<Place>>,
    kinds: Vec<(VaryValues, Nominated)>,
}

struct Place {
    primary: Digest,
    seen: Seen,
    nominated: Nominated,
}

/// Where and when a record was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    cache: CacheId,
    /// How many records had been put before it was looked for.
    put: u64,
    /// How values are compared there.
    values: VaryValues,
    /// In milliseconds since 1970.
    at: u64,
}

impl Seen {
    /// What is looked for from now on.
    #[inline]
    pub(super) fn now(key: &Key, cache: CacheId, values: VaryValues, at: u64) -> Self {
        Self { cache, put: counter(key).load(Ordering::SeqCst), values, at }
    }

    fn holds(&self, now: Self) -> bool {
        let same = Self { at: self.at, ..now } == *self;
        // A clock that was set back is as good as one that is far ahead.
        same && now.at.wrapping_sub(self.at) < HOLDS
    }
}

/// A record was put for this key, or may have been: to be said before anything is answered that was
/// stored beside it.
pub(super) fn was_put(key: &Key) {
    counter(key).fetch_add(1, Ordering::SeqCst);
}

fn counter(key: &Key) -> &'static AtomicU64 {
    let [first, ..] = &PUT;
    PUT.get(threads::place(key.primary().fold(), COUNTERS)).unwrap_or(first)
}

/// The fields, of which none is a secret, and what the digests of their lines are for.
#[derive(Clone, Debug)]
pub(super) struct Nominated {
    pub(super) names: Rc<[HeaderName]>,
    pub(super) purpose: Purpose,
}

/// What is remembered of a key, if that holds still.
#[inline]
pub(super) fn recall(key: &Key, now: Seen) -> Option<Nominated> {
    KNOWN.try_with(|known| known.try_borrow().ok()?.get(key, now)).ok()?
}

/// Remembers what was seen.
#[inline(never)]
pub(super) fn remember(key: &Key, names: &[HeaderName], seen: Seen) {
    let _ = KNOWN.try_with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.set(key, names, seen);
        }
    });
}

impl Known {
    #[inline]
    fn get(&self, key: &Key, now: Seen) -> Option<Nominated> {
        let index = threads::place(key.primary().fold(), self.places.len());
        let place = self.places.get(index)?.as_ref()?;
        let holds = place.seen.holds(now) && place.primary == *key.primary();
        holds.then(|| place.nominated.clone())
    }

    fn set(&mut self, key: &Key, names: &[HeaderName], seen: Seen) {
        if self.places.is_empty() {
            self.places.resize_with(threads::places(PLACES), || None);
        }
        let (primary, index) =
            (*key.primary(), threads::place(key.primary().fold(), self.places.len()));
        // A secret is looked for each time, in the store's record.
        let nominated = (!names.iter().any(is_secret)).then(|| self.kind(names, seen.values));
        if let Some(place) = self.places.get_mut(index) {
            *place = nominated.map(|nominated| Place { primary, seen, nominated });
        }
    }

    /// These names, with the purpose that they have for all keys.
    fn kind(&mut self, names: &[HeaderName], values: VaryValues) -> Nominated {
        let same = |(of, known): &&(_, Nominated)| *of == values && *known.names == *names;
        if let Some((_, known)) = self.kinds.iter().find(same) {
            return known.clone();
        }
        if self.kinds.len() >= KINDS {
            self.kinds.clear();
        }
        let new = Nominated { names: names.into(), purpose: Purpose::new() };
        self.kinds.push((values, new.clone()));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen { cache: CacheId::new(), put: 7, values: VaryValues::Exact, at: 1_000 }
    }

    fn key(text: &str) -> Key {
        Key::new(Digest::of(text.as_bytes()))
    }

    fn names(names: &[&'static str]) -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    }

    #[test]
    fn what_was_seen_holds_for_its_key_its_cache_and_its_time() {
        let (mut known, seen) = (Known::default(), seen());
        assert!(known.get(&key("a"), seen).is_none());
        known.set(&key("a"), &names(&["accept"]), seen);
        let found = known.get(&key("a"), seen).unwrap();
        assert_eq!(*found.names, names(&["accept"]));
        for other in [
            Seen { cache: CacheId::new(), ..seen },
            Seen { put: 8, ..seen },
            Seen { values: VaryValues::Normalised, ..seen },
        ] {
            assert!(known.get(&key("a"), other).is_none(), "{other:?}");
        }
        let same_place = (0..).map(|number| key(&number.to_string())).find(|other| {
            threads::place(other.primary().fold(), PLACES)
                == threads::place(key("a").primary().fold(), PLACES)
        });
        assert!(known.get(&same_place.unwrap(), seen).is_none());
    }

    #[test]
    fn who_puts_a_record_ends_what_was_seen_before() {
        let (cache, key) = (CacheId::new(), key("put"));
        let now = || Seen::now(&key, cache, VaryValues::Exact, 1);
        let before = now();
        assert!(before.holds(now()));
        was_put(&key);
        assert!(!before.holds(now()));
    }

    #[test]
    fn a_record_is_looked_for_from_time_to_time() {
        let (mut known, seen) = (Known::default(), seen());
        known.set(&key("a"), &names(&["accept"]), seen);
        for (at, holds) in [(0, true), (HOLDS - 1, true), (HOLDS, false), (u64::MAX, false)] {
            let now = Seen { at: seen.at.wrapping_add(at), ..seen };
            assert_eq!(known.get(&key("a"), now).is_some(), holds, "{at}");
        }
    }

    #[test]
    fn digests_are_for_the_same_names_alone_whatever_the_key() {
        let (mut known, seen) = (Known::default(), seen());
        let mut purpose = |text: &str, fields: &[&'static str], seen: Seen| {
            known.set(&key(text), &names(fields), seen);
            known.get(&key(text), seen).unwrap().purpose
        };
        let first = purpose("a", &["accept"], seen);
        assert_eq!(purpose("b", &["accept"], Seen { put: 8, ..seen }), first);
        assert_ne!(purpose("a", &["accept", "origin"], seen), first);
        let normalised = Seen { values: VaryValues::Normalised, ..seen };
        assert_ne!(purpose("a", &["accept"], normalised), first);
        assert_eq!(purpose("a", &["accept"], seen), first);
        for number in 0..2 * KINDS {
            known.kind(&[HeaderName::try_from(format!("x-{number}")).unwrap()], seen.values);
        }
        assert!(known.kinds.len() <= KINDS);
    }

    #[test]
    fn secrets_are_looked_for_each_time() {
        let seen = seen();
        remember(&key("secret"), &names(&["accept"]), seen);
        assert!(recall(&key("secret"), seen).is_some());
        remember(&key("secret"), &names(&["accept", "cookie"]), seen);
        assert!(recall(&key("secret"), seen).is_none());
    }
}
