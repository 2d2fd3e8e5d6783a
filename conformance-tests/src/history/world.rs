//! What the generated requests are about: keys, tags, and a truth that changes.

use std::sync::atomic::{AtomicU64, Ordering};

use cache_core::clock::{Clock, SystemClock, unix_millis};
use cache_core::key::{Digest, Key};
use cache_core::tag::{Tag, Tags};

use super::config::Config;
use super::event::EVERYTHING;

/// The truth behind the cache, shared by all tasks.
#[derive(Debug)]
pub(super) struct World {
    keys: Vec<Key>,
    tags: Vec<Tag>,
    /// The version of each tag's truth; the last one is of [`EVERYTHING`].
    versions: Vec<AtomicU64>,
}

impl World {
    /// Keys and tags are unique to the run, so that runs may share a server.
    pub(super) fn new(config: &Config) -> Self {
        let run = unix_millis(SystemClock.now());
        let prefix = format!("history-{:x}-{run:x}-{:x}", config.seed, std::process::id());
        let key = |n| Key::new(Digest::of(format!("{prefix}/{n}").as_bytes()));
        // The text is neither empty nor too long.
        let tag = |n| Tag::new(&format!("{prefix}/t{n}")).ok();
        let tags = config.tags.max(2);
        Self {
            keys: (0..config.keys.max(1)).map(key).collect(),
            tags: (0..tags).filter_map(tag).collect(),
            versions: (0..=tags).map(|_| AtomicU64::new(1)).collect(),
        }
    }

    pub(super) fn keys(&self) -> u32 {
        u32::try_from(self.keys.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn tags(&self) -> u32 {
        u32::try_from(self.tags.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn key(&self, key: u32) -> Option<&Key> {
        self.keys.get(key as usize)
    }

    /// The tag that follows from the request.
    pub(super) fn declared(&self, key: u32) -> u32 {
        key % (self.tags() / 2).max(1)
    }

    /// The tag that follows from the data, hence changes with it.
    pub(super) fn discovered(&self, key: u32, version: u64) -> u32 {
        let declarable = (self.tags() / 2).max(1);
        let rest = self.tags().saturating_sub(declarable).max(1);
        let mixed = (u64::from(key) + version / 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
        declarable + u32::try_from(mixed % u64::from(rest)).unwrap_or(0)
    }

    /// Reads the truth for `key`: its tags and their versions.
    pub(super) fn read(&self, key: u32) -> Vec<(u32, u64)> {
        let declared = self.declared(key);
        let version = self.version(declared);
        let discovered = self.discovered(key, version);
        vec![
            (declared, version),
            (discovered, self.version(discovered)),
            (EVERYTHING, self.version(EVERYTHING)),
        ]
    }

    fn version(&self, tag: u32) -> u64 {
        self.slot(tag).map_or(0, |version| version.load(Ordering::SeqCst))
    }

    /// Changes the truth of `tag`; returns its new version.
    pub(super) fn change(&self, tag: u32) -> u64 {
        self.slot(tag).map_or(0, |version| version.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn slot(&self, tag: u32) -> Option<&AtomicU64> {
        if tag == EVERYTHING { self.versions.last() } else { self.versions.get(tag as usize) }
    }

    /// The store's tags for these.
    pub(super) fn named(&self, tags: impl IntoIterator<Item = u32>) -> Tags {
        tags.into_iter().filter_map(|tag| self.tags.get(tag as usize)).cloned().collect()
    }
}
