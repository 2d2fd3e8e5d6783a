//! Puts: the body as a draft, which a script gives its place if it is still valid.

use std::sync::Arc;

use bytes::Bytes;
use cache_core::entry::{Entry, codec};
use cache_core::store::{PutOutcome, Refusal, Stamp};
use redis::Value;

use super::Inner;
use super::calls::{integer, one};
use crate::connection::Conn;
use crate::error::Fault;
use crate::incarnation::fresh_epoch;
use crate::layout::member;

/// The longest life that is written, about 100 years: Redis refuses times near 2⁶³.
const LONGEST_LIFE: u64 = 100 * 366 * 24 * 60 * 60 * 1000;

/// How long the draft of a put that was cut off stays behind, in milliseconds.
const DRAFT_LIFE: u64 = 10_000;

// What `commit.lua` returns.
const COMMIT_SUPERSEDED: u64 = 0;
const COMMIT_STORED: u64 = 1;
const COMMIT_FOREIGN: u64 = 2;
const COMMIT_ABSENT: u64 = 3;

/// A put under way.
struct Draft {
    bytes: Bytes,
    /// In milliseconds; 0 if it is over.
    life: u64,
    keys: Vec<String>,
}

impl Inner {
    pub(super) async fn put(&self, stamp: Stamp, entry: &Entry) -> Result<PutOutcome, Fault> {
        if entry.weight() > self.settings.max_entry {
            return Ok(PutOutcome::Refused(Refusal::TooLarge));
        }
        let Ok(bytes) = codec::encode(entry, stamp) else {
            return Ok(PutOutcome::Refused(Refusal::TooLarge));
        };
        let shard = self.layout.shard(&entry.key());
        let draft = Draft {
            bytes,
            life: entry
                .keep_until()
                .duration_since(self.clock.now())
                .map_or(0, |life| u64::try_from(life.as_millis()).unwrap_or(u64::MAX))
                .min(LONGEST_LIFE),
            keys: self.commit_keys(shard, entry)?,
        };
        for _ in 0..2 {
            let (verdict, conn) = self.commit(shard, stamp, entry, &draft).await?;
            match verdict {
                COMMIT_STORED => return Ok(PutOutcome::Stored),
                COMMIT_SUPERSEDED => return Ok(PutOutcome::Superseded),
                COMMIT_ABSENT => return Ok(PutOutcome::Refused(Refusal::Capacity)),
                COMMIT_FOREIGN => {
                    // Either the metadata or the proof is of the past: the server decides.
                    let state = Box::pin(self.mint(shard, &conn)).await?;
                    if state.epoch != stamp.epoch {
                        return Ok(PutOutcome::Superseded);
                    }
                }
                _ => return Err(Fault::Protocol("commit")),
            }
        }
        Err(Fault::Unproven)
    }

    /// Metadata, draft, entry, indexes.
    fn commit_keys(&self, shard: u16, entry: &Entry) -> Result<Vec<String>, Fault> {
        let mut keys = vec![
            self.layout.meta(shard).to_owned(),
            self.layout.draft(shard, fresh_epoch()?),
            self.layout.entry(shard, &member(&entry.key())),
        ];
        keys.extend(self.indexes(shard, entry));
        Ok(keys)
    }

    /// One pipeline: the body as a draft, and the script that gives it its place if it is valid.
    async fn commit(
        &self,
        shard: u16,
        stamp: Stamp,
        entry: &Entry,
        draft: &Draft,
    ) -> Result<(u64, Arc<Conn>), Fault> {
        let Some(name) = draft.keys.get(1) else { return Err(Fault::Protocol("commit")) };
        let member = member(&entry.key());
        let script = &self.scripts.commit;
        let alive = draft.life > 0;
        let place = usize::from(alive);
        for (command, code) in [("EVALSHA", script.sha.as_str()), ("EVAL", script.text)] {
            let mut answer = self
                .call(shard, place, &|commands| {
                    if alive {
                        let life = draft.life.min(DRAFT_LIFE);
                        commands.command("SET").arg(name).arg(&draft.bytes[..]).arg("PX").arg(life);
                    }
                    let here = commands.incarnation().0;
                    commands.command(command).arg(code).arg(draft.keys.len()).arg(&draft.keys);
                    commands.arg(stamp.epoch).arg(stamp.clock).arg(here);
                    commands.arg(draft.life).arg(&member);
                    for tag in entry.tags().iter() {
                        commands.arg(tag.as_str());
                    }
                })
                .await?;
            match (one(&mut answer)?, answer.values.first()) {
                (Value::ServerError(error), _) if error.code() == "NOSCRIPT" => {}
                // A slot on the move takes no new keys.
                (Value::ServerError(error), _) if error.code() == "TRYAGAIN" => {
                    return Ok((COMMIT_ABSENT, answer.conn));
                }
                (Value::ServerError(error), _) => return Err(Fault::server(&error)),
                (_, Some(Value::ServerError(error))) => {
                    return match error.code() {
                        "OOM" | "ASK" => Ok((COMMIT_ABSENT, answer.conn)),
                        _ => Err(Fault::server(error)),
                    };
                }
                (verdict, _) => return Ok((integer(&verdict)?, answer.conn)),
            }
        }
        Err(Fault::Protocol("EVAL"))
    }

    /// The indexes that an entry is registered in.
    pub(super) fn indexes(&self, shard: u16, entry: &Entry) -> Vec<String> {
        let mut indexes: Vec<String> =
            entry.tags().iter().filter_map(|tag| self.layout.index(shard, tag)).collect();
        indexes.push(self.layout.index_of_all(shard));
        indexes
    }
}
