//! One stored entry with what its validity is decided by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::entry::Entry;

use crate::cells::Cell;
use crate::members::Place;

/// What the cache holds under a key, and what every index points at.
///
/// A slot's address is its identity: it goes into the cache at most once and never comes back
/// after it has left, so "remove this slot" cannot hit a replacement under the same key. The
/// indexes hold it weakly, which keeps the address from being reused but not the entry alive.
// In one block with what belongs to it: whatever evicts it finds it far from the processor, and
// waits for each block that it must look at.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// The reading of the logical clock before the entry was computed.
    pub(crate) stamp: u64,
    /// The cells of the entry's tags, in the order of the tags: the first few,
    cells: [Option<Arc<Cell>>; FEW],
    /// and the others.
    others: Option<Box<Others>>,
    /// The slot's places among the members of the first few,
    places: [Place; FEW],
    /// and in the table of deadlines.
    pub(crate) due: Place,
    /// What the entry counts against the bound, shifted, and the phase.
    state: AtomicU64,
}

/// The tag of the key and two more are the most that most entries have.
const FEW: usize = 3;

/// Cells beyond the first few, with the slot's places among their members.
#[derive(Debug)]
struct Others(Vec<(Arc<Cell>, Place)>);

/// The bits of a state that are the phase.
const PHASE_BITS: u32 = 2;

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
    /// `cells` are those of the entry's tags, in that order.
    pub(crate) fn new(
        entry: Entry,
        stamp: u64,
        weight: u64,
        cells: impl IntoIterator<Item = Arc<Cell>>,
    ) -> Arc<Self> {
        let state = AtomicU64::new(state(weight.min(u64::MAX >> PHASE_BITS), Phase::Pending));
        let mut cells = cells.into_iter();
        let first = std::array::from_fn(|_| cells.next());
        let others: Vec<_> = cells.map(|cell| (cell, Place::default())).collect();
        Arc::new(Self {
            entry,
            stamp,
            cells: first,
            others: (!others.is_empty()).then(|| Box::new(Others(others))),
            places: Default::default(),
            due: Place::default(),
            state,
        })
    }

    /// The cells of the entry's tags, in the order of the tags.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Arc<Cell>> {
        let others = self.others.iter().flat_map(|others| &others.0);
        self.cells.iter().flatten().chain(others.map(|(cell, _)| cell))
    }

    /// Whether all of them are so. Every hit comes through here, where a chain of the first few and the
    /// others would cost more than to look at them.
    pub(crate) fn all_cells(&self, are: impl Fn(&Cell) -> bool) -> bool {
        self.cells.iter().flatten().all(|cell| are(cell))
            && self.others.as_ref().is_none_or(|others| others.0.iter().all(|(cell, _)| are(cell)))
    }

    /// The place among the members of one of its cells.
    pub(crate) fn place_in(&self, cell: &Cell) -> Option<&Place> {
        let first = self.cells.iter().flatten().zip(&self.places);
        let others = self.others.iter().flat_map(|others| &others.0);
        let mut all = first.chain(others.map(|(cell, place)| (cell, place)));
        all.find(|(own, _)| std::ptr::eq(Arc::as_ptr(own), cell)).map(|(_, place)| place)
    }

    /// What the entry counts against the bound.
    pub(crate) fn weight(&self) -> u64 {
        // It never changes.
        self.state.load(Ordering::Relaxed) >> PHASE_BITS
    }

    /// The put's last step. `false` if somebody has condemned the slot before; the put then takes
    /// it out itself, because a remover that came before the insertion found nothing to remove.
    pub(crate) fn confirm(&self) -> bool {
        let [pending, confirmed] =
            [Phase::Pending, Phase::Confirmed].map(|phase| state(self.weight(), phase));
        self.state.compare_exchange(pending, confirmed, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Every remover's first step. Gives the phase the slot was in.
    pub(crate) fn condemn(&self) -> Phase {
        let weight = self.weight();
        match self.state.swap(state(weight, Phase::Condemned), Ordering::SeqCst) {
            before if before == state(weight, Phase::Pending) => Phase::Pending,
            before if before == state(weight, Phase::Confirmed) => Phase::Confirmed,
            _ => Phase::Condemned,
        }
    }

    /// `now` is in milliseconds since 1970.
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        now > self.entry.keep_until_in_millis()
    }
}

const fn state(weight: u64, phase: Phase) -> u64 {
    (weight << PHASE_BITS) | phase as u64
}
