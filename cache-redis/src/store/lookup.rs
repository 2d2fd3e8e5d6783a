//! Lookups, and the tickets of misses.

use bytes::Bytes;
use cache_core::entry::{Entry, codec};
use cache_core::key::Key;
use cache_core::store::{Lookup, Stamp, Ticket};
use cache_core::tag::{MAX_TAGS, Tag};
use redis::Value;

use super::Inner;
use super::calls::{one, two};
use crate::error::Fault;
use crate::layout::member;
use crate::meta::{Meta, RESERVED, Reading, passes};
use crate::topology::Commands;

/// What the marks of tags that were not hinted say of an entry.
enum Later {
    Pass,
    Fail,
    /// They were lost; this is the new epoch.
    Minted(Meta),
}

impl Inner {
    pub(super) async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, Fault> {
        let shard = self.layout.shard(key);
        let entry = self.layout.entry(shard, &member(key));
        let meta = self.layout.meta(shard);
        let asked = hints.get(..MAX_TAGS).unwrap_or(hints);
        // Those of the last response are, as every `Tags`.
        let sorted = asked.is_sorted();
        let mut answer = self
            .call(shard, 1, &|commands| {
                commands.command("GET").arg(&entry);
                ask_meta(commands, meta, asked.iter());
            })
            .await?;
        let (found, reply) = two(&mut answer)?;
        let reading = Reading::read(&reply, answer.conn.incarnation(), asked.len())?;
        let Reading::Known { meta: state, marks } = reading else {
            let state = Box::pin(self.mint(shard, &answer.conn)).await?;
            return Ok(Lookup::Miss(self.ticket(key, state)));
        };
        let miss = || Ok(Lookup::Miss(self.ticket(key, state)));
        let Some((entry, stamp)) = self.decode(found, key)? else { return miss() };
        if !state.admits(stamp) {
            return miss();
        }
        let mark = |tag: &Tag| {
            let place = if sorted {
                asked.binary_search(tag).ok()
            } else {
                asked.iter().position(|asked| asked == tag)
            };
            marks.get(place?).copied()
        };
        let mut unasked = Vec::new();
        for tag in entry.tags().iter() {
            match mark(tag) {
                Some(mark) if passes(mark, stamp) => {}
                Some(_) => return miss(),
                None => unasked.push(tag),
            }
        }
        if !unasked.is_empty() {
            // Boxed, as everything that is rare here: a hit's future stays small.
            let later = Box::pin(self.marks_pass(shard, stamp, &unasked)).await?;
            match later {
                Later::Pass => {}
                Later::Fail => return miss(),
                Later::Minted(state) => return Ok(Lookup::Miss(self.ticket(key, state))),
            }
        }
        Ok(Lookup::Found(entry, Some(self.ticket(key, state))))
    }

    /// Whether an entry with this stamp passes the marks of tags that were not hinted.
    async fn marks_pass(&self, shard: u16, stamp: Stamp, tags: &[&Tag]) -> Result<Later, Fault> {
        let meta = self.layout.meta(shard);
        let mut answer =
            self.call(shard, 0, &|commands| ask_meta(commands, meta, tags.iter().copied())).await?;
        let reply = one(&mut answer)?;
        match Reading::read(&reply, answer.conn.incarnation(), tags.len())? {
            Reading::Known { meta, marks } => {
                let pass = meta.admits(stamp) && marks.iter().all(|mark| passes(*mark, stamp));
                Ok(if pass { Later::Pass } else { Later::Fail })
            }
            Reading::Lost | Reading::Foreign => {
                Ok(Later::Minted(self.mint(shard, &answer.conn).await?))
            }
        }
    }

    /// The entry in a reply to `GET`; what cannot be read, or is past its end, is none.
    fn decode(&self, found: Value, key: &Key) -> Result<Option<(Entry, Stamp)>, Fault> {
        let bytes = match found {
            // The reply's own buffer becomes the entry's; the body is a slice of it.
            Value::BulkString(bytes) => Bytes::from(bytes),
            Value::Nil => return Ok(None),
            Value::ServerError(error) => {
                return match error.code() {
                    // A planted type; or an entry that a slot's migration has moved already.
                    "WRONGTYPE" | "ASK" => Ok(None),
                    _ => Err(Fault::server(&error)),
                };
            }
            _ => return Err(Fault::Protocol("GET")),
        };
        match codec::decode(&bytes, key) {
            Ok((entry, stamp)) if entry.keep_until() > self.clock.now() => Ok(Some((entry, stamp))),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::debug!(%key, %error, "a stored entry cannot be read; that is a miss");
                Ok(None)
            }
        }
    }

    pub(super) async fn begin(&self, key: &Key) -> Result<Ticket, Fault> {
        let shard = self.layout.shard(key);
        let meta = self.layout.meta(shard);
        let mut answer =
            self.call(shard, 0, &|commands| ask_meta(commands, meta, std::iter::empty())).await?;
        let reply = one(&mut answer)?;
        let state = match Reading::read(&reply, answer.conn.incarnation(), 0)? {
            Reading::Known { meta, .. } => meta,
            Reading::Lost | Reading::Foreign => Box::pin(self.mint(shard, &answer.conn)).await?,
        };
        Ok(self.ticket(key, state))
    }

    fn ticket(&self, key: &Key, state: Meta) -> Ticket {
        Ticket::new(*key, state.stamp(), self.clock.monotonic(), None)
    }
}

fn ask_meta<'t, I: Iterator<Item = &'t Tag>>(commands: &mut Commands, meta: &str, tags: I) {
    commands.command("ZMSCORE").arg(meta).arg(&RESERVED[..]);
    for tag in tags {
        commands.arg(tag.as_str());
    }
}
