//! What one entry may weigh.

use cache_core::entry::Entry;

use crate::builder::MemoryStoreBuilder;
use crate::entries::Entries;
use crate::weight::weight;

/// What one entry may weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    body: u64,
    /// Three quarters of a shard, so that it never holds one entry alone.
    weight: u64,
    /// What each entry counts at least, for the bound on their number.
    share: u64,
}

impl Limits {
    pub(super) fn new(settings: &MemoryStoreBuilder, entries: &Entries) -> Self {
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
    pub(super) fn admit(&self, entry: &Entry) -> Option<u64> {
        let body = u64::try_from(entry.body().len()).unwrap_or(u64::MAX);
        let weight = weight(entry);
        (body <= self.body && weight <= self.weight).then_some(weight.max(self.share))
    }
}
