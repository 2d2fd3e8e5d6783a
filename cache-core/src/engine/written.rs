//! Field values that many answers share, written once per thread.
//!
//! The answers of a second differ little in what the cache says of itself: an age and a rest of
//! life, both in whole seconds. A value that was written before is shared instead of written again.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::{HeaderValue, StatusCode};

use crate::clock::{from_unix_millis, unix_millis};
use crate::entry::usual;
use crate::reason::Forwarded;

/// How many pairs of values a thread remembers.
const PLACES: usize = 128;

thread_local! {
    static HITS: RefCell<Written<(u64, u64, u64), Values, PLACES>> =
        const { RefCell::new(Written::new()) };
    static DATES: RefCell<Written<u64, HeaderValue, 1>> = const { RefCell::new(Written::new()) };
    static MISSES: RefCell<Written<(CacheId, Stored), HeaderValue, 8>> =
        const { RefCell::new(Written::new()) };
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
    let both = || (usual::number(age), write());
    let known = |hits: &RefCell<Written<_, _, PLACES>>| {
        hits.borrow_mut().get(age, (cache.0, age, left), both)
    };
    HITS.try_with(known).unwrap_or_else(|_| both())
}

/// `Age` and `Cache-Status`.
type Values = (HeaderValue, HeaderValue);

/// What the cache says of a response that it stores; `write` must depend on these two alone.
pub(crate) fn stored(
    cache: CacheId,
    stored: Stored,
    write: impl Fn() -> HeaderValue,
) -> HeaderValue {
    let known = |misses: &RefCell<Written<_, _, 8>>| {
        misses.borrow_mut().get(stored.seconds.unsigned_abs(), (cache, stored), &write)
    };
    MISSES.try_with(known).unwrap_or_else(|_| write())
}

/// `Date`.
pub(crate) fn date(at: SystemTime) -> HeaderValue {
    let seconds = unix_millis(at) / 1000;
    let write = || {
        let text = httpdate::fmt_http_date(from_unix_millis(seconds * 1000));
        // A date is letters, digits, commas, colons and spaces.
        HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    };
    let known = |dates: &RefCell<Written<_, _, 1>>| dates.borrow_mut().get(0, seconds, write);
    DATES.try_with(known).unwrap_or_else(|_| write())
}

/// How a response came about that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) fwd: Forwarded,
    pub(crate) status: StatusCode,
    /// Of life.
    pub(crate) seconds: i64,
}

/// The last value written for each of a few circumstances.
struct Written<K, V, const COUNT: usize>([Option<(K, V)>; COUNT]);

impl<K: PartialEq, V: Clone, const COUNT: usize> Written<K, V, COUNT> {
    const fn new() -> Self {
        Self([const { None }; COUNT])
    }

    fn get(&mut self, number: u64, of: K, write: impl FnOnce() -> V) -> V {
        let place = usize::try_from(number % COUNT as u64).unwrap_or_default();
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

    #[test]
    fn a_date_is_that_of_its_second() {
        let at = |millis| date(from_unix_millis(millis));
        assert_eq!(at(1_000_000_000_000), "Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(at(1_000_000_000_999), "Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(at(1_000_000_001_000), "Sun, 09 Sep 2001 01:46:41 GMT");
    }

    #[test]
    fn what_is_said_of_a_stored_response_depends_on_all_of_it() {
        let say = |text: &'static str| move || HeaderValue::from_static(text);
        let (a, b) = (CacheId::new(), CacheId::new());
        let base = Stored { fwd: Forwarded::UriMiss, status: StatusCode::OK, seconds: 60 };
        for (cache, story, text) in [
            (a, base, "a"),
            (a, Stored { fwd: Forwarded::Stale, ..base }, "stale"),
            (a, Stored { status: StatusCode::NOT_FOUND, ..base }, "status"),
            (a, Stored { seconds: 68, ..base }, "seconds"),
            (b, base, "b"),
        ] {
            assert_eq!(stored(cache, story, say(text)), text);
            assert_eq!(stored(cache, story, say("never written")), text);
        }
    }
}
