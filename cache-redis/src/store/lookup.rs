//! Lookups, and the tickets of misses.

use bytes::Bytes;
use cache_core::entry::{Entry, codec};
use cache_core::key::Key;
use cache_core::store::{Lookup, Stamp, Ticket};
use cache_core::tag::{MAX_TAGS, Tag};
use redis::Value;

use super::Inner;
use super::calls::{one, two};
use super::plain::{self, Plain};
use crate::connection::{Conn, Said, Wanted};
use crate::error::Fault;
use crate::layout::member;
use crate::meta::{Meta, RESERVED, Reading, passes};
use crate::topology::{Commands, Unread};

/// What the marks of tags that were not hinted say of an entry.
enum Later {
    Pass,
    Fail,
    /// They were lost; this is the new epoch.
    Minted(Meta),
}

/// What was found, by what is known of its tags so far.
enum Judged {
    Valid(Entry),
    Miss,
    /// The marks of these tags were not asked for.
    Unasked(Entry, Stamp, Vec<Tag>),
}

impl Inner {
    /// Bounded by the response limit.
    pub(super) async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, Fault> {
        let asked = hints.get(..MAX_TAGS).unwrap_or(hints);
        let (limit, shard) = (self.settings.response_limit, self.layout.shard(key));
        let sent = self.questions.of(shard).and_then(|question| {
            let wanted = Wanted {
                question,
                words: asked.iter().map(Tag::as_str),
                number: key.primary().fold(),
                name: |out: &mut Vec<u8>| plain::write(out, &self.layout, shard, key),
            };
            self.topology.try_look_up(shard, limit, wanted)
        });
        let Some(sent) = sent else {
            return Box::pin(self.within(self.lookup_anyhow(key, asked))).await;
        };
        let read = |said: &Said, conn: &Conn| plain::read(said, asked.len(), conn.incarnation());
        match sent.read(read).await {
            Ok((Plain { found, reading: Reading::Known { meta, marks } }, answered)) => {
                match self.judge(found, key, asked, meta, &marks) {
                    Judged::Valid(entry) => Ok(Lookup::Found(entry, Some(self.ticket(key, meta)))),
                    Judged::Miss => Ok(Lookup::Miss(self.ticket(key, meta))),
                    // Boxed, as everything that is rare here: a hit's future stays small.
                    judged @ Judged::Unasked(..) => {
                        let rest = self.conclude(key, meta, judged);
                        Box::pin(self.within_left(answered.left(), rest)).await
                    }
                }
            }
            Ok((_, answered)) => {
                let rest = self.start_anew(key, &answered.conn);
                Box::pin(self.within_left(answered.left(), rest)).await
            }
            Err(Unread::Again(left)) => {
                Box::pin(self.within_left(left, self.lookup_anyhow(key, asked))).await
            }
            Err(Unread::Fault(fault)) => Err(fault),
        }
    }

    /// A lookup whatever has to be waited for, found out or proved first.
    async fn lookup_anyhow(&self, key: &Key, asked: &[Tag]) -> Result<Lookup, Fault> {
        let shard = self.layout.shard(key);
        let entry = self.layout.entry(shard, &member(key));
        let meta = self.layout.meta(shard);
        let mut answer = self
            .call(shard, 1, &|commands| {
                commands.command("MGET").arg(&entry);
                ask_meta(commands, meta, asked.iter());
            })
            .await?;
        let (found, reply) = two(&mut answer)?;
        match Reading::read(&reply, answer.conn.incarnation(), asked.len())? {
            Reading::Known { meta, marks } => {
                let judged = self.judge(found_in(found)?, key, asked, meta, &marks);
                self.conclude(key, meta, judged).await
            }
            Reading::Lost | Reading::Foreign => self.start_anew(key, &answer.conn).await,
        }
    }

    /// The rule of validity, as far as the tags are known whose marks were asked for.
    fn judge(
        &self,
        found: Option<Bytes>,
        key: &Key,
        asked: &[Tag],
        meta: Meta,
        marks: &[Option<u64>],
    ) -> Judged {
        let Some((entry, stamp)) = found.and_then(|bytes| self.decode(&bytes, key)) else {
            return Judged::Miss;
        };
        if !meta.admits(stamp) {
            return Judged::Miss;
        }
        let mark = |place: usize, tag: &Tag| {
            // Mostly they are those of the last response, in the same order.
            let place = match asked.get(place) {
                Some(asked) if asked == tag => place,
                _ => asked.iter().position(|asked| asked == tag)?,
            };
            marks.get(place).copied()
        };
        let mut unasked = Vec::new();
        for (place, tag) in entry.tags().iter().enumerate() {
            match mark(place, tag) {
                Some(mark) if passes(mark, stamp) => {}
                Some(_) => return Judged::Miss,
                None => unasked.push(tag.clone()),
            }
        }
        if unasked.is_empty() {
            Judged::Valid(entry)
        } else {
            Judged::Unasked(entry, stamp, unasked)
        }
    }

    /// Asks for what was not asked for, if anything.
    async fn conclude(&self, key: &Key, meta: Meta, judged: Judged) -> Result<Lookup, Fault> {
        let found = |entry| Ok(Lookup::Found(entry, Some(self.ticket(key, meta))));
        let (entry, stamp, unasked) = match judged {
            Judged::Valid(entry) => return found(entry),
            Judged::Miss => return Ok(Lookup::Miss(self.ticket(key, meta))),
            Judged::Unasked(entry, stamp, unasked) => (entry, stamp, unasked),
        };
        match self.marks_pass(self.layout.shard(key), stamp, &unasked).await? {
            Later::Pass => found(entry),
            Later::Fail => Ok(Lookup::Miss(self.ticket(key, meta))),
            Later::Minted(meta) => Ok(Lookup::Miss(self.ticket(key, meta))),
        }
    }

    /// The metadata proves nothing: a miss in a new epoch.
    async fn start_anew(&self, key: &Key, doubtful: &Conn) -> Result<Lookup, Fault> {
        let meta = self.mint(self.layout.shard(key), doubtful).await?;
        Ok(Lookup::Miss(self.ticket(key, meta)))
    }

    /// Whether an entry with this stamp passes the marks of tags that were not hinted.
    async fn marks_pass(&self, shard: u16, stamp: Stamp, tags: &[Tag]) -> Result<Later, Fault> {
        let meta = self.layout.meta(shard);
        let mut answer =
            self.call(shard, 0, &|commands| ask_meta(commands, meta, tags.iter())).await?;
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

    /// The entry in the bytes that lie under its key, which become its own; what cannot be read, or
    /// is past its end, is none.
    fn decode(&self, bytes: &Bytes, key: &Key) -> Option<(Entry, Stamp)> {
        match codec::decode(bytes, key) {
            Ok((entry, stamp)) => (entry.keep_until() > self.clock.now()).then_some((entry, stamp)),
            Err(error) => {
                tracing::debug!(%key, %error, "a stored entry cannot be read; that is a miss");
                None
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
        Ticket::new(*key, state.stamp(), self.clock.monotonic())
    }
}

/// What a reply to `MGET` of one name holds. A planted type is none.
fn found_in(reply: Value) -> Result<Option<Bytes>, Fault> {
    match reply {
        Value::Array(mut entries) => match (entries.pop(), entries.is_empty()) {
            (Some(Value::BulkString(bytes)), true) => Ok(Some(Bytes::from(bytes))),
            (Some(Value::Nil), true) => Ok(None),
            _ => Err(Fault::Protocol("MGET")),
        },
        // An entry that a slot's migration has moved already.
        Value::ServerError(error) if matches!(error.code(), "ASK" | "TRYAGAIN") => Ok(None),
        Value::ServerError(error) => Err(Fault::server(&error)),
        _ => Err(Fault::Protocol("MGET")),
    }
}

fn ask_meta<'t, I: Iterator<Item = &'t Tag>>(commands: &mut Commands, meta: &str, tags: I) {
    commands.command("ZMSCORE").arg(meta).arg(&RESERVED[..]);
    for tag in tags {
        commands.arg(tag.as_str());
    }
}
