//! The bounded cache itself: slots by key, evicted by weight.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cache_core::entry::Entry;
use cache_core::key::Key;
use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, OptionsBuilder, Weighter};

use crate::slot::Slot;

/// `quick_cache` with slots in it. They are its keys; its values are their entries, so that a lookup
/// takes an entry without a count of the slot's holders going up and down.
pub(crate) struct Entries {
    cache: Cache<ByKey, Entry, SlotWeight, DefaultHashBuilder, Leavers>,
}

impl Entries {
    pub(crate) fn new(capacity: u64, expected_entries: usize, shards: usize) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(capacity)
            .estimated_items_capacity(expected_entries)
            .shards(shards)
            .build();
        let hasher = DefaultHashBuilder::default();
        let cache = match options {
            Ok(options) => Cache::with_options(options, SlotWeight, hasher, Leavers),
            // Not reached, both required options being set; right all the same.
            Err(_) => Cache::with(expected_entries, capacity, SlotWeight, hasher, Leavers),
        };
        Self { cache }
    }

    /// The entry under the key, if its slot is `good`, which is asked under the lock of a shard and
    /// must not wait.
    pub(crate) fn get(&self, key: &Key, good: impl Fn(&Slot) -> bool) -> Option<Entry> {
        self.cache.get(&Wanted { key, good })
    }

    /// Puts the slot in. Gives all slots that have left on the way: the one it replaced, evicted
    /// ones, and perhaps the slot itself.
    pub(crate) fn insert(&self, slot: &Arc<Slot>) -> Vec<Arc<Slot>> {
        self.cache.insert_with_lifecycle(ByKey(Arc::clone(slot)), slot.entry.clone())
    }

    /// Takes out this very slot. Whether it was there.
    pub(crate) fn remove(&self, slot: &Arc<Slot>) -> bool {
        self.cache.remove_if(&This(slot), |_| true).is_some()
    }

    /// Takes out whatever is under the key.
    pub(crate) fn remove_key(&self, key: &Key) -> Option<Arc<Slot>> {
        // Unlike `remove`, this leaves the memory of recently evicted keys alone.
        self.cache.remove_if(key, |_| true).map(|(ByKey(slot), _)| slot)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Arc<Slot>> {
        self.cache.iter().map(|(ByKey(slot), _)| slot)
    }

    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.cache.weight()
    }

    pub(crate) fn shards(&self) -> usize {
        self.cache.num_shards()
    }

    pub(crate) fn shard_capacity(&self) -> u64 {
        self.cache.shard_capacity()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("cache", &self.cache).finish()
    }
}

/// A slot as a key: equal to its entry's key, and a third of its size.
#[derive(Clone)]
struct ByKey(Arc<Slot>);

impl Equivalent<ByKey> for Key {
    fn equivalent(&self, key: &ByKey) -> bool {
        key.0.entry.is_under(self)
    }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.entry.is_under(&other.0.entry.key())
    }
}

impl Eq for ByKey {}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.entry.key().hash(state);
    }
}

/// A key that nothing but a good slot is equal to.
struct Wanted<'k, F> {
    key: &'k Key,
    good: F,
}

impl<F: Fn(&Slot) -> bool> Equivalent<ByKey> for Wanted<'_, F> {
    fn equivalent(&self, ByKey(slot): &ByKey) -> bool {
        slot.entry.is_under(self.key) && (self.good)(slot)
    }
}

impl<F> Hash for Wanted<'_, F> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// A key that nothing but this very slot is equal to.
struct This<'s>(&'s Arc<Slot>);

impl Equivalent<ByKey> for This<'_> {
    fn equivalent(&self, ByKey(slot): &ByKey) -> bool {
        Arc::ptr_eq(self.0, slot)
    }
}

impl Hash for This<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.entry.key().hash(state);
    }
}

/// What a slot says it weighs. Never 0, which would mean "not to be evicted".
#[derive(Clone)]
struct SlotWeight;

impl Weighter<ByKey, Entry> for SlotWeight {
    fn weight(&self, ByKey(slot): &ByKey, _: &Entry) -> u64 {
        slot.weight().max(1)
    }
}

/// Collects the slots that leave during one insertion, so that they are unlinked and dropped
/// outside the cache's locks. No allocation if there are none.
#[derive(Clone)]
struct Leavers;

impl Lifecycle<ByKey, Entry> for Leavers {
    type RequestState = Vec<Arc<Slot>>;

    fn begin_request(&self) -> Vec<Arc<Slot>> {
        Vec::new()
    }

    fn on_evict(&self, state: &mut Vec<Arc<Slot>>, ByKey(slot): ByKey, _: Entry) {
        state.push(slot);
    }
}
