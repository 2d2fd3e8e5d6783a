//! Small things that unit tests need.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::clock::from_unix_millis;
use cache_core::entry::{Content, Entry};
use cache_core::key::{Digest, Key};
use cache_core::tag::Tags;

use crate::slot::{Slot, Tie};

/// A slot that no cache holds.
pub(crate) fn slot() -> Arc<Slot> {
    make(Tags::default(), SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40), 0, [])
}

/// A slot that expires so many milliseconds after the epoch.
pub(crate) fn slot_until(millis: u64) -> Arc<Slot> {
    make(Tags::default(), from_unix_millis(millis), 0, [])
}

/// A slot with tags, ties to them and a stamp.
pub(crate) fn tagged(tags: &Tags, stamp: u64, ties: impl IntoIterator<Item = Tie>) -> Arc<Slot> {
    make(tags.clone(), from_unix_millis(1), stamp, ties)
}

fn make(
    tags: Tags,
    keep_until: SystemTime,
    stamp: u64,
    ties: impl IntoIterator<Item = Tie>,
) -> Arc<Slot> {
    let content = Content::Variants(Default::default());
    let entry = Entry::new(Key::new(Digest::of(b"")), tags, keep_until, content, Bytes::new());
    Slot::new(entry, stamp, 1, ties)
}
