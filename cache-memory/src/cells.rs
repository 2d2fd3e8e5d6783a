//! The tags: when each was last invalidated, and which slots carry it.
//!
//! # The rule
//!
//! A slot is valid iff its stamp is at least the *floor* and at least the *mark* of each of its
//! tags. Stamp, marks and floor are readings of one logical clock ([`Tickets`]). A slot holds its
//! cells, so the check is a few atomic loads and no lock.
//!
//! # Why it holds
//!
//! *A mark reaches every slot it must.* An invalidation locks the cells of all its tags in the
//! order of the tags, advances the clock, sets the marks, takes the members, and unlocks: one
//! step, as far as anybody who takes one of these locks can tell. A put enrols its slot in each
//! cell under that cell's lock. If the put was there first, the invalidation sets the mark in the
//! very cell that the slot holds. If the invalidation was there first, the put finds the mark
//! under the lock and gives up. A lookup that starts after the invalidation has returned reads
//! the marks after they were written.
//!
//! *Members that were taken are invalid for good.* A member's stamp was read before it enrolled,
//! hence before the lock was taken under which the clock was advanced: it is lower than the new
//! mark. So nothing that was taken ever has to be put back, and a taken slot does not care what
//! becomes of its cell.
//!
//! *A cell that is dropped is missed by nobody.* A cell leaves the map only while the map's shard
//! and the cell are locked, the cell has no member, and its mark is needless: no stamp below it
//! is still out and none will be issued (the *horizon*, see [`Tickets`]), or the floor rejects
//! such stamps anyway. It is then *retired*, and whoever had picked it up without having enrolled
//! finds that out under the cell's lock and starts again with its successor, whose mark is 0. A
//! put that meets the successor either has a stamp at or above the forgotten mark, since its
//! ticket is out until its verdict and would have held the horizon down; or it meets the raised
//! floor: the floor is raised before the cell is dropped, and the put reads the floor after it
//! has enrolled in the successor.
//!
//! *A cell that is not there yet is missed by nobody.* Most tags, those of keys above all, are on
//! one entry and never named by anybody else. Until somebody else asks for such a tag, the map has
//! the slot in the place of a cell, and it is the slot's *own*: a slot has at most one. Who asks,
//! another put or an invalidation, makes the cell under the lock of the map's shard: its mark is 0,
//! the slot is given it and made a member, and it takes the slot's place in the map. So the slot is
//! enrolled from when it came into the map, under the same lock, by itself or by who asks: whoever
//! comes later finds it there, or a cell that it is a member of; if a cell was there first, the slot
//! takes that one and enrols as for any other tag. To read no cell in a slot is to read the mark 0
//! of the cell that it would have: an invalidation marks a cell after the slot was given it, so a
//! lookup that starts after it has returned sees both. If nothing is in the map, there was a
//! cell that was dropped, or none that was ever marked: the argument above is about that cell.
//!
//! *A cell whose members have left leaves the map*, unless its mark is needed. A slot is a member
//! once: it enrols where it is not one yet, since it may be by another's hand. And it does not become
//! one after it has left: one that reads no cell of its own goes from the map under the shard's lock,
//! so that it is given none later, or finds itself gone from there, and then has been given one; one
//! that reads a cell finds that locked until it is a member, since the lock is taken before the cell
//! is given.
//!
//! *A verdict is honest.* Marks and floor only rise, so a put that finds all of them at or below
//! its stamp, one after the other, was valid at the first of these loads.
//!
//! Orderings: the argument needs no more than the locks give for slots and cells. Clock, marks
//! and floor are `SeqCst` nevertheless, so that they can be reasoned about as one sequence; the
//! loads cost nothing more on the usual processors.
//!
//! Lock order: a shard of the map, then cells in the order of their tags. Everything else
//! (stripes of tickets, the parked cells) is taken alone.

mod known;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use cache_core::store::{Stamp, Ticket};
use cache_core::tag::{Tag, TagKind};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use quick_cache::DefaultHashBuilder;

use self::known::{Known, Named, Sought};
use crate::lock::{lock, try_lock};
use crate::members::{IntoIter, Members};
use crate::slot::{Own, Slot, Tie};
use crate::tickets::Tickets;

/// How many parked cells one dropped ticket or one invalidation looks at.
const SETTLE_STEP: usize = 64;

/// All tags in use.
#[derive(Debug)]
pub(crate) struct Cells {
    map: DashMap<Known, (), DefaultHashBuilder>,
    tickets: Tickets,
    floor: AtomicU64,
    /// The highest horizon seen.
    horizon: AtomicU64,
    /// By mark and address.
    parked: Mutex<BTreeMap<(u64, usize), Parked>>,
    parked_len: AtomicUsize,
    mark_cap: usize,
    /// Whether the cap has raised the floor since somebody last asked.
    floor_raised: AtomicBool,
}

/// One tag.
#[derive(Debug)]
pub(crate) struct Cell {
    tag: Tag,
    /// The clock at the last invalidation; 0 before the first. Written under the lock of `members`.
    mark: AtomicU64,
    members: Mutex<Members>,
    /// Of the tag.
    hash: u32,
    /// Whether `Cells::parked` knows the cell. Used under the lock of `members`.
    parked: AtomicBool,
    /// Whether the cell has left the map. Used under the lock of `members`.
    retired: AtomicBool,
}

/// A cell that is kept for its mark alone.
#[derive(Debug)]
struct Parked {
    cell: Arc<Cell>,
    /// The mark it is filed under; it may have a higher one since.
    mark: u64,
}

/// Whether a slot's cells know it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enrolment {
    Done,
    /// An invalidation came since the ticket was issued.
    Superseded,
    /// One of the cells has left the map; intern them again.
    Retired,
}

/// What an invalidation has made invalid.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) claim: Claim,
    pub(crate) members: Vec<IntoIter>,
}

/// Tells which of the invalid slots an invalidation is to reclaim and to count: those that were
/// valid just before it. The others belong to an invalidation before it, which is still at work
/// or has left them to the background.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The clock after the advance.
    pub(crate) at: u64,
    /// The floor just before.
    floor: u64,
    /// The selected cells and their marks just before, by address. They are kept, so that no other
    /// cell comes to have the address of one of them.
    selected: Vec<(Arc<Cell>, u64)>,
}

/// Keeps a reading of the clock registered while the ticket lives.
#[derive(Debug)]
pub(crate) struct TicketGuard {
    cells: Arc<Cells>,
    hint: u64,
    reading: u64,
}

impl Cells {
    pub(crate) fn new(mark_cap: usize) -> Self {
        Self {
            map: DashMap::with_hasher(DefaultHashBuilder::default()),
            tickets: Tickets::new(),
            floor: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            parked: Mutex::default(),
            parked_len: AtomicUsize::new(0),
            mark_cap,
            floor_raised: AtomicBool::new(false),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn floor(&self) -> u64 {
        self.floor.load(Ordering::SeqCst)
    }

    /// The rule.
    pub(crate) fn is_valid(&self, slot: &Slot) -> bool {
        slot.stamp >= self.floor() && slot.all_cells(|cell| cell.mark() <= slot.stamp)
    }

    /// Reads the clock for a ticket.
    pub(crate) fn issue(self: &Arc<Self>, hint: u64) -> (Stamp, TicketGuard) {
        let reading = self.tickets.issue(hint);
        let stamp = Stamp { epoch: 0, clock: reading };
        (stamp, TicketGuard { cells: Arc::clone(self), hint, reading })
    }

    /// The reading that justifies a put with this ticket; none if the ticket was not issued here,
    /// for then its reading is not registered and says nothing about this clock.
    pub(crate) fn reading_of(&self, ticket: &Ticket) -> Option<u64> {
        let guard = ticket.guard().downcast_ref::<TicketGuard>()?;
        std::ptr::eq(Arc::as_ptr(&guard.cells), self).then_some(guard.reading)
    }

    /// What ties a slot with these tags to them: cells, made where they are missing, but for one.
    pub(crate) fn ties(&self, tags: &[Tag]) -> impl Iterator<Item = Tie> {
        let mut has_own = false;
        tags.iter().enumerate().map(move |(place, tag)| {
            let hash = self.hash_of(tag);
            // The tag of a key is new, mostly; another one is shared, and many look for it.
            if tag.kind() != TagKind::Key
                && let Some(cell) = self.find(tag, hash)
            {
                return Tie::Cell(cell);
            }
            match Own::at(place, hash).filter(|_| !has_own) {
                Some(own) => {
                    has_own = true;
                    Tie::Own(own)
                }
                None => Tie::Cell(self.make(tag, hash)),
            }
        })
    }

    /// Makes the slot known to its cells: all of them, or none. By its own tag it may be made known to
    /// a cell by others, too, from when it is in the map.
    ///
    /// The slot's ticket must stay alive until the put's verdict.
    pub(crate) fn enrol(&self, slot: &Arc<Slot>) -> Enrolment {
        self.enrol_alone(slot);
        for cell in slot.cells() {
            let enrolment = cell.enrol(slot);
            if enrolment != Enrolment::Done {
                // Also the cells that were interned for nothing.
                self.leave_if(slot, |_| true);
                return enrolment;
            }
        }
        Enrolment::Done
    }

    /// Makes the slot known by its own tag, or gives it the cell of that.
    fn enrol_alone(&self, slot: &Arc<Slot>) {
        let (Some(Own { hash, .. }), Some(tag)) = (slot.alone(), slot.own_tag()) else { return };
        let known = match self.map.entry(Known::Alone { hash, slot: Arc::clone(slot) }) {
            Entry::Vacant(place) => {
                place.insert(());
                return;
            }
            Entry::Occupied(known) => known.key().cell().cloned(),
        };
        slot.give_own(&known.unwrap_or_else(|| self.make(tag, hash)));
    }

    /// Makes the slot unknown to its cells. It must have left the cache, or never enter it.
    pub(crate) fn leave(&self, slot: &Arc<Slot>) {
        self.leave_if(slot, |was_member| was_member);
    }

    /// Leaves all cells, and drops those that are now empty and `concerned`.
    fn leave_if(&self, slot: &Arc<Slot>, concerned: impl Fn(bool) -> bool) {
        if let (Some(Own { hash, .. }), Some(tag)) = (slot.alone(), slot.own_tag()) {
            let named: &dyn Named = &Sought { tag, hash };
            self.map.remove_if(named, |known, ()| known.is_alone(slot));
        }
        for cell in slot.cells() {
            let deserted = {
                let mut members = lock(&cell.members);
                concerned(members.remove(slot, |slot| slot.place_in(cell)))
                    && members.is_empty()
                    && (!cell.parked.load(Ordering::Relaxed) || self.is_needless(cell.mark()))
            };
            if deserted {
                self.retire(cell, Unneeded::Deserted);
            }
        }
        self.trim();
    }

    /// Makes invalid every slot that carries one of `tags`, which must be sorted and unique.
    pub(crate) fn invalidate(&self, tags: &[Tag]) -> Marked {
        let (cells, marked) = loop {
            let cells: Vec<_> = tags.iter().map(|tag| self.intern(tag)).collect();
            if let Some(marked) = self.mark(&cells) {
                break (cells, marked);
            }
        };
        self.look_at_horizon();
        for cell in &cells {
            self.retire(cell, Unneeded::Deserted);
        }
        self.trim();
        marked
    }

    /// Makes invalid everything whose ticket was issued before.
    pub(crate) fn invalidate_all(&self) -> Claim {
        let at = self.tickets.advance();
        let floor = self.floor.fetch_max(at, Ordering::SeqCst);
        Claim { at, floor, selected: Vec::new() }
    }

    /// Drops parked cells whose marks nobody needs any more. Whether there may be more of them.
    pub(crate) fn settle(&self, limit: usize) -> bool {
        if self.parked_len.load(Ordering::Relaxed) == 0 {
            return false;
        }
        self.look_at_horizon();
        for _ in 0..limit {
            let Some(parked) = self.unpark(|mark| self.is_needless(mark)) else { return false };
            self.retire(&parked.cell, Unneeded::Unparked);
        }
        true
    }

    /// Lets go of all entries. Tickets keep what is here, though not the store that it was for.
    pub(crate) fn let_go(&self) {
        self.map.clear();
    }

    /// Gives back the memory of a map that has become much too large.
    pub(crate) fn shrink(&self) {
        let (len, capacity) = (self.map.len(), self.map.capacity());
        if capacity > 1 << 14 && len < capacity / 8 {
            self.map.shrink_to_fit();
        }
    }

    /// Whether the cap has raised the floor since the last call.
    pub(crate) fn take_floor_raised(&self) -> bool {
        self.floor_raised.swap(false, Ordering::SeqCst)
    }

    /// The oldest ticket of a stripe has gone: perhaps marks have become needless.
    fn ticket_gone(&self) {
        if self.parked_len.load(Ordering::Relaxed) == 0 {
            return;
        }
        // Whoever holds the lock works on the same list; the janitor comes by in any case.
        if try_lock(&self.parked).is_some() {
            self.settle(SETTLE_STEP);
        }
    }

    /// Half of it is enough to spread cells, and fits beside what a cell has in any case.
    fn hash_of(&self, tag: &Tag) -> u32 {
        self.map.hasher().hash_one(tag) as u32
    }

    /// The cell of a tag.
    fn intern(&self, tag: &Tag) -> Arc<Cell> {
        let hash = self.hash_of(tag);
        self.find(tag, hash).unwrap_or_else(|| self.make(tag, hash))
    }

    /// The cell of a tag, if there is one.
    fn find(&self, tag: &Tag, hash: u32) -> Option<Arc<Cell>> {
        let sought: &dyn Named = &Sought { tag, hash };
        self.map.get(sought).and_then(|known| known.key().cell().cloned())
    }

    /// The cell of a tag that had none just now. If it is a slot's own, the slot is given it.
    fn make(&self, tag: &Tag, hash: u32) -> Arc<Cell> {
        let cell = Arc::new(Cell::new(tag.clone(), hash));
        match self.map.entry(Known::Cell { hash, cell: Arc::clone(&cell) }) {
            Entry::Vacant(place) => _ = place.insert(()),
            Entry::Occupied(known) => match known.key() {
                Known::Cell { cell: known, .. } => return Arc::clone(known),
                Known::Alone { slot, .. } => {
                    // Before it is given: a slot that leaves finds it there, and waits.
                    let mut members = lock(&cell.members);
                    slot.give_own(&cell);
                    cell.include(slot, &mut members);
                    drop(members);
                    known.replace_entry(());
                }
            },
        }
        cell
    }

    /// The atomic step of an invalidation; none if one of the cells has been retired meanwhile.
    fn mark(&self, cells: &[Arc<Cell>]) -> Option<Marked> {
        let mut locked: Vec<MutexGuard<'_, Members>> = Vec::with_capacity(cells.len());
        for cell in cells {
            let members = lock(&cell.members);
            if cell.retired.load(Ordering::Relaxed) {
                return None;
            }
            locked.push(members);
        }
        let floor = self.floor();
        let at = self.tickets.advance();
        let mut selected: Vec<(Arc<Cell>, u64)> = cells
            .iter()
            // Under the lock, so `at` is the highest mark of the cell.
            .map(|cell| (Arc::clone(cell), cell.mark.swap(at, Ordering::SeqCst)))
            .collect();
        selected.sort_unstable_by_key(|(cell, _)| Arc::as_ptr(cell).addr());
        let members = locked.iter_mut().map(|members| members.take()).collect();
        Some(Marked { claim: Claim { at, floor, selected }, members })
    }

    /// Whether no put can have a stamp below `mark` and be valid.
    fn is_needless(&self, mark: u64) -> bool {
        mark <= self.horizon.load(Ordering::SeqCst) || mark <= self.floor()
    }

    fn look_at_horizon(&self) {
        self.horizon.fetch_max(self.tickets.horizon(), Ordering::SeqCst);
    }

    /// Drops the cell if nothing needs it, parks it if only its mark is needed.
    fn retire(&self, cell: &Arc<Cell>, why: Unneeded) {
        let mut park = None;
        let named: &dyn Named = &Sought { tag: &cell.tag, hash: cell.hash };
        self.map.remove_if(named, |known, ()| {
            if !known.cell().is_some_and(|present| Arc::ptr_eq(present, cell)) {
                return false;
            }
            let members = lock(&cell.members);
            if why == Unneeded::Unparked {
                cell.parked.store(false, Ordering::Relaxed);
            }
            if !members.is_empty() {
                return false;
            }
            let mark = cell.mark();
            let needless = self.is_needless(mark);
            if needless {
                cell.retired.store(true, Ordering::Relaxed);
            } else if !cell.parked.swap(true, Ordering::Relaxed) {
                park = Some(mark);
            }
            needless
        });
        if let Some(mark) = park {
            self.park(mark, cell);
        }
    }

    fn park(&self, mark: u64, cell: &Arc<Cell>) {
        let mut all = lock(&self.parked);
        let parked = Parked { cell: Arc::clone(cell), mark };
        all.insert((mark, Arc::as_ptr(cell).addr()), parked);
        self.parked_len.store(all.len(), Ordering::Relaxed);
    }

    /// Takes out the cell filed under the lowest mark, if that mark is `wanted`.
    fn unpark(&self, wanted: impl Fn(u64) -> bool) -> Option<Parked> {
        let mut all = lock(&self.parked);
        let lowest = all.first_entry().filter(|lowest| wanted(lowest.get().mark))?;
        let parked = lowest.remove();
        self.parked_len.store(all.len(), Ordering::Relaxed);
        Some(parked)
    }

    /// Drops the parked cells with the lowest marks while there are too many, raising the floor
    /// first.
    fn trim(&self) {
        if self.parked_len.load(Ordering::Relaxed) <= self.mark_cap {
            return;
        }
        self.settle(SETTLE_STEP);
        // Bounded, since others may park as fast as this unparks. Each turn drops a cell or
        // files it under a mark that is its own.
        for _ in 0..SETTLE_STEP {
            if self.parked_len.load(Ordering::Relaxed) <= self.mark_cap {
                return;
            }
            let Some(Parked { cell, mark }) = self.unpark(|_| true) else { return };
            let members = lock(&cell.members);
            let alone = members.is_empty() && !cell.retired.load(Ordering::Relaxed);
            drop(members);
            if alone && cell.mark() == mark {
                self.floor.fetch_max(mark, Ordering::SeqCst);
                self.floor_raised.store(true, Ordering::SeqCst);
            }
            self.retire(&cell, Unneeded::Unparked);
        }
    }
}

impl Cell {
    fn new(tag: Tag, hash: u32) -> Self {
        Self {
            tag,
            mark: AtomicU64::new(0),
            members: Mutex::default(),
            hash,
            parked: AtomicBool::new(false),
            retired: AtomicBool::new(false),
        }
    }

    fn mark(&self) -> u64 {
        self.mark.load(Ordering::SeqCst)
    }

    fn enrol(&self, slot: &Arc<Slot>) -> Enrolment {
        let mut members = lock(&self.members);
        if self.retired.load(Ordering::Relaxed) {
            return Enrolment::Retired;
        }
        if self.mark() > slot.stamp {
            return Enrolment::Superseded;
        }
        self.include(slot, &mut members);
        Enrolment::Done
    }

    /// Makes the slot a member, if it is not one yet. `members` are the cell's.
    fn include(&self, slot: &Arc<Slot>, members: &mut Members) {
        if let Some(place) = slot.place_in(self)
            && !members.has(slot, place)
        {
            members.insert(slot, place);
        }
    }
}

/// Why a cell is looked at for dropping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unneeded {
    /// It has lost its members.
    Deserted,
    /// It has just been taken out of the parked ones.
    Unparked,
}

impl Claim {
    /// Whether the slot was valid just before this invalidation.
    ///
    /// A mark of another cell that is above `at` came after; one that is not came before. (It may
    /// hide an older one that came before: then two invalidations overlap with a third, both
    /// claim the slot, and the one that removes it counts it.)
    pub(crate) fn owns(&self, slot: &Slot) -> bool {
        slot.stamp >= self.floor && slot.cells().all(|cell| self.allows(cell, slot.stamp))
    }

    fn allows(&self, cell: &Arc<Cell>, stamp: u64) -> bool {
        let mark = cell.mark();
        if mark <= stamp {
            return true;
        }
        let address = Arc::as_ptr(cell).addr();
        match self.selected.binary_search_by_key(&address, |(cell, _)| Arc::as_ptr(cell).addr()) {
            Ok(at) => self.selected.get(at).is_some_and(|(_, before)| *before <= stamp),
            Err(_) => mark > self.at,
        }
    }
}

impl Drop for TicketGuard {
    fn drop(&mut self) {
        if self.cells.tickets.release(self.hint, self.reading) {
            self.cells.ticket_gone();
        }
    }
}

#[cfg(test)]
mod tests;
