//! Getting back the memory of what is invalid or expired.
//!
//! Nothing here decides what may be served. An invalidation is in force before its reclaim
//! begins; what it cannot do within its budget is filed here as a job, and the janitor (or
//! `sweep`) takes it up in small steps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::deadlines::Walk;
use crate::lock::lock;
use crate::members::IntoIter;

/// The work behind.
#[derive(Debug, Default)]
pub(crate) struct Reclaim {
    jobs: Mutex<VecDeque<Job>>,
    /// Jobs that are not done, with the one in somebody's hands.
    unfinished: AtomicUsize,
    /// Held while a step runs, so that `sweep` does not return while the janitor still holds a
    /// job in its hands.
    at_work: Mutex<()>,
}

/// Something to be removed in steps.
#[derive(Debug)]
pub(crate) enum Job {
    /// Slots that one invalidation took from a cell. All are invalid.
    Members(IntoIter),
    /// Everything with a stamp below the floor.
    BelowFloor(Walk),
}

/// How much an invalidation may reclaim before it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) entries: usize,
    pub(crate) time: Duration,
}

/// A budget being spent.
#[derive(Debug)]
pub(crate) struct Spending {
    left: usize,
    until: Duration,
}

/// How many jobs invalidations add to without doing anything themselves. With more of them the
/// background does not keep up, or is not there.
pub(crate) const MOST_LEFT: usize = 64;

/// How many entries are looked at between two looks at the clock.
const CLOCK_STEP: usize = 64;

impl Reclaim {
    pub(crate) fn work(&self) -> MutexGuard<'_, ()> {
        lock(&self.at_work)
    }

    pub(crate) fn file(&self, job: Job) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        lock(&self.jobs).push_back(job);
    }

    /// How many jobs are not done.
    pub(crate) fn unfinished(&self) -> usize {
        self.unfinished.load(Ordering::Relaxed)
    }

    /// The next job; its taker says what is [left](Self::leave) of it.
    pub(crate) fn next(&self) -> Option<Job> {
        lock(&self.jobs).pop_front()
    }

    /// Takes back what is left of a job, behind the others.
    pub(crate) fn leave(&self, rest: Option<Job>) {
        match rest {
            Some(rest) => lock(&self.jobs).push_back(rest),
            None => _ = self.unfinished.fetch_sub(1, Ordering::Relaxed),
        }
    }
}

impl Budget {
    /// Begins to spend at `now`, a monotonic time.
    pub(crate) fn begin(self, now: Duration) -> Spending {
        Spending { left: self.entries, until: now.saturating_add(self.time) }
    }

    /// Nothing to spend.
    pub(crate) const fn none() -> Spending {
        Spending { left: 0, until: Duration::ZERO }
    }
}

impl Spending {
    /// Whether one more entry may be looked at. `now` is asked now and then.
    pub(crate) fn allows_one(&mut self, now: impl FnOnce() -> Duration) -> bool {
        if self.left == 0 {
            return false;
        }
        if self.left.is_multiple_of(CLOCK_STEP) && now() > self.until {
            self.left = 0;
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_by_number_or_by_time() {
        let budget = Budget { entries: 200, time: Duration::from_millis(20) };
        let mut spending = budget.begin(Duration::ZERO);
        let in_time = || Duration::from_millis(20);
        assert_eq!((0..1000).filter(|_| spending.allows_one(in_time)).count(), 200);

        let mut spending = budget.begin(Duration::ZERO);
        let late = || Duration::from_millis(21);
        assert_eq!((0..1000).filter(|_| spending.allows_one(late)).count(), 200 % CLOCK_STEP);

        let nothing = Budget { entries: 0, ..budget };
        assert!(!nothing.begin(Duration::ZERO).allows_one(in_time));
    }
}
