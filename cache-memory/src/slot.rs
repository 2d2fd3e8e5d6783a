//! One stored entry with what its validity is decided by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use cache_core::entry::Entry;
use cache_core::tag::Tag;

use crate::cells::Cell;
use crate::members::Place;

/// What the cache holds under a key, and what every index points at.
///
/// A slot's address is its identity: it goes into the cache at most once and never comes back
/// after it has left, so "remove this slot" cannot hit a replacement under the same key. The
/// indexes hold it weakly, which keeps the address from being reused but not the entry alive; but
/// for the map of tags, which it leaves before it goes ([`cells`](crate::cells)).
// In one block with what belongs to it: whatever evicts it finds it far from the processor, and
// waits for each block that it must look at.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// The reading of the logical clock before the entry was computed.
    pub(crate) stamp: u64,
    /// The cell of its own tag, once there is one.
    own: OnceLock<Arc<Cell>>,
    /// The cells of the other tags: the first few,
    cells: [Option<Arc<Cell>>; FEW],
    /// and the rest.
    others: Option<Box<Others>>,
    /// The slot's places among the members of the first few,
    places: [Place; FEW],
    /// of the cell of its own tag; before there is one, the hash of that tag,
    own_place: Place,
    /// and in the table of deadlines.
    pub(crate) due: Place,
    /// What the entry counts against the bound, which of its tags is its own, and the phase.
    state: AtomicU64,
}

/// With its own tag, that of the key, these are the most that most entries have.
const FEW: usize = 2;

/// Cells beyond the first few, with the slot's places among their members.
#[derive(Debug)]
struct Others(Box<[(Arc<Cell>, Place)]>);

/// How a slot is tied to one of its tags.
#[derive(Debug)]
pub(crate) enum Tie {
    /// By the tag's cell.
    Cell(Arc<Cell>),
    /// The tag is the slot's own, which has a cell when somebody else asks for it; see
    /// [`cells`](crate::cells). At most one of a slot.
    Own(Own),
}

/// A slot's own tag.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own {
    /// Which of the entry's tags it is.
    pub(crate) tag: u8,
    pub(crate) hash: u32,
}

/// The bits of a state that are the phase, and those that say which tag is the slot's own.
const PHASE_BITS: u32 = 2;
const OWN_BITS: u32 = u8::BITS;

/// That no tag is.
const NONE: u8 = u8::MAX;

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

impl Own {
    /// The tag at this place among the entry's, if a slot can say so.
    pub(crate) fn at(place: usize, hash: u32) -> Option<Self> {
        let tag = u8::try_from(place).ok().filter(|tag| *tag != NONE)?;
        Some(Self { tag, hash })
    }
}

impl Slot {
    pub(crate) fn new(
        entry: Entry,
        stamp: u64,
        weight: u64,
        ties: impl IntoIterator<Item = Tie>,
    ) -> Arc<Self> {
        let mut own = None;
        let mut cells = ties.into_iter().filter_map(|tie| match tie {
            Tie::Cell(cell) => Some(cell),
            Tie::Own(tag) => {
                own = Some(tag);
                None
            }
        });
        let first = std::array::from_fn(|_| cells.next());
        let others: Box<[_]> = cells.map(|cell| (cell, Place::default())).collect();
        let (tag, hash) = own.map_or((NONE, 0), |own| (own.tag, own.hash));
        let weight = weight.min(u64::MAX >> (PHASE_BITS + OWN_BITS));
        let state = state((weight << OWN_BITS) | u64::from(tag), Phase::Pending);
        Arc::new(Self {
            entry,
            stamp,
            own: OnceLock::new(),
            cells: first,
            others: (!others.is_empty()).then(|| Box::new(Others(others))),
            places: Default::default(),
            own_place: Place::new(hash),
            due: Place::default(),
            state: AtomicU64::new(state),
        })
    }

    /// The cells that it has.
    pub(crate) fn cells(&self) -> impl Iterator<Item = &Arc<Cell>> {
        let others = self.others.iter().flat_map(|others| &others.0);
        let others = others.map(|(cell, _)| cell);
        self.own.get().into_iter().chain(self.cells.iter().flatten()).chain(others)
    }

    /// Whether all of them are so. Every hit comes through here, where a chain of the first few and the
    /// others would cost more than to look at them.
    pub(crate) fn all_cells(&self, are: impl Fn(&Cell) -> bool) -> bool {
        self.own.get().is_none_or(|cell| are(cell))
            && self.cells.iter().flatten().all(|cell| are(cell))
            && self.others.as_ref().is_none_or(|others| others.0.iter().all(|(cell, _)| are(cell)))
    }

    /// The place among the members of one of its cells.
    pub(crate) fn place_in(&self, cell: &Cell) -> Option<&Place> {
        let own = self.own.get().map(|own| (own, &self.own_place));
        let first = self.cells.iter().flatten().zip(&self.places);
        let others = self.others.iter().flat_map(|others| &others.0);
        let mut all = own.into_iter().chain(first).chain(others.map(|(cell, place)| (cell, place)));
        all.find(|(own, _)| std::ptr::eq(Arc::as_ptr(own), cell)).map(|(_, place)| place)
    }

    /// Its own tag, which has no cell that it knows of.
    pub(crate) fn alone(&self) -> Option<Own> {
        // Read first: once there is a cell it is a place. Who reads that place sees the cell.
        let hash = self.own_place.raw();
        let tag = self.own_index();
        (tag != NONE && self.own.get().is_none()).then_some(Own { tag, hash })
    }

    /// Its own tag.
    pub(crate) fn own_tag(&self) -> Option<&Tag> {
        let tag = self.own_index();
        self.entry.tags().get(usize::from(tag)).filter(|_| tag != NONE)
    }

    /// Gives it the cell of its own tag; the first that it is given is the one.
    pub(crate) fn give_own(&self, cell: &Arc<Cell>) {
        self.own.get_or_init(|| Arc::clone(cell));
    }

    fn own_index(&self) -> u8 {
        let [index, ..] = self.fixed().to_le_bytes();
        index
    }

    /// What the entry counts against the bound.
    pub(crate) fn weight(&self) -> u64 {
        self.fixed() >> OWN_BITS
    }

    /// The put's last step. `false` if somebody has condemned the slot before; the put then takes
    /// it out itself, because a remover that came before the insertion found nothing to remove.
    pub(crate) fn confirm(&self) -> bool {
        let [pending, confirmed] =
            [Phase::Pending, Phase::Confirmed].map(|phase| state(self.fixed(), phase));
        self.state.compare_exchange(pending, confirmed, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// Every remover's first step. Gives the phase the slot was in.
    pub(crate) fn condemn(&self) -> Phase {
        let fixed = self.fixed();
        match self.state.swap(state(fixed, Phase::Condemned), Ordering::SeqCst) {
            before if before == state(fixed, Phase::Pending) => Phase::Pending,
            before if before == state(fixed, Phase::Confirmed) => Phase::Confirmed,
            _ => Phase::Condemned,
        }
    }

    /// What never changes of its state.
    fn fixed(&self) -> u64 {
        self.state.load(Ordering::Relaxed) >> PHASE_BITS
    }

    /// `now` is in milliseconds since 1970.
    pub(crate) fn is_expired(&self, now: u64) -> bool {
        now > self.entry.keep_until_in_millis()
    }
}

const fn state(fixed: u64, phase: Phase) -> u64 {
    (fixed << PHASE_BITS) | phase as u64
}
