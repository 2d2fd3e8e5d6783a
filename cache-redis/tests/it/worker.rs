//! A handle with a vocabulary for tests.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::clock::{Clock, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{Invalidated, Lookup, PutOutcome, Selection, Store, StoreError, Ticket};
use cache_core::tag::{Tag, Tags};
use cache_redis::{RedisStore, RedisStoreBuilder};

pub(crate) fn key(name: &str) -> Key {
    Key::new(Digest::of(name.as_bytes()))
}

pub(crate) fn tags(names: &[&str]) -> Tags {
    Tags::user(names).unwrap()
}

pub(crate) fn entry(name: &str, names: &[&str], body: &str) -> Entry {
    entry_for(name, names, body, Duration::from_secs(600))
}

pub(crate) fn entry_for(name: &str, names: &[&str], body: &str, life: Duration) -> Entry {
    let until: SystemTime = SystemClock.now() + life;
    let content = Content::Variants(VariantRecord::default());
    Entry::new(key(name), tags(names), until, content, Bytes::copy_from_slice(body.as_bytes()))
}

/// Settings for tests: patient, since the machine may be busy with others.
pub(crate) fn patient(url: &str) -> RedisStoreBuilder {
    let patience = Duration::from_secs(5);
    RedisStore::builder(url)
        .unwrap()
        .with_response_limit(patience)
        .with_connect_limit(patience)
        .with_reclaim_budget(100_000, Duration::from_secs(5))
}

/// One process' view of the cache.
#[derive(Clone, Debug)]
pub(crate) struct Worker(pub(crate) RedisStore);

impl Worker {
    pub(crate) async fn at(url: &str) -> Self {
        Self::of(patient(url)).await
    }

    pub(crate) async fn of(builder: RedisStoreBuilder) -> Self {
        match builder.connect().await {
            Ok(store) => Self(store),
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    pub(crate) async fn lookup(&self, name: &str) -> Result<Lookup, StoreError> {
        self.0.lookup(&key(name), &[]).await
    }

    pub(crate) async fn ticket(&self, name: &str) -> Ticket {
        match self.lookup(name).await {
            Ok(Lookup::Miss(ticket)) => ticket,
            other => panic!("{name}: expected a miss, got {other:?}"),
        }
    }

    pub(crate) async fn miss(&self, name: &str) {
        self.ticket(name).await;
    }

    pub(crate) async fn hit(&self, name: &str, body: &str) {
        match self.lookup(name).await {
            Ok(Lookup::Found(entry, _)) => assert_eq!(&entry.body()[..], body.as_bytes(), "{name}"),
            other => panic!("{name}: expected a hit, got {other:?}"),
        }
    }

    pub(crate) async fn put(&self, ticket: Ticket, entry: Entry) -> PutOutcome {
        self.0.put(ticket, entry).await.unwrap()
    }

    pub(crate) async fn fill(&self, name: &str, names: &[&str], body: &str) {
        let ticket = self.0.begin(&key(name)).await.unwrap();
        let outcome = self.put(ticket, entry(name, names, body)).await;
        assert_eq!(outcome, PutOutcome::Stored, "{name}");
    }

    pub(crate) async fn try_invalidate(&self, names: &[&str]) -> Result<Invalidated, StoreError> {
        self.0.invalidate(&Selection::Tags(tags(names))).await
    }

    pub(crate) async fn invalidate(&self, names: &[&str]) -> Invalidated {
        match self.try_invalidate(names).await {
            Ok(done) => done,
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    pub(crate) async fn clear(&self) -> Invalidated {
        self.0.invalidate(&Selection::All).await.unwrap()
    }

    /// Looks up until it is answered at all; `true` for a hit.
    pub(crate) async fn answered(&self, name: &str, within: Duration) -> bool {
        let end = SystemClock.monotonic() + within;
        loop {
            match self.lookup(name).await {
                Ok(found) => return matches!(found, Lookup::Found(..)),
                Err(error) if SystemClock.monotonic() > end => {
                    panic!("{error}: {:?}", std::error::Error::source(&error))
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// A tag for hints.
pub(crate) fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}
