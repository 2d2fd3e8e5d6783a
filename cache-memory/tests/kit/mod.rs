//! What the tests and the benches have in common.
#![allow(dead_code, reason = "not every binary uses all of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests and benches only")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::clock::{Clock, ManualClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{Invalidated, Lookup, PutOutcome, Selection, Store, Ticket};
use cache_core::tag::Tags;
use cache_memory::{MemoryStore, MemoryStoreBuilder};

/// A store whose clock stands still, with calls that need no runtime.
pub(crate) struct Kit {
    pub(crate) store: MemoryStore,
    pub(crate) clock: Arc<ManualClock>,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(set: impl FnOnce(MemoryStoreBuilder) -> MemoryStoreBuilder) -> Self {
        let clock = Arc::new(ManualClock::default());
        let builder = set(MemoryStore::builder().clock(Arc::<ManualClock>::clone(&clock)));
        Self { store: builder.build().unwrap(), clock }
    }

    /// An entry that lives for an hour.
    pub(crate) fn entry(&self, name: &str, tags: &[&str], body: &str) -> Entry {
        self.entry_for(Duration::from_secs(3600), name, tags, body)
    }

    pub(crate) fn entry_for(&self, life: Duration, name: &str, tags: &[&str], body: &str) -> Entry {
        entry(key(name), tags, self.clock.now() + life, Bytes::copy_from_slice(body.as_bytes()))
    }

    pub(crate) fn find(&self, name: &str) -> Option<Entry> {
        match self.store.try_lookup(&key(name), &[]) {
            Some(Lookup::Found(entry, _)) => Some(entry),
            Some(_) => None,
            None => panic!("the store always answers"),
        }
    }

    pub(crate) fn finds(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(crate) fn miss(&self, name: &str) -> Ticket {
        match ready(self.store.lookup(&key(name), &[])) {
            Ok(Lookup::Miss(ticket)) => ticket,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn begin(&self, name: &str) -> Ticket {
        ready(self.store.begin(&key(name))).unwrap()
    }

    pub(crate) fn put(&self, ticket: Ticket, entry: Entry) -> PutOutcome {
        ready(self.store.put(ticket, entry)).unwrap()
    }

    /// Stores an entry with a new ticket.
    pub(crate) fn fill(&self, name: &str, tags: &[&str]) {
        let entry = self.entry(name, tags, name);
        assert_eq!(self.put(self.begin(name), entry), PutOutcome::Stored, "{name}");
    }

    pub(crate) fn invalidate(&self, tags: &[&str]) -> Invalidated {
        invalidate(&self.store, tags)
    }

    pub(crate) fn clear(&self) -> Invalidated {
        ready(self.store.invalidate(&Selection::All)).unwrap()
    }
}

pub(crate) fn key(name: &str) -> Key {
    Key::new(Digest::of(name.as_bytes()))
}

pub(crate) fn entry(key: Key, tags: &[&str], keep_until: SystemTime, body: Bytes) -> Entry {
    let content = Content::Variants(VariantRecord::default());
    Entry::new(key, Tags::user(tags).unwrap(), keep_until, content, body)
}

pub(crate) fn invalidate(store: &MemoryStore, tags: &[&str]) -> Invalidated {
    ready(store.invalidate(&Selection::Tags(Tags::user(tags).unwrap()))).unwrap()
}

/// The output of a future that does not wait.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the memory store never waits"),
    }
}
