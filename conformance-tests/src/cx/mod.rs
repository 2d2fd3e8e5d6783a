//! The surroundings of a case: its store's handles, its names, its time.

mod content;
mod draft;
mod handle;
mod polling;
mod tasks;
pub(crate) mod trail;
mod value;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use cache_core::clock::{Clock, SystemClock, from_unix_millis, unix_millis};
use cache_core::key::{Digest, Key};
use cache_core::tag::Tag;

pub(crate) use self::content::same;
pub(crate) use self::draft::{Draft, response};
pub(crate) use self::handle::Handle;
pub(crate) use self::polling::{POLLS, poll_times};
pub(crate) use self::tasks::{joined, together};
use self::trail::Trail;
pub(crate) use self::value::value;
use crate::case::Stop;
use crate::fixture::{Fault, Fixture, Promise};

/// What a case works with. Keys and tags are unique to it, so that cases may share a server.
pub(crate) struct Cx {
    fixture: Box<dyn Fixture>,
    first: Handle,
    second: Handle,
    prefix: String,
    trail: Arc<Trail>,
}

impl Cx {
    pub(crate) async fn new(id: &str, fixture: Box<dyn Fixture>, trail: Arc<Trail>) -> Self {
        let first = Handle::new("p1", fixture.store(), Arc::clone(&trail));
        let second = Handle::new("p2", fixture.second().await, Arc::clone(&trail));
        Self { fixture, first, second, prefix: unique(id), trail }
    }

    pub(crate) const fn first(&self) -> &Handle {
        &self.first
    }

    /// Two handles, as two processes would hold them.
    pub(crate) const fn both(&self) -> (&Handle, &Handle) {
        (&self.first, &self.second)
    }

    pub(crate) fn promise(&self) -> Promise {
        self.fixture.promise()
    }

    /// The store's wall clock, cut to what every stored form keeps: milliseconds.
    pub(crate) fn now(&self) -> SystemTime {
        from_unix_millis(unix_millis(self.fixture.now()))
    }

    pub(crate) async fn advance(&self, by: Duration) {
        self.fixture.advance(by).await;
        self.trail.step(format!("advance({by:?})"));
    }

    /// Does harm, or skips the case.
    pub(crate) async fn inflict(&self, fault: Fault) -> Result<(), Stop> {
        if !self.fixture.inflict(fault).await {
            return Err(Stop::skipped("the fixture cannot inflict the fault"));
        }
        self.trail.step(match fault {
            Fault::DamageEntry(_) => "the entry is damaged".to_owned(),
            Fault::LoseMetadata => "the metadata is lost".to_owned(),
            Fault::Cut(_) => "a part is cut off".to_owned(),
            Fault::Mend => "the cut is mended".to_owned(),
        });
        Ok(())
    }

    pub(crate) fn key(&self, label: &str) -> Name {
        let key = Key::new(Digest::of(format!("{}/{label}", self.prefix).as_bytes()));
        Name { key, label: label.to_owned() }
    }

    /// So many keys over all shards, without a digest each: that would be most of the work.
    pub(crate) fn keys(&self, count: u64) -> Vec<Name> {
        let base = *self.key("k").key.primary();
        let nth = |n: u64| {
            let mut bytes = *base.as_bytes();
            let spread = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
            bytes.iter_mut().zip(spread).for_each(|(byte, by)| *byte ^= by);
            Name { key: Key::new(Digest::from_bytes(bytes)), label: format!("k{n}") }
        };
        (0..count).map(nth).collect()
    }

    pub(crate) fn variant(&self, label: &str, variant: &str) -> Name {
        let key = self.key(label).key.variant_of(Digest::of(variant.as_bytes()));
        Name { key, label: format!("{label}.{variant}") }
    }

    /// A user tag.
    pub(crate) fn tag(&self, label: &str) -> Result<Tag, Stop> {
        tag(Tag::new(&format!("{}/{label}", self.prefix)))
    }

    pub(crate) fn namespace_tag(&self, label: &str) -> Result<Tag, Stop> {
        tag(Tag::namespace(&format!("{}:{label}", self.prefix)))
    }

    pub(crate) fn key_tag(&self, label: &str) -> Tag {
        Tag::key(Some(&self.prefix), label)
    }

    pub(crate) fn uri_tag(&self, label: &str) -> Tag {
        Tag::uri(self.key(label).key.primary())
    }

    /// A small response under `name`: no tags, body `"body"`, kept for an hour.
    pub(crate) fn entry(&self, name: &Name) -> Draft {
        Draft::new(name, self.now())
    }
}

/// A key, and what a failure calls it.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    key: Key,
    label: String,
}

impl Name {
    pub(crate) const fn key(&self) -> &Key {
        &self.key
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

pub(crate) fn tag(made: Result<Tag, impl fmt::Display>) -> Result<Tag, Stop> {
    made.map_err(|error| Stop::failed(format!("the case needs a tag: {error}")))
}

/// Differs in every case of every process that may share a server.
fn unique(id: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    let start = unix_millis(SystemClock.now());
    format!("{id}-{process:x}-{start:x}-{count:x}")
}
