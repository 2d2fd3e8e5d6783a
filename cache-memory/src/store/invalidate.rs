//! Invalidating: in force at once, freed as far as the budget reaches.

use std::sync::Arc;

use cache_core::store::Invalidated;
use cache_core::tag::Tags;

use super::Inner;
use super::tidy::STEP;
use crate::cells::{Claim, Marked};
use crate::deadlines::Walk;
use crate::reclaim::{Budget, Job, MOST_LEFT, Spending};
use crate::slot::{Phase, Slot};

impl Inner {
    pub(super) fn invalidate(&self, tags: &Tags) -> Invalidated {
        if tags.is_empty() {
            return Invalidated::new(0, true);
        }
        let Marked { claim, members } = self.cells.invalidate(tags);
        // In force. The rest is about memory and the count.
        let now = self.clock.now_in_millis();
        let mut spending = self.spend(members.iter().map(ExactSizeIterator::len).sum());
        let (mut removed, mut complete) = (0, true);
        for mut taken in members {
            while taken.len() > 0 && spending.allows_one(|| self.clock.monotonic()) {
                let Some(slot) = taken.next().and_then(|member| member.slot()) else { continue };
                removed += u64::from(self.remove_claimed(&slot, &claim, now));
            }
            if taken.len() > 0 {
                complete = false;
                self.reclaim.file(Job::Members(taken));
            }
        }
        self.finish_later(complete);
        Invalidated::new(removed, complete)
    }

    pub(super) fn clear(&self) -> Invalidated {
        let claim = self.cells.invalidate_all();
        let now = self.clock.now_in_millis();
        let mut spending = self.spend(0);
        let (mut removed, mut complete) = (0, true);
        let mut walk = Walk::default();
        'walk: loop {
            let found = self.deadlines.advance(&mut walk, STEP);
            if found.is_empty() {
                break;
            }
            for slot in found {
                if slot.stamp >= claim.at {
                    continue;
                }
                if !spending.allows_one(|| self.clock.monotonic()) {
                    complete = false;
                    self.reclaim.file(Job::BelowFloor(Walk::default()));
                    break 'walk;
                }
                removed += u64::from(self.remove_claimed(&slot, &claim, now));
            }
        }
        let settled = !self.cells.settle(STEP);
        self.finish_later(complete && settled);
        Invalidated::new(removed, complete)
    }

    /// The budget for at least so many members. Nothing, if it cannot suffice or other work is left
    /// over: the caller would return late, and the count would be none all the same. But what is
    /// left over stays little: who adds to much of it does his own part.
    fn spend(&self, members: usize) -> Spending {
        let left = self.reclaim.unfinished();
        if left < MOST_LEFT && (left > 0 || members > self.budget.entries) {
            return Budget::none();
        }
        self.budget.begin(self.clock.monotonic())
    }

    /// Removes a slot for an invalidation that came at `now`, if it is that invalidation's.
    /// Whether it was live.
    fn remove_claimed(&self, slot: &Arc<Slot>, claim: &Claim, now: u64) -> bool {
        claim.owns(slot) && self.remove(slot) == Some(Phase::Confirmed) && !slot.is_expired(now)
    }

    /// Calls the janitor unless all is done.
    fn finish_later(&self, done: bool) {
        if !done {
            self.bell.wake();
        }
    }
}
