//! What an entry counts against the bound.

use std::mem::size_of;

use cache_core::entry::Entry;

use crate::slot::Slot;

/// Bytes of the fixed parts of an entry, its slot, and its places in the cache and in the table
/// of deadlines; measured, rounded up.
const ENTRY: usize = 400;

/// Bytes of one tag: a cell of its own, its place in the map, the two pointers to it, and what a
/// text that is too long for the tag itself takes beside its bytes.
const TAG: usize = 128;

/// What the entry costs in memory, roughly: its payload ([`Entry::weight`]) and the bookkeeping
/// around it. Counting the payload alone would let a store of small entries grow to several times
/// its bound.
pub(crate) fn weight(entry: &Entry) -> u64 {
    const { assert!(size_of::<Slot>() <= 64) }
    let bookkeeping = ENTRY + TAG * entry.tags().len();
    u64::try_from(entry.weight().saturating_add(bookkeeping)).unwrap_or(u64::MAX)
}
