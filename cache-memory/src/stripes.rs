//! A value in several copies, so that threads seldom meet at one lock.

use std::iter;

/// Between two and sixteen copies of `T`; a hint says which.
#[derive(Debug)]
pub(crate) struct Stripes<T> {
    first: Padded<T>,
    others: Box<[Padded<T>]>,
}

/// Keeps neighbours out of one cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Padded<T>(T);

impl<T: Default> Stripes<T> {
    pub(crate) fn new() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let others = threads.saturating_mul(2).next_power_of_two().clamp(2, 16) - 1;
        Self {
            first: Padded::default(),
            others: iter::repeat_with(Padded::default).take(others).collect(),
        }
    }
}

impl<T> Stripes<T> {
    /// The copy for `hint`; the same hint gives the same copy.
    pub(crate) fn of(&self, hint: u64) -> &T {
        self.at(self.index(hint)).unwrap_or(&self.first.0)
    }

    /// The copy at `index`, if there are so many.
    pub(crate) fn at(&self, index: usize) -> Option<&T> {
        match index.checked_sub(1) {
            None => Some(&self.first.0),
            Some(other) => self.others.get(other).map(|padded| &padded.0),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        iter::once(&self.first).chain(&self.others).map(|padded| &padded.0)
    }

    fn index(&self, hint: u64) -> usize {
        // Multiplied by 2⁶⁴/φ, so that addresses and counters spread as well as digests do.
        let spread = hint.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        usize::try_from(spread).unwrap_or(0) % (self.others.len() + 1)
    }
}
