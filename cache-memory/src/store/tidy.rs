//! Background work, a step at a time.

use super::Inner;
use crate::deadlines::Walk;
use crate::janitor::Household;
use crate::reclaim::Job;

/// How many slots one step of background work looks at.
pub(super) const STEP: usize = 512;

impl Inner {
    /// One piece of background work on at most `limit` slots. Whether there is more, and how many
    /// entries were freed.
    pub(super) fn step(&self, limit: usize) -> (bool, usize) {
        let _alone = self.reclaim.work();
        let due = self.deadlines.take_due(self.clock.now_in_millis(), limit);
        let mut more = due.len() == limit;
        let mut freed = self.remove_all(due);
        if self.cells.take_floor_raised() {
            self.reclaim.file(Job::BelowFloor(Walk::default()));
        }
        if let Some(job) = self.reclaim.next() {
            let (rest, count) = self.work_on(job, limit);
            freed += count;
            more = true;
            self.reclaim.leave(rest);
        }
        more |= self.cells.settle(limit);
        if !more {
            self.cells.shrink();
        }
        (more, freed)
    }

    /// Goes on with a job. What is left of it, and how many entries were freed.
    fn work_on(&self, job: Job, limit: usize) -> (Option<Job>, usize) {
        match job {
            Job::Members(mut taken) => {
                let slots = taken.by_ref().take(limit).filter_map(|member| member.slot());
                let freed = self.remove_all(slots);
                ((taken.len() > 0).then_some(Job::Members(taken)), freed)
            }
            Job::BelowFloor(mut walk) => {
                let found = self.deadlines.advance(&mut walk, limit);
                let more = !found.is_empty();
                let floor = self.cells.floor();
                let below = found.into_iter().filter(|slot| slot.stamp < floor);
                (more.then_some(Job::BelowFloor(walk)), self.remove_all(below))
            }
        }
    }
}

impl Household for Inner {
    fn tidy(&self) -> bool {
        let (more, _) = self.step(STEP);
        more
    }
}
