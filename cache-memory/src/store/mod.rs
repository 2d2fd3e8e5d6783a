//! The store.

mod invalidate;
mod limits;
mod put;
mod remove;
#[cfg(test)]
mod tests;
mod tidy;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use cache_core::clock::Clock;
use cache_core::entry::Entry;
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Selection, Store, StoreError, StoreErrorKind,
    Ticket,
};
use cache_core::tag::Tag;

use self::limits::Limits;
use crate::builder::MemoryStoreBuilder;
use crate::cells::Cells;
use crate::deadlines::Deadlines;
use crate::entries::Entries;
use crate::janitor::{self, Bell};
use crate::reclaim::{Budget, Reclaim};
use crate::slot::Slot;

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
        let now = self.0.clock.now_in_millis();
        let found = |slot: &Arc<Slot>| !slot.is_expired(now) && self.0.cells.is_valid(slot);
        self.0.entries.iter().filter(found).map(|slot| slot.entry.key()).collect()
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

impl MemoryStore {
    fn put_now(&self, ticket: Ticket, entry: &Entry) -> PutOutcome {
        let outcome = self.0.put(&ticket, entry);
        // Its reading must stay registered until the verdict; see `cells`.
        drop(ticket);
        outcome
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
    fn try_lookup(&self, key: &Key, hints: &[Tag]) -> Option<Lookup> {
        self.try_lookup_at(key, hints, self.0.clock.now_in_millis())
    }

    /// Does not read its clock.
    fn try_lookup_at(&self, key: &Key, _hints: &[Tag], now: u64) -> Option<Lookup> {
        match self.0.find(key, now) {
            Some(entry) => Some(Lookup::Found(entry, None)),
            None => Some(Lookup::Miss(self.0.ticket(key))),
        }
    }

    async fn lookup(&self, key: &Key, _hints: &[Tag]) -> Result<Lookup, StoreError> {
        match self.0.find(key, self.0.clock.now_in_millis()) {
            Some(entry) => Ok(Lookup::Found(entry, None)),
            None => Ok(Lookup::Miss(self.0.ticket(key))),
        }
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        Ok(self.0.ticket(key))
    }

    /// As the contract says. In addition, a ticket that this store has not issued is
    /// `Superseded`: nothing proves that its entry is valid.
    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        Ok(self.put_now(ticket, &entry))
    }

    /// Always puts.
    fn try_put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, (Ticket, Entry)> {
        Ok(self.put_now(ticket, &entry))
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
    fn find(&self, key: &Key, now: u64) -> Option<Entry> {
        // Marks and floor are loaded after the call began, which is all that the rule asks for.
        self.entries.get(key, |slot| self.cells.is_valid(slot) && !slot.is_expired(now))
    }

    fn ticket(&self, key: &Key) -> Ticket {
        let (stamp, guard) = self.cells.issue(key.primary().fold());
        Ticket::guarded(*key, stamp, self.clock.monotonic(), guard)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.bell.stop();
        self.cells.let_go();
    }
}
