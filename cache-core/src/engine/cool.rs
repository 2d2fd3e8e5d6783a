//! Hit-for-miss memory: keys whose last response could not be stored.
//!
//! While a key is here, requests for it are not coalesced, since waiting would gain them nothing.
//! Storing is not affected. The table has a fixed size; a collision replaces, and costs at most a
//! second of (or without) coalescing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::key::Key;

/// How long a key stays.
const COOL_FOR: Duration = Duration::from_secs(1);

const SLOTS: usize = 4096;

/// The bits of a slot that hold the end, in milliseconds; the others hold a part of the key.
const TIME_BITS: u32 = 40;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// A fixed-size table of keys.
#[derive(Debug)]
pub(crate) struct Cool {
    slots: Box<[AtomicU64]>,
}

impl Default for Cool {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect() }
    }
}

impl Cool {
    /// Remembers that a response for `key` could not be stored. `now` is monotonic.
    pub(crate) fn add(&self, key: &Key, now: Duration) {
        if let Some(slot) = self.slot(key) {
            slot.store(mark(key) | (millis(now + COOL_FOR) & TIME_MASK), Ordering::Relaxed);
        }
    }

    /// Whether it is too early to coalesce requests for `key`. `now` is asked only if it may be.
    pub(crate) fn contains(&self, key: &Key, now: impl FnOnce() -> Duration) -> bool {
        let slot = self.slot(key).map_or(0, |slot| slot.load(Ordering::Relaxed));
        slot != 0 && slot & !TIME_MASK == mark(key) && slot & TIME_MASK > millis(now()) & TIME_MASK
    }

    fn slot(&self, key: &Key) -> Option<&AtomicU64> {
        self.slots.get(usize::try_from(hash(key) % SLOTS as u64).unwrap_or_default())
    }
}

fn hash(key: &Key) -> u64 {
    key.primary().fold() ^ key.variant().map_or(0, crate::key::Digest::fold)
}

fn mark(key: &Key) -> u64 {
    hash(key) & !TIME_MASK
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Digest;

    #[test]
    fn a_key_stays_for_a_second() {
        let cool = Cool::default();
        let (a, b) = (Key::new(Digest::of(b"a")), Key::new(Digest::of(b"b")));
        let start = Duration::from_secs(5);
        cool.add(&a, start);
        assert!(cool.contains(&a, || start + Duration::from_millis(999)));
        assert!(!cool.contains(&a, || start + COOL_FOR));
        assert!(!cool.contains(&b, || start));
    }
}
