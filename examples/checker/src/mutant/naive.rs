//! The usual design: a set of keys for each tag; an invalidation deletes what the sets list.
//!
//! Each step is right by itself. What was computed before an invalidation and is put after it stays,
//! and what is put between `SUNION` and `DEL` is in no set any more.

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::{Entry, codec};
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Selection, Stamp, Store, StoreError, Ticket,
};
use cache_core::tag::Tag;

use super::{Link, failed, life, name};

const ALL: &str = "naive:all";

#[derive(Debug)]
pub(super) struct Naive {
    link: Link,
}

impl Naive {
    pub(super) const fn new(link: Link) -> Self {
        Self { link }
    }
}

fn index(tag: &Tag) -> String {
    format!("naive:x:{tag}")
}

/// Says nothing: this design has none.
fn ticket(key: &Key) -> Ticket {
    Ticket::new(*key, Stamp::default(), SystemClock.monotonic())
}

#[async_trait]
impl Store for Naive {
    fn guarantee(&self) -> Guarantee {
        Guarantee::None
    }

    fn try_lookup(&self, _key: &Key, _hints: &[Tag]) -> Option<Lookup> {
        None
    }

    async fn lookup(&self, key: &Key, _hints: &[Tag]) -> Result<Lookup, StoreError> {
        let mut pipe = redis::pipe();
        pipe.get(name("naive", key));
        let (found,): (Option<Vec<u8>>,) = self.link.run(&pipe).await.map_err(failed)?;
        let found = found.and_then(|bytes| codec::decode(&Bytes::from(bytes), key).ok());
        Ok(match found {
            Some((entry, _)) => Lookup::Found(entry, Some(ticket(key))),
            None => Lookup::Miss(ticket(key)),
        })
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        Ok(ticket(key))
    }

    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        let name = name("naive", ticket.key());
        let bytes = codec::encode(&entry, ticket.stamp()).map_err(failed)?;
        let mut pipe = redis::pipe();
        pipe.pset_ex(&name, &bytes[..], life(&entry)).ignore();
        for tag in entry.tags().iter() {
            pipe.sadd(index(tag), &name).ignore();
        }
        pipe.sadd(ALL, &name).ignore();
        self.link.run::<()>(&pipe).await.map_err(failed)?;
        Ok(PutOutcome::Stored)
    }

    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        let indexes: Vec<String> = match what {
            Selection::Tags(tags) => tags.iter().map(index).collect(),
            _ => vec![ALL.to_owned()],
        };
        let mut pipe = redis::pipe();
        pipe.sunion(&indexes);
        let (listed,): (Vec<String>,) = self.link.run(&pipe).await.map_err(failed)?;
        let mut pipe = redis::pipe();
        pipe.del([listed, indexes].concat()).ignore();
        self.link.run::<()>(&pipe).await.map_err(failed)?;
        Ok(Invalidated::new(0, false))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
