//! Work that a mutant leaves for later.
//!
//! "Later" is counted in steps of the store, not in time, so that a mutant fails the same cases
//! on any machine.

use std::collections::VecDeque;
use std::sync::Mutex;

use cache_core::key::Key;
use cache_core::store::Selection;

/// After so many lookups and puts: more than most cases make, fewer than the one makes that is
/// about late reclaiming.
const DELAY: u64 = 300;

#[derive(Debug)]
pub(crate) enum Job {
    Invalidate(Selection),
    Remove(Vec<Key>),
    DropCopies,
}

#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<(u64, VecDeque<(u64, Job)>)>);

impl Queue {
    pub(crate) fn push(&self, job: Job) {
        let mut queue = self.0.lock().unwrap();
        let due = queue.0 + DELAY;
        queue.1.push_back((due, job));
    }

    /// Counts a step; the job that is due by then.
    pub(crate) fn step(&self) -> Option<Job> {
        let mut queue = self.0.lock().unwrap();
        queue.0 += 1;
        let now = queue.0;
        let due = queue.1.front().is_some_and(|(due, _)| *due <= now);
        if due { queue.1.pop_front().map(|(_, job)| job) } else { None }
    }
}
