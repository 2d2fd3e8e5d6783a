//! The logical clock, and which of its readings are still out.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::lock;
use crate::stripes::Stripes;

/// Issues readings of the clock and knows the oldest one that somebody still holds.
///
/// The *horizon* is a reading such that every reading that is out, and every one that will ever
/// be issued, is at least as high. Marks up to the horizon can be forgotten: nobody can still
/// fill below them.
///
/// Why [`horizon`](Self::horizon) is one, although it visits the stripes one by one: it reads the
/// clock first. A reading issued in a stripe before the visit is in that stripe's map. One issued
/// after the visit reads the clock under the stripe's lock, hence after the visitor's own reading
/// of it, and two ordered reads of one atomic never go backwards. For the same reason a horizon
/// stays one for ever.
#[derive(Debug)]
pub(crate) struct Tickets {
    clock: AtomicU64,
    /// How often each reading is out.
    stripes: Stripes<Mutex<BTreeMap<u64, usize>>>,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        Self { clock: AtomicU64::new(0), stripes: Stripes::new() }
    }

    /// Moves the clock on and gives its new value.
    pub(crate) fn advance(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Reads the clock and registers the reading, in one step as far as the horizon can tell.
    pub(crate) fn issue(&self, hint: u64) -> u64 {
        let mut out = lock(self.stripes.of(hint));
        let reading = self.clock.load(Ordering::SeqCst);
        *out.entry(reading).or_insert(0) += 1;
        reading
    }

    /// Takes back one reading issued with the same hint. Whether the horizon may have moved.
    pub(crate) fn release(&self, hint: u64, reading: u64) -> bool {
        let mut out = lock(self.stripes.of(hint));
        let oldest = out.first_key_value().is_some_and(|(first, _)| *first == reading);
        let gone = match out.get_mut(&reading) {
            Some(count) => {
                *count = count.saturating_sub(1);
                *count == 0
            }
            None => false,
        };
        if gone {
            out.remove(&reading);
        }
        gone && oldest
    }

    pub(crate) fn horizon(&self) -> u64 {
        let now = self.clock.load(Ordering::SeqCst);
        self.stripes
            .iter()
            .filter_map(|stripe| lock(stripe).first_key_value().map(|(reading, _)| *reading))
            .fold(now, u64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_the_oldest_reading_out() {
        let tickets = Tickets::new();
        assert_eq!(tickets.horizon(), 0);
        let old = tickets.issue(1);
        assert_eq!(tickets.advance(), 1);
        let young = tickets.issue(2);
        assert_eq!((old, young, tickets.horizon()), (0, 1, 0));
        assert_eq!(tickets.advance(), 2);
        assert!(tickets.release(1, old));
        assert_eq!(tickets.horizon(), 1);
        assert!(tickets.release(2, young));
        assert_eq!(tickets.horizon(), 2);
    }

    #[test]
    fn equal_readings_are_counted() {
        let tickets = Tickets::new();
        let (a, b) = (tickets.issue(7), tickets.issue(7));
        tickets.advance();
        assert!(!tickets.release(7, a));
        assert_eq!(tickets.horizon(), 0);
        assert!(tickets.release(7, b));
        assert_eq!(tickets.horizon(), 1);
        assert!(!tickets.release(7, b), "one too many is ignored");
    }
}
