//! The store.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use cache_core::clock::{Clock, unix_millis};
use cache_core::entry::Entry;
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Refusal, Selection, Store, StoreError,
    StoreErrorKind, Ticket,
};
use cache_core::tag::{Tag, Tags};

use crate::builder::MemoryStoreBuilder;
use crate::cells::{Cells, Claim, Enrolment, Marked};
use crate::deadlines::{Deadlines, Walk};
use crate::entries::Entries;
use crate::janitor::{self, Bell, Household};
use crate::reclaim::{Budget, Job, Reclaim};
use crate::slot::{Phase, Slot};
use crate::weight::weight;

/// How many slots one step of background work looks at.
const STEP: usize = 512;

/// A [`Store`] in the memory of this process.
///
/// A handle: its clones are the same store, which ends with the last of them. See the
/// [crate] for what it does and how.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    entries: Entries,
    cells: Arc<Cells>,
    deadlines: Deadlines,
    reclaim: Reclaim,
    bell: Arc<Bell>,
    clock: Arc<dyn Clock>,
    budget: Budget,
    limits: Limits,
}

/// What one entry may weigh.
#[derive(Clone, Copy, Debug)]
struct Limits {
    body: u64,
    /// Three quarters of a shard, so that it never holds one entry alone.
    weight: u64,
    /// What each entry counts at least, for the bound on their number.
    share: u64,
}

impl MemoryStore {
    /// A store of 256 MiB, for bodies of up to 8 MiB, on the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::assemble(&MemoryStoreBuilder::new())
    }

    /// Starts from the settings of [`new`](Self::new).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use cache_memory::MemoryStore;
    ///
    /// let store = MemoryStore::builder()
    ///     .max_bytes(64 << 20)
    ///     .max_entries(100_000)
    ///     .max_body(1 << 20)
    ///     .reclaim_budget(1_000, Duration::from_millis(5))
    ///     .build()?;
    /// assert!(store.is_empty());
    ///
    /// // Two of the largest bodies must fit.
    /// let error = MemoryStore::builder().max_bytes(1 << 20).build().unwrap_err();
    /// assert_eq!(error.field(), "max_bytes");
    /// # Ok::<(), cache_memory::MemoryStoreError>(())
    /// ```
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::new()
    }

    pub(crate) fn assemble(settings: &MemoryStoreBuilder) -> Self {
        let entries =
            Entries::new(settings.max_bytes, settings.expected_entries(), settings.shards());
        let limits = Limits::new(settings, &entries);
        let inner = Arc::new(Inner {
            entries,
            cells: Arc::new(Cells::new(settings.mark_cap)),
            deadlines: Deadlines::new(),
            reclaim: Reclaim::default(),
            bell: Arc::default(),
            clock: Arc::clone(&settings.clock),
            budget: settings.reclaim_budget,
            limits,
        });
        janitor::start(&inner, &inner.bell);
        Self(inner)
    }

    /// How many entries are held, with those that are invalid or expired and not yet freed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.entries.len()
    }

    /// Whether no entry is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the held entries count against `max_bytes`.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.0.entries.weight()
    }

    /// How many tags are known: those of the held entries, and those whose invalidation a fill in
    /// progress has still to learn of.
    #[must_use]
    pub fn tag_cells(&self) -> usize {
        self.0.cells.len()
    }

    /// The keys of all entries that a lookup would find now, in no order. For inspection: it
    /// visits everything.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        let now = self.0.clock.now();
        let found = |slot: &Arc<Slot>| !slot.is_expired(now) && self.0.cells.is_valid(slot);
        self.0.entries.iter().filter(found).map(|slot| *slot.entry.key()).collect()
    }

    /// Does all background work that is due now: frees expired entries, finishes what
    /// invalidations have left, forgets needless tags. Gives the number of entries freed.
    ///
    /// The store's own thread does the same in small steps; this is for tests and for programs
    /// that want the memory back at a certain moment.
    #[expect(clippy::must_use_candidate, reason = "called for its effect")]
    pub fn sweep(&self) -> usize {
        let mut freed = 0;
        loop {
            let (more, count) = self.0.step(usize::MAX);
            freed += count;
            if !more {
                return freed;
            }
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("weight", &self.weight())
            .field("tag_cells", &self.tag_cells())
            .finish_non_exhaustive()
    }
}

/// No method ever waits: each future is ready when it is first polled, so dropping one means
/// either that nothing has happened or that everything has.
#[async_trait]
impl Store for MemoryStore {
    fn guarantee(&self) -> Guarantee {
        Guarantee::Linearizable
    }

    /// Always answers. `hints` are of no use here.
    ///
    /// A hit brings no ticket, so that it allocates nothing; ask [`begin`](Store::begin).
    fn try_lookup(&self, key: &Key, _hints: &[Tag]) -> Option<Lookup> {
        Some(match self.0.find(key) {
            Some(entry) => Lookup::Found(entry, None),
            None => Lookup::Miss(self.0.ticket(key)),
        })
    }

    async fn lookup(&self, key: &Key, _hints: &[Tag]) -> Result<Lookup, StoreError> {
        Ok(match self.0.find(key) {
            Some(entry) => Lookup::Found(entry, None),
            None => Lookup::Miss(self.0.ticket(key)),
        })
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        Ok(self.0.ticket(key))
    }

    /// As the contract says. In addition, a ticket that this store has not issued is
    /// `Superseded`: nothing proves that its entry is valid.
    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        let outcome = self.0.put(&ticket, &entry);
        // Its reading must stay registered until the verdict; see `cells`.
        drop(ticket);
        Ok(outcome)
    }

    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        match what {
            Selection::Tags(tags) => Ok(self.0.invalidate(tags)),
            Selection::All => Ok(self.0.clear()),
            _ => Err(StoreError::new(
                StoreErrorKind::Unsupported,
                "invalidating a kind of selection that this version does not know",
            )),
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if self.0.bell.is_stopped() {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "asking a closed store"));
        }
        Ok(())
    }

    /// Ends the store's thread. The store goes on answering correctly; what expires is then freed
    /// by eviction or [`sweep`](MemoryStore::sweep) only.
    async fn close(&self) {
        self.0.bell.stop();
    }
}

impl Inner {
    fn find(&self, key: &Key) -> Option<Entry> {
        let slot = self.entries.get(key)?;
        // Marks and floor are loaded after the call began, which is all that the rule asks for.
        let good = self.cells.is_valid(&slot) && !slot.is_expired(self.clock.now());
        good.then(|| slot.entry.clone())
    }

    fn ticket(&self, key: &Key) -> Ticket {
        let (stamp, guard) = self.cells.issue(key.primary().fold());
        Ticket::new(*key, stamp, self.clock.monotonic(), Some(Box::new(guard)))
    }

    fn put(&self, ticket: &Ticket, entry: &Entry) -> PutOutcome {
        if entry.key() != ticket.key() {
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
        if slot.is_expired(self.clock.now()) {
            self.unlink(&slot);
            if let Some(replaced) = self.entries.remove_key(slot.entry.key()) {
                self.unlink(&replaced);
            }
            return PutOutcome::Stored;
        }
        self.insert(&slot)
    }

    /// Makes the slot and tells its indexes. None if an invalidation came first.
    fn enrol(&self, entry: &Entry, stamp: u64, weight: u64) -> Option<Arc<Slot>> {
        loop {
            let cells = self.cells.intern(entry.tags());
            let slot = Slot::new(entry.clone(), stamp, weight, cells);
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
    fn insert(&self, slot: &Arc<Slot>) -> PutOutcome {
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

    fn invalidate(&self, tags: &Tags) -> Invalidated {
        if tags.is_empty() {
            return Invalidated::new(0, true);
        }
        let Marked { claim, members } = self.cells.invalidate(tags);
        // In force. The rest is about memory and the count.
        let now = self.clock.now();
        let mut spending = self.budget.begin(self.clock.monotonic());
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

    fn clear(&self) -> Invalidated {
        let claim = self.cells.invalidate_all();
        let now = self.clock.now();
        let mut spending = self.budget.begin(self.clock.monotonic());
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

    /// Removes a slot for an invalidation that came at `now`, if it is that invalidation's.
    /// Whether it was live.
    fn remove_claimed(&self, slot: &Arc<Slot>, claim: &Claim, now: SystemTime) -> bool {
        claim.owns(slot) && self.remove(slot) == Some(Phase::Confirmed) && !slot.is_expired(now)
    }

    /// Takes the slot out of the cache and of the indexes. The phase it was in, if it was this
    /// call that took it out.
    ///
    /// Of several removers the first to condemn the slot takes it out, so that who counts it is
    /// also who removes it.
    fn remove(&self, slot: &Arc<Slot>) -> Option<Phase> {
        match slot.condemn() {
            Phase::Condemned => None,
            phase => self.take_out(slot).then_some(phase),
        }
    }

    /// Takes out a slot that the caller or somebody else has condemned. Whether it was there.
    fn take_out(&self, slot: &Arc<Slot>) -> bool {
        let there = self.entries.remove(slot);
        if there {
            self.unlink(slot);
        }
        there
    }

    /// Tells the indexes that a slot has left the cache, or will not enter it.
    fn unlink(&self, slot: &Arc<Slot>) {
        self.deadlines.remove(slot);
        self.cells.leave(slot);
    }

    /// Calls the janitor unless all is done.
    fn finish_later(&self, done: bool) {
        if !done {
            self.bell.wake();
        }
    }

    /// One piece of background work on at most `limit` slots. Whether there is more, and how many
    /// entries were freed.
    fn step(&self, limit: usize) -> (bool, usize) {
        let _alone = self.reclaim.work();
        let due = self.deadlines.take_due(unix_millis(self.clock.now()), limit);
        let mut more = due.len() == limit;
        let mut freed = self.remove_all(due);
        if self.cells.take_floor_raised() {
            self.reclaim.file(Job::BelowFloor(Walk::default()));
        }
        if let Some(job) = self.reclaim.next() {
            let (rest, count) = self.work_on(job, limit);
            freed += count;
            more = true;
            if let Some(rest) = rest {
                self.reclaim.file(rest);
            }
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

    fn remove_all(&self, slots: impl IntoIterator<Item = Arc<Slot>>) -> usize {
        slots.into_iter().filter(|slot| self.remove(slot).is_some()).count()
    }
}

impl Household for Inner {
    fn tidy(&self) -> bool {
        let (more, _) = self.step(STEP);
        more
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.bell.stop();
    }
}

impl Limits {
    fn new(settings: &MemoryStoreBuilder, entries: &Entries) -> Self {
        let shard = entries.shard_capacity();
        let weight = shard / 4 * 3;
        let share = settings.max_entries.map_or(1, |max| {
            let per_shard = u64::try_from((max / entries.shards()).max(1)).unwrap_or(u64::MAX);
            // Rounded up: one entry more than `max` never fits.
            shard.div_ceil(per_shard).min(weight)
        });
        Self { body: settings.max_body, weight, share }
    }

    /// What the entry counts, unless it is too large.
    fn admit(&self, entry: &Entry) -> Option<u64> {
        let body = u64::try_from(entry.body().len()).unwrap_or(u64::MAX);
        let weight = weight(entry);
        (body <= self.body && weight <= self.weight).then_some(weight.max(self.share))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use cache_core::clock::ManualClock;
    use cache_core::entry::Content;
    use cache_core::key::Digest;

    use super::*;

    /// A put that stops half-way, so that something else can come in between.
    struct Halfway {
        store: MemoryStore,
        clock: Arc<ManualClock>,
        ticket: Ticket,
        slot: Arc<Slot>,
    }

    impl Halfway {
        /// Up to where the indexes know the slot and the cache does not.
        fn enrolled() -> Self {
            let clock = Arc::new(ManualClock::default());
            let builder = MemoryStore::builder().clock(Arc::<ManualClock>::clone(&clock));
            let store = builder.build().unwrap();
            let key = Key::new(Digest::of(b"k"));
            let keep_until = clock.now() + Duration::from_millis(5);
            let content = Content::Variants(Default::default());
            let entry = Entry::new(key, tags(), keep_until, content, Bytes::new());
            let ticket = store.0.ticket(&key);
            let stamp = store.0.cells.reading_of(&ticket).unwrap();
            let slot = store.0.enrol(&entry, stamp, 1).unwrap();
            Self { store, clock, ticket, slot }
        }

        /// Up to where a lookup can find the slot and there is no verdict.
        fn inserted() -> Self {
            let halfway = Self::enrolled();
            assert!(halfway.store.0.entries.insert(&halfway.slot).is_empty());
            halfway
        }

        fn leaves_nothing(self) {
            drop(self.ticket);
            let inner = &self.store.0;
            assert_eq!((inner.entries.len(), inner.deadlines.len(), inner.cells.len()), (0, 0, 0));
        }
    }

    fn tags() -> Tags {
        Tags::user(["a", "b"]).unwrap()
    }

    #[test]
    fn invalidated_before_the_insertion() {
        for clear in [false, true] {
            let put = Halfway::enrolled();
            let inner = &put.store.0;
            let done = if clear { inner.clear() } else { inner.invalidate(&tags()) };
            assert_eq!(done, Invalidated::new(0, true));
            assert_eq!(inner.insert(&put.slot), PutOutcome::Superseded);
            put.leaves_nothing();
        }
    }

    #[test]
    fn invalidated_between_insertion_and_verdict() {
        for clear in [false, true] {
            let put = Halfway::inserted();
            let inner = &put.store.0;
            assert!(inner.find(put.ticket.key()).is_some());
            let done = if clear { inner.clear() } else { inner.invalidate(&tags()) };
            assert_eq!(done, Invalidated::new(0, true), "what is not stored is not removed");
            assert!(!put.slot.confirm());
            put.leaves_nothing();
        }
    }

    #[test]
    fn expired_before_the_insertion() {
        let put = Halfway::enrolled();
        put.clock.advance(Duration::from_millis(6));
        put.store.sweep();
        assert_eq!(put.store.0.insert(&put.slot), PutOutcome::Stored);
        put.leaves_nothing();
    }

    #[test]
    fn of_two_removers_the_first_removes_and_counts() {
        for clear in [false, true] {
            let put = Halfway::inserted();
            let inner = &put.store.0;
            assert!(put.slot.confirm());
            assert_eq!(put.slot.condemn(), Phase::Confirmed);
            let done = if clear { inner.clear() } else { inner.invalidate(&tags()) };
            assert_eq!(done, Invalidated::new(0, true));
            assert!(inner.take_out(&put.slot), "the second has left it to the first");
            put.leaves_nothing();
        }
    }

    #[test]
    fn a_late_removal_spares_the_replacement() {
        let put = Halfway::inserted();
        let inner = &put.store.0;
        assert!(put.slot.confirm());
        let again = inner.enrol(&put.slot.entry, put.slot.stamp, 1).unwrap();
        assert_eq!(inner.insert(&again), PutOutcome::Stored);
        assert_eq!(inner.remove(&put.slot), None);
        assert!(inner.find(put.ticket.key()).is_some());
        assert_eq!(inner.invalidate(&tags()), Invalidated::new(1, true));
        put.leaves_nothing();
    }
}
