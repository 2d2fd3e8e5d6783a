//! What the generated requests are about: keys, tags, and a truth that changes.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cache_core::key::{Digest, Key};
use cache_core::tag::{Tag, Tags};

use super::config::Config;
use super::event::EVERYTHING;

/// The truth behind the cache, as a task reaches it: itself, or by asking another process.
///
/// Reading and changing must be linearizable among all tasks of a run: that is what the version
/// check rests on.
#[async_trait]
pub trait Truth: Send + Sync {
    /// The tags of `key` and their versions, or `None` if the truth is gone.
    async fn read(&self, key: u32) -> Option<Vec<(u32, u64)>>;

    /// Changes the truth of `tags`; returns their new versions, or `None` if the truth is gone.
    async fn change(&self, tags: &[u32]) -> Option<Vec<(u32, u64)>>;
}

/// The truth itself: a version for each tag.
#[derive(Debug)]
pub struct Register {
    tags: u32,
    /// The last one is of [`EVERYTHING`].
    versions: Vec<AtomicU64>,
}

impl Register {
    /// All versions are 1.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let tags = config.tags.max(2);
        Self { tags, versions: (0..=tags).map(|_| AtomicU64::new(1)).collect() }
    }

    /// The tags of `key` and their versions: the declared one, the discovered one,
    /// [`EVERYTHING`].
    #[must_use]
    pub fn read(&self, key: u32) -> Vec<(u32, u64)> {
        let declared = declared(self.tags, key);
        let version = self.version(declared);
        let discovered = discovered(self.tags, key, version);
        vec![
            (declared, version),
            (discovered, self.version(discovered)),
            (EVERYTHING, self.version(EVERYTHING)),
        ]
    }

    /// Changes the truth of `tags`; returns their new versions.
    #[must_use]
    pub fn change(&self, tags: &[u32]) -> Vec<(u32, u64)> {
        let advanced = |slot: &AtomicU64| slot.fetch_add(1, Ordering::SeqCst) + 1;
        tags.iter().map(|tag| (*tag, self.slot(*tag).map_or(0, advanced))).collect()
    }

    fn version(&self, tag: u32) -> u64 {
        self.slot(tag).map_or(0, |version| version.load(Ordering::SeqCst))
    }

    fn slot(&self, tag: u32) -> Option<&AtomicU64> {
        if tag == EVERYTHING { self.versions.last() } else { self.versions.get(tag as usize) }
    }
}

#[async_trait]
impl Truth for Register {
    async fn read(&self, key: u32) -> Option<Vec<(u32, u64)>> {
        Some(Self::read(self, key))
    }

    async fn change(&self, tags: &[u32]) -> Option<Vec<(u32, u64)>> {
        Some(Self::change(self, tags))
    }
}

/// What keys and tags are called in the store.
#[derive(Debug)]
pub(super) struct Names {
    keys: Vec<Key>,
    tags: Vec<Tag>,
}

impl Names {
    /// All names contain `run`, so that runs may share a server.
    pub(super) fn new(run: &str, config: &Config) -> Self {
        let key = |n| Key::new(Digest::of(format!("{run}/{n}").as_bytes()));
        let tag = |n| Tag::new(&format!("{run}/t{n}")).ok();
        Self {
            keys: (0..config.keys.max(1)).map(key).collect(),
            tags: (0..config.tags.max(2)).filter_map(tag).collect(),
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
        declared(self.tags(), key)
    }

    /// The tag that follows from the data, as it was at a version.
    pub(super) fn discovered(&self, key: u32, version: u64) -> u32 {
        discovered(self.tags(), key, version)
    }

    /// The store's tags for these.
    pub(super) fn named(&self, tags: impl IntoIterator<Item = u32>) -> Tags {
        tags.into_iter().filter_map(|tag| self.tags.get(tag as usize)).cloned().collect()
    }
}

/// The first half of the tags is known from requests.
fn declared(tags: u32, key: u32) -> u32 {
    key % (tags / 2).max(1)
}

/// The other half changes with the data.
fn discovered(tags: u32, key: u32, version: u64) -> u32 {
    let declarable = (tags / 2).max(1);
    let rest = tags.saturating_sub(declarable).max(1);
    let mixed = (u64::from(key) + version / 4).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 33;
    declarable + u32::try_from(mixed % u64::from(rest)).unwrap_or(0)
}
