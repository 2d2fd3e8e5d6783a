//! One stored entry with what its validity is decided by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

use cache_core::entry::Entry;

use crate::cells::Cell;

/// What the cache holds under a key, and what every index points at.
///
/// A slot's address is its identity: it goes into the cache at most once and never comes back
/// after it has left, so "remove this slot" cannot hit a replacement under the same key. The
/// indexes hold it weakly, which keeps the address from being reused but not the entry alive.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// The reading of the logical clock before the entry was computed.
    pub(crate) stamp: u64,
    /// What the entry counts against the bound.
    pub(crate) weight: u64,
    /// The cells of the entry's tags, in the order of the tags.
    pub(crate) cells: Box<[Arc<Cell>]>,
    phase: AtomicU8,
}

/// How far a slot has come. It only moves down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its put has not given a verdict yet.
    Pending,
    /// Its put said `Stored`.
    Confirmed,
    /// Somebody removes it, or its put gave up.
    Condemned,
}

impl Slot {
    pub(crate) fn new(entry: Entry, stamp: u64, weight: u64, cells: Box<[Arc<Cell>]>) -> Arc<Self> {
        let phase = AtomicU8::new(Phase::Pending as u8);
        Arc::new(Self { entry, stamp, weight, cells, phase })
    }

    /// The put's last step. `false` if somebody has condemned the slot before; the put then takes
    /// it out itself, because a remover that came before the insertion found nothing to remove.
    pub(crate) fn confirm(&self) -> bool {
        let (pending, confirmed) = (Phase::Pending as u8, Phase::Confirmed as u8);
        self.phase.compare_exchange(pending, confirmed, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Every remover's first step. Gives the phase the slot was in.
    pub(crate) fn condemn(&self) -> Phase {
        match self.phase.swap(Phase::Condemned as u8, Ordering::SeqCst) {
            phase if phase == Phase::Pending as u8 => Phase::Pending,
            phase if phase == Phase::Confirmed as u8 => Phase::Confirmed,
            _ => Phase::Condemned,
        }
    }

    pub(crate) fn is_expired(&self, now: SystemTime) -> bool {
        now > self.entry.keep_until()
    }
}
