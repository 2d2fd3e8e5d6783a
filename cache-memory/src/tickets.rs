//! The logical clock, and which of its readings are still out.

use std::collections::VecDeque;
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
/// clock first. A reading issued in a stripe before the visit is in that stripe's list. One issued
/// after the visit reads the clock under the stripe's lock, hence after the visitor's own reading
/// of it, and two ordered reads of one atomic never go backwards. For the same reason a horizon
/// stays one for ever.
#[derive(Debug)]
pub(crate) struct Tickets {
    clock: AtomicU64,
    stripes: Stripes<Mutex<Out>>,
}

/// The readings that are out, in their order, and how often. They are few and mostly the same one;
/// a list that stays costs less than a tree whose only node comes and goes.
#[derive(Debug, Default)]
struct Out(VecDeque<(u64, usize)>);

impl Out {
    fn add(&mut self, reading: u64) {
        match self.0.back_mut() {
            Some((last, count)) if *last == reading => *count += 1,
            // Readings of one clock, taken under one lock, only rise.
            _ => self.0.push_back((reading, 1)),
        }
    }

    /// Whether that was the last of the oldest one.
    fn remove(&mut self, reading: u64) -> bool {
        let Ok(at) = self.0.binary_search_by_key(&reading, |(out, _)| *out) else { return false };
        let Some((_, count)) = self.0.get_mut(at) else { return false };
        *count -= 1;
        let gone = *count == 0;
        if gone {
            self.0.remove(at);
        }
        gone && at == 0
    }

    fn oldest(&self) -> Option<u64> {
        self.0.front().map(|(reading, _)| *reading)
    }
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
        out.add(reading);
        reading
    }

    /// Takes back one reading issued with the same hint. Whether the horizon may have moved.
    pub(crate) fn release(&self, hint: u64, reading: u64) -> bool {
        lock(self.stripes.of(hint)).remove(reading)
    }

    pub(crate) fn horizon(&self) -> u64 {
        let now = self.clock.load(Ordering::SeqCst);
        self.stripes.iter().filter_map(|stripe| lock(stripe).oldest()).fold(now, u64::min)
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
