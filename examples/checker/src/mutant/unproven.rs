//! The store's mechanism without its proofs: a clock and marks, and an entry is valid if none of its
//! tags was marked after its stamp.
//!
//! When a server loses the marks, or comes back with older ones, nothing tells the entries that are
//! still there from valid ones.

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::{Entry, codec};
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Selection, Stamp, Store, StoreError, Ticket,
};
use cache_core::tag::Tag;
use redis::Script;

use super::{Link, failed, life, name};

/// A sorted set: `#c` is the clock, `#all` the mark of a clear, the rest the marks of tags.
const META: &str = "unproven:m";

#[derive(Debug)]
pub(super) struct Unproven {
    link: Link,
    invalidate: Script,
}

impl Unproven {
    pub(super) fn new(link: Link) -> Self {
        let invalidate = Script::new(
            "local c = redis.call('ZINCRBY', KEYS[1], 1, '#c')
             for _, tag in ipairs(ARGV) do redis.call('ZADD', KEYS[1], c, tag) end
             return 1",
        );
        Self { link, invalidate }
    }

    /// The clock, and the newest of the marks that concern these tags.
    async fn read(&self, tags: &[Tag]) -> Result<(u64, u64), StoreError> {
        let names: Vec<&str> =
            ["#c", "#all"].into_iter().chain(tags.iter().map(Tag::as_str)).collect();
        let mut pipe = redis::pipe();
        pipe.cmd("ZMSCORE").arg(META).arg(names);
        let (scores,): (Vec<Option<u64>>,) = self.link.run(&pipe).await.map_err(failed)?;
        let mut scores = scores.into_iter().map(Option::unwrap_or_default);
        let clock = scores.next().unwrap_or_default();
        Ok((clock, scores.max().unwrap_or_default()))
    }

    async fn ticket(&self, key: &Key) -> Result<Ticket, StoreError> {
        let (clock, _) = self.read(&[]).await?;
        Ok(Ticket::new(*key, Stamp { epoch: 0, clock }, SystemClock.monotonic()))
    }
}

#[async_trait]
impl Store for Unproven {
    fn guarantee(&self) -> Guarantee {
        Guarantee::None
    }

    fn try_lookup(&self, _key: &Key, _hints: &[Tag]) -> Option<Lookup> {
        None
    }

    async fn lookup(&self, key: &Key, _hints: &[Tag]) -> Result<Lookup, StoreError> {
        let ticket = self.ticket(key).await?;
        let mut pipe = redis::pipe();
        pipe.get(name("unproven", key));
        let (found,): (Option<Vec<u8>>,) = self.link.run(&pipe).await.map_err(failed)?;
        let found = found.and_then(|bytes| codec::decode(&Bytes::from(bytes), key).ok());
        if let Some((entry, stamp)) = found {
            let (_, mark) = self.read(entry.tags()).await?;
            if mark <= stamp.clock {
                return Ok(Lookup::Found(entry, Some(ticket)));
            }
        }
        Ok(Lookup::Miss(ticket))
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        self.ticket(key).await
    }

    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        let bytes = codec::encode(&entry, ticket.stamp()).map_err(failed)?;
        let mut pipe = redis::pipe();
        pipe.pset_ex(name("unproven", ticket.key()), &bytes[..], life(&entry)).ignore();
        self.link.run::<()>(&pipe).await.map_err(failed)?;
        let (_, mark) = self.read(entry.tags()).await?;
        let valid = mark <= ticket.stamp().clock;
        Ok(if valid { PutOutcome::Stored } else { PutOutcome::Superseded })
    }

    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        let mut call = self.invalidate.prepare_invoke();
        call.key(META);
        match what {
            Selection::Tags(tags) => {
                for tag in tags.iter() {
                    call.arg(tag.as_str());
                }
            }
            _ => {
                call.arg("#all");
            }
        }
        let mut pipe = redis::pipe();
        pipe.load_script(&self.invalidate).ignore().invoke_script(&call);
        self.link.run::<(i64,)>(&pipe).await.map_err(failed)?;
        Ok(Invalidated::new(0, false))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
