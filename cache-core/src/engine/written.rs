//! Field values that many answers share, written once per thread.
//!
//! The answers of a second differ little in what the cache says of itself: an age and a rest of
//! life, both in whole seconds. A value that was written before is shared instead of written again.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// How many pairs of values a thread remembers.
const PLACES: usize = 128;

thread_local! {
    static WRITTEN: RefCell<Written> = const { RefCell::new(Written::new()) };
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

/// `Age`, and what the cache says of a fresh hit with so many seconds left; `write` must depend on
/// `cache` and `left` alone.
pub(crate) fn hit(cache: CacheId, age: u64, left: u64, write: impl Fn() -> HeaderValue) -> Values {
    let both = || (HeaderValue::from(age), write());
    WRITTEN
        .try_with(|written| written.borrow_mut().get((cache.0, age, left), both))
        .unwrap_or_else(|_| both())
}

type Values = (HeaderValue, HeaderValue);

type Numbers = (u64, u64, u64);

/// The last values written for each of a few numbers.
struct Written([Option<(Numbers, Values)>; PLACES]);

impl Written {
    const fn new() -> Self {
        Self([const { None }; PLACES])
    }

    fn get(&mut self, of: Numbers, write: impl FnOnce() -> Values) -> Values {
        let place = usize::try_from(of.1 % PLACES as u64).unwrap_or_default();
        let Some(place) = self.0.get_mut(place) else { return write() };
        match place {
            Some((written, values)) if *written == of => values.clone(),
            _ => place.insert((of, write())).1.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_caches_that_share_a_place_are_told_apart() {
        let say = |text: &'static str| move || HeaderValue::from_static(text);
        let (a, b) = (CacheId::new(), CacheId::new());
        let same_place = 1 + PLACES as u64;
        for (cache, age, left, status) in
            [(a, 1, 9, "a"), (a, same_place, 9, "later"), (a, 1, 8, "shorter"), (b, 1, 8, "b")]
        {
            let written = hit(cache, age, left, say(status));
            assert_eq!(written, (HeaderValue::from(age), HeaderValue::from_static(status)));
            assert_eq!(hit(cache, age, left, say("never written")), written);
        }
    }
}
