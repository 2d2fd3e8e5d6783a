//! Which fields tell the variants of a key apart, as a thread has last seen in the store.
//!
//! It saves a look for the record of them, and no more: what is found under a variant's key is valid
//! by its own tags and says itself what it was asked with, and where nothing is found to be served the
//! record decides. What was seen holds until a flight for the key ends in this process, which may have
//! stored another record.

use std::cell::RefCell;
use std::rc::Rc;

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
    static KNOWN: RefCell<Known> = const { RefCell::new(Known(Vec::new())) };
}

/// Made at its first use.
struct Known(Vec<Option<Place>>);

struct Place {
    primary: Digest,
    seen: Seen,
    nominated: Nominated,
}

/// Where and when a record was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) cache: CacheId,
    /// How many flights had ended before.
    pub(super) generation: u64,
    /// How values are compared there.
    pub(super) values: VaryValues,
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
    if names.iter().any(is_secret) {
        return;
    }
    let _ = KNOWN.try_with(|known| {
        if let Ok(mut known) = known.try_borrow_mut() {
            known.set(key, names, seen);
        }
    });
}

impl Known {
    #[inline]
    fn get(&self, key: &Key, now: Seen) -> Option<Nominated> {
        let place = self.0.get(threads::place(key.primary().fold(), self.0.len()))?.as_ref()?;
        let same = place.seen == now && place.primary == *key.primary();
        same.then(|| place.nominated.clone())
    }

    fn set(&mut self, key: &Key, names: &[HeaderName], seen: Seen) {
        if self.0.is_empty() {
            self.0.resize_with(threads::places(PLACES), || None);
        }
        let (primary, index) = (*key.primary(), threads::place(key.primary().fold(), self.0.len()));
        let Some(place) = self.0.get_mut(index) else { return };
        // The digests that were made for these names stay.
        let same =
            |known: &&Place| *known.nominated.names == *names && known.seen.values == seen.values;
        let known = place.as_ref().filter(same).map(|known| known.nominated.clone());
        let new = || Nominated { names: names.into(), purpose: Purpose::new() };
        *place = Some(Place { primary, seen, nominated: known.unwrap_or_else(new) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen { cache: CacheId::new(), generation: 7, values: VaryValues::Exact }
    }

    fn key(text: &str) -> Key {
        Key::new(Digest::of(text.as_bytes()))
    }

    fn names(names: &[&'static str]) -> Vec<HeaderName> {
        names.iter().map(|name| HeaderName::from_static(name)).collect()
    }

    #[test]
    fn what_was_seen_holds_for_its_key_its_cache_and_its_time() {
        let (mut known, seen) = (Known(Vec::new()), seen());
        assert!(known.get(&key("a"), seen).is_none());
        known.set(&key("a"), &names(&["accept"]), seen);
        let found = known.get(&key("a"), seen).unwrap();
        assert_eq!(*found.names, names(&["accept"]));
        for other in [
            Seen { cache: CacheId::new(), ..seen },
            Seen { generation: 8, ..seen },
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
    fn digests_are_for_the_same_names_alone() {
        let (mut known, seen) = (Known(Vec::new()), seen());
        let mut purpose = |fields: &[&'static str], seen: Seen| {
            known.set(&key("a"), &names(fields), seen);
            known.get(&key("a"), seen).unwrap().purpose
        };
        let first = purpose(&["accept"], seen);
        assert_eq!(purpose(&["accept"], Seen { generation: 8, ..seen }), first);
        assert_ne!(purpose(&["accept", "origin"], seen), first);
        let exact = purpose(&["accept"], seen);
        assert_ne!(purpose(&["accept"], Seen { values: VaryValues::Normalised, ..seen }), exact);
    }

    #[test]
    fn secrets_are_looked_for_each_time() {
        let seen = seen();
        remember(&key("secret"), &names(&["accept", "cookie"]), seen);
        assert!(recall(&key("secret"), seen).is_none());
        remember(&key("secret"), &names(&["accept"]), seen);
        assert!(recall(&key("secret"), seen).is_some());
    }
}
