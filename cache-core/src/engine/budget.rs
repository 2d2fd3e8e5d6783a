//! A bound on the bytes of all bodies that are being recorded at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, shared by all recordings of a cache.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    left: Arc<AtomicUsize>,
}

/// What one recording has taken; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    budget: Budget,
    taken: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(bytes)) }
    }

    pub(crate) fn open(&self) -> Reserved {
        Reserved { budget: self.clone(), taken: 0 }
    }
}

impl Reserved {
    /// Takes so many more bytes, if they are left.
    pub(crate) fn more(&mut self, bytes: usize) -> bool {
        let less = |left: usize| left.checked_sub(bytes);
        let taken = self.budget.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        if taken.is_ok() {
            self.taken += bytes;
        }
        taken.is_ok()
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = Budget::new(10);
        let mut one = budget.open();
        assert!(one.more(6) && !one.more(5) && one.more(4));
        drop(one);
        assert!(budget.open().more(10));
    }
}
