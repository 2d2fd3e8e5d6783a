//! Settings of a store.

use std::sync::Arc;
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};

use crate::reclaim::Budget;
use crate::store::MemoryStore;

const MIB: u64 = 1 << 20;

/// What an entry is expected to weigh when nothing better is known.
const TYPICAL_ENTRY: u64 = 2048;

/// Builds a [`MemoryStore`]; made by [`MemoryStore::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct MemoryStoreBuilder {
    pub(crate) max_bytes: u64,
    pub(crate) max_entries: Option<usize>,
    pub(crate) max_body: u64,
    pub(crate) mark_cap: usize,
    pub(crate) reclaim_budget: Budget,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {value}, but {rule}")]
pub struct MemoryStoreError {
    field: &'static str,
    value: u64,
    rule: String,
}

impl MemoryStoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            max_bytes: 256 * MIB,
            max_entries: None,
            max_body: 8 * MIB,
            mark_cap: 65_536,
            reclaim_budget: Budget { entries: 10_000, time: Duration::from_millis(20) },
            clock: Arc::new(SystemClock),
        }
    }

    /// Bounds the memory of all entries together; 256 MiB if not set.
    ///
    /// An entry counts its payload ([`Entry::weight`](cache_core::entry::Entry::weight)) and the
    /// bookkeeping around it, rather too much than too little: 400 bytes; 152 per tag, 40 more for
    /// that of the key, 80 more and its text once more for another one of more than 13 bytes; 96
    /// per field that `Vary` names.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Bounds the number of entries as well; not bounded if not set.
    ///
    /// Each entry then counts at least its share, `max_bytes / max_entries`.
    pub fn max_entries(mut self, entries: usize) -> Self {
        self.max_entries = Some(entries);
        self
    }

    /// The largest body that is stored; 8 MiB if not set.
    ///
    /// Each of the independent parts of the store has room for two of them, so a larger value
    /// means fewer parts and more contention, and `max_bytes` must be at least twice as large.
    /// An entry with a larger body is refused.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.max_body = bytes;
        self
    }

    /// Bounds how many tags without any entry are remembered for the sake of fills in progress;
    /// 65 536 if not set.
    ///
    /// A fill that was begun before its tag was invalidated must not be stored, so the tag stays
    /// known until all older fills have ended. Over the bound the store forgets the earliest
    /// such invalidations and, to stay correct, gives up everything whose computation began
    /// before them.
    pub fn mark_cap(mut self, tags: usize) -> Self {
        self.mark_cap = tags;
        self
    }

    /// Bounds the removal of entries before `invalidate` returns; 10 000 entries or 20 ms,
    /// whichever comes first, if not set. The rest is removed behind: all of it at once, if more
    /// entries carry the tags, one that carries several of them counted for each, or earlier
    /// invalidations have left work over, unless 64 of them have. The invalidation is in force in
    /// any case.
    pub fn reclaim_budget(mut self, entries: usize, time: Duration) -> Self {
        self.reclaim_budget = Budget { entries, time };
        self
    }

    /// Where the store gets the time; the operating system if not set.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the store and starts its thread.
    ///
    /// # Errors
    ///
    /// A setting that is 0 where something must fit, or a `max_bytes` below twice `max_body`.
    pub fn build(self) -> Result<MemoryStore, MemoryStoreError> {
        self.check()?;
        Ok(MemoryStore::assemble(&self))
    }

    /// How many parts the store has. A power of two; each holds two of the largest bodies.
    pub(crate) fn shards(&self) -> usize {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let wanted = threads.saturating_mul(4).next_power_of_two();
        let room = self.max_bytes / self.max_body.saturating_mul(2).max(1);
        let possible = usize::try_from(room).unwrap_or(usize::MAX).max(1);
        wanted.min(1 << possible.ilog2())
    }

    pub(crate) fn expected_entries(&self) -> usize {
        let by_bytes = usize::try_from(self.max_bytes / TYPICAL_ENTRY).unwrap_or(usize::MAX);
        // The cache keeps a memory of evicted keys in proportion, and joins shards for which it
        // expects less than 32 entries.
        self.max_entries.unwrap_or_else(|| by_bytes.clamp(1, 1 << 20))
    }

    fn check(&self) -> Result<(), MemoryStoreError> {
        let refuse = |field, value, rule| Err(MemoryStoreError { field, value, rule });
        if self.max_body == 0 {
            return refuse("max_body", 0, "something must fit".to_owned());
        }
        if self.max_entries == Some(0) {
            return refuse("max_entries", 0, "something must fit".to_owned());
        }
        if self.max_bytes / 2 < self.max_body {
            let rule = format!("two bodies of `max_body` ({} bytes) must fit", self.max_body);
            return refuse("max_bytes", self.max_bytes, rule);
        }
        Ok(())
    }
}

impl MemoryStoreError {
    /// The name of the setting.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// Its value.
    #[must_use]
    pub const fn value(&self) -> u64 {
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_usable() {
        assert_eq!(MemoryStoreBuilder::new().check(), Ok(()));
    }

    #[test]
    fn errors_name_the_setting_and_its_value() {
        let error = MemoryStore::builder().max_bytes(1000).max_body(501).build().unwrap_err();
        assert_eq!((error.field(), error.value()), ("max_bytes", 1000));
        assert_eq!(
            error.to_string(),
            "`max_bytes` is 1000, but two bodies of `max_body` (501 bytes) must fit"
        );
        let error = MemoryStore::builder().max_body(0).build().unwrap_err();
        assert_eq!(error.field(), "max_body");
        let error = MemoryStore::builder().max_entries(0).build().unwrap_err();
        assert_eq!(error.field(), "max_entries");
    }

    #[test]
    fn every_shard_holds_two_of_the_largest_bodies() {
        for (bytes, body) in [(256 * MIB, 8 * MIB), (100, 50), (1000, 3), (17 * MIB, 8 * MIB)] {
            let builder = MemoryStoreBuilder::new().max_bytes(bytes).max_body(body);
            assert_eq!(builder.check(), Ok(()));
            let shards = u64::try_from(builder.shards()).unwrap();
            assert!(shards.is_power_of_two());
            assert!(bytes / shards >= 2 * body, "{bytes} {body} {shards}");
        }
    }
}
