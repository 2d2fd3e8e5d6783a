//! Putting an entry in, against whatever invalidates or frees it meanwhile.

use std::sync::Arc;

use cache_core::entry::Entry;
use cache_core::store::{PutOutcome, Refusal, Ticket};

use super::Inner;
use crate::cells::Enrolment;
use crate::slot::Slot;

impl Inner {
    pub(super) fn put(&self, ticket: &Ticket, entry: &Entry) -> PutOutcome {
        if !entry.is_under(ticket.key()) {
            return PutOutcome::Refused(Refusal::KeyMismatch);
        }
        if ticket.is_overdue(self.clock.monotonic()) {
            return PutOutcome::Refused(Refusal::TooOld);
        }
        let Some(stamp) = self.cells.reading_of(ticket) else {
            return PutOutcome::Superseded;
        };
        let Some(weight) = self.limits.admit(entry) else {
            return PutOutcome::Refused(Refusal::TooLarge);
        };
        let Some(slot) = self.enrol(entry, stamp, weight) else {
            return PutOutcome::Superseded;
        };
        if !self.cells.is_valid(&slot) {
            // Before the insertion, so that an entry that is superseded already does not cost a
            // valid one under the same key its place.
            self.unlink(&slot);
            return PutOutcome::Superseded;
        }
        if slot.is_expired(self.clock.now_in_millis()) {
            self.unlink(&slot);
            if let Some(replaced) = self.entries.remove_key(&slot.entry.key()) {
                self.unlink(&replaced);
            }
            return PutOutcome::Stored;
        }
        self.insert(&slot)
    }

    /// Makes the slot and tells its indexes. None if an invalidation came first.
    pub(super) fn enrol(&self, entry: &Entry, stamp: u64, weight: u64) -> Option<Arc<Slot>> {
        loop {
            let ties = self.cells.ties(entry.tags());
            let slot = Slot::new(entry.clone(), stamp, weight, ties);
            match self.cells.enrol(&slot) {
                Enrolment::Done => {
                    self.deadlines.insert(&slot);
                    return Some(slot);
                }
                Enrolment::Superseded => return None,
                // Some tag was forgotten between the two lines above. Rare, and it happens to a
                // cell once.
                Enrolment::Retired => {}
            }
        }
    }

    /// Puts in a slot that its indexes know, and gives the verdict.
    ///
    /// Every remover condemns a slot and then takes it out. Either it takes it out after this
    /// insertion; or it came too early for that, and then `confirm` fails here and the slot is
    /// taken out here.
    pub(super) fn insert(&self, slot: &Arc<Slot>) -> PutOutcome {
        let mut refused = false;
        for left in self.entries.insert(slot) {
            refused |= Arc::ptr_eq(&left, slot);
            self.unlink(&left);
        }
        if self.cells.is_valid(slot) && slot.confirm() {
            return if refused {
                PutOutcome::Refused(Refusal::Capacity)
            } else {
                PutOutcome::Stored
            };
        }
        // Whoever else has condemned it may have come before the insertion.
        slot.condemn();
        self.take_out(slot);
        // If it is valid, then it was condemned for its age.
        if self.cells.is_valid(slot) { PutOutcome::Stored } else { PutOutcome::Superseded }
    }
}
