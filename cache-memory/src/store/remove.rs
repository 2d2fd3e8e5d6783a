//! Taking a slot out, of the cache and of what indexes it.

use std::sync::Arc;

use super::Inner;
use crate::slot::{Phase, Slot};

impl Inner {
    /// Takes the slot out of the cache and of the indexes. The phase it was in, if it was this
    /// call that took it out.
    ///
    /// Of several removers the first to condemn the slot takes it out, so that who counts it is
    /// also who removes it.
    pub(super) fn remove(&self, slot: &Arc<Slot>) -> Option<Phase> {
        match slot.condemn() {
            Phase::Condemned => None,
            phase => self.take_out(slot).then_some(phase),
        }
    }

    /// Takes out a slot that the caller or somebody else has condemned. Whether it was there.
    pub(super) fn take_out(&self, slot: &Arc<Slot>) -> bool {
        let there = self.entries.remove(slot);
        if there {
            self.unlink(slot);
        }
        there
    }

    /// Tells the indexes that a slot has left the cache, or will not enter it.
    pub(super) fn unlink(&self, slot: &Arc<Slot>) {
        self.deadlines.remove(slot);
        self.cells.leave(slot);
    }

    pub(super) fn remove_all(&self, slots: impl IntoIterator<Item = Arc<Slot>>) -> usize {
        slots.into_iter().filter(|slot| self.remove(slot).is_some()).count()
    }
}
