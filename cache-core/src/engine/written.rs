//! Field values that many answers share, written once per thread.
//!
//! The answers of a second differ little in what the cache says of itself: an age and a rest of
//! life, both in whole seconds. A value that was written before is shared instead of written again.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// How many values of a kind a thread remembers.
const PLACES: usize = 64;

thread_local! {
    static AGES: RefCell<Written> = const { RefCell::new(Written::new()) };
    static HITS: RefCell<Written> = const { RefCell::new(Written::new()) };
}

/// Tells the caches of a process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CacheId(u64);

impl CacheId {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// `Age`.
pub(crate) fn age(seconds: u64) -> HeaderValue {
    let write = || HeaderValue::from(seconds);
    AGES.try_with(|ages| ages.borrow_mut().get((0, seconds), write)).unwrap_or_else(|_| write())
}

/// What the cache says of a fresh hit with so many seconds left; `write` must depend on these two
/// alone.
pub(crate) fn hit(cache: CacheId, seconds: u64, write: impl Fn() -> HeaderValue) -> HeaderValue {
    let known = HITS.try_with(|hits| hits.borrow_mut().get((cache.0, seconds), &write));
    known.unwrap_or_else(|_| write())
}

/// The last value written for each of a few numbers.
struct Written([Option<((u64, u64), HeaderValue)>; PLACES]);

impl Written {
    const fn new() -> Self {
        Self([const { None }; PLACES])
    }

    fn get(&mut self, of: (u64, u64), write: impl FnOnce() -> HeaderValue) -> HeaderValue {
        let place = usize::try_from(of.1 % PLACES as u64).unwrap_or_default();
        let Some(place) = self.0.get_mut(place) else { return write() };
        match place {
            Some((written, value)) if *written == of => value.clone(),
            _ => place.insert((of, write())).1.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_caches_that_share_a_place_are_told_apart() {
        assert_eq!([age(1), age(1 + PLACES as u64), age(1)], ["1", "65", "1"]);
        let (a, b) = (CacheId::new(), CacheId::new());
        let say = |text: &'static str| move || HeaderValue::from_static(text);
        assert_eq!(hit(a, 1, say("a")), "a");
        assert_eq!(hit(b, 1, say("b")), "b");
        assert_eq!(hit(b, 1, say("never written")), "b");
    }
}
