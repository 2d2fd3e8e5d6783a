//! The [`Store`] over Redis.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::clock::Clock;
use cache_core::entry::{Entry, codec};
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Refusal, Selection, Stamp, Store, StoreError,
    StoreErrorKind, Ticket,
};
use cache_core::tag::{MAX_TAGS, Tag};
use futures_util::future::join_all;
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::builder::{RedisStoreBuilder, Settings};
use crate::connection::{Conn, Gate, text};
use crate::error::{ConnectError, Fault};
use crate::incarnation::fresh_epoch;
use crate::layout::{Layout, is_indexed, member};
use crate::meta::{Meta, RESERVED, Reading, SHARDS, negative, passes};
use crate::reclaim::{Aside, Selected};
use crate::script::{Script, Scripts};
use crate::topology::{Answer, Call, Commands, Topology};

/// Tags that one run of the invalidation script takes.
const TAGS_PER_SCRIPT: usize = 512;

/// How often one shard of an invalidation is tried.
const INVALIDATION_TRIES: u32 = 3;

/// How many puts pay for one sweep of their indexes.
const PUTS_PER_SWEEP: u64 = 32;

/// Background work at a time: reclaiming left over by invalidations.
const BACKGROUND: usize = 4;

/// Entries kept in Redis ≥ 7.0: single node, Sentinel or Cluster. See the
/// [crate documentation](crate).
///
/// A handle: clones, and other stores on the same prefix in any process, are the same cache.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) layout: Layout,
    pub(crate) topology: Arc<Topology>,
    pub(crate) scripts: Scripts,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) background: Arc<Semaphore>,
    sweeping: Arc<Semaphore>,
    puts: AtomicU64,
}

impl RedisStore {
    /// Connects with default settings, failing fast.
    ///
    /// `url` is `redis://[user:pass@]host[:port][/db]`, `rediss://…` (TLS),
    /// `unix:///path[?db=n&user=u&pass=p]`,
    /// `redis-sentinel://[user:pass@]host:port,…/MASTER[/db]`, or
    /// `redis-cluster://[user:pass@]host:port,…` (`rediss-sentinel`, `rediss-cluster` with TLS).
    ///
    /// # Errors
    ///
    /// A URL that is none, or a server that cannot be used.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url)?.connect().await
    }

    /// Settings, to begin with those of [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// A URL that is none. The error never repeats it, since it may hold a password.
    pub fn builder(url: &str) -> Result<RedisStoreBuilder, ConnectError> {
        Ok(RedisStoreBuilder::new(url)?)
    }

    pub(crate) fn new(
        layout: Layout,
        topology: Arc<Topology>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // A process that restarts often sweeps, too.
        let puts = fresh_epoch().unwrap_or(0) % PUTS_PER_SWEEP;
        Self {
            inner: Arc::new(Inner {
                layout,
                topology,
                scripts: Scripts::new(),
                settings,
                clock,
                background: Arc::new(Semaphore::new(BACKGROUND)),
                sweeping: Arc::new(Semaphore::new(1)),
                puts: AtomicU64::new(puts),
            }),
        }
    }

    /// Whether every shard can be used, asked within this time.
    pub(crate) async fn ready_within(&self, limit: Duration, at: &str) -> Result<(), StoreError> {
        let ready = self.inner.ready(limit).await;
        ready.map_err(|fault| fault.into_error(format!("checking the Redis store{at}")))
    }

    /// Lists at most `limit` names of this store's keys, for people; in no order.
    ///
    /// Uses `SCAN`, so it may miss keys that come or go meanwhile, and reads through the whole key
    /// space of the servers if `limit` is not reached first. Never part of a request's path.
    ///
    /// # Errors
    ///
    /// A server could not be asked.
    pub async fn keys(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        self.inner.keys(limit).await.map_err(|fault| fault.into_error("listing keys"))
    }
}

#[async_trait]
impl Store for RedisStore {
    fn guarantee(&self) -> Guarantee {
        if self.inner.topology.may_fail_over() {
            Guarantee::LinearizableExceptSplitBrain
        } else {
            Guarantee::Linearizable
        }
    }

    fn try_lookup(&self, _key: &Key, _hints: &[Tag]) -> Option<Lookup> {
        None
    }

    async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, StoreError> {
        let inner = &self.inner;
        inner
            .within(inner.lookup(key, hints))
            .await
            .map_err(|fault| fault.into_error(format!("looking up {key}")))
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        let inner = &self.inner;
        inner
            .within(inner.begin(key))
            .await
            .map_err(|fault| fault.into_error(format!("taking a ticket for {key}")))
    }

    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        let inner = &self.inner;
        if entry.key() != ticket.key() {
            return Ok(PutOutcome::Refused(Refusal::KeyMismatch));
        }
        if ticket.is_overdue(inner.clock.monotonic()) {
            return Ok(PutOutcome::Refused(Refusal::TooOld));
        }
        let key = *ticket.key();
        let outcome = inner
            .within(inner.put(ticket.stamp(), &entry))
            .await
            .map_err(|fault| fault.into_error(format!("storing {key}")))?;
        if matches!(outcome, PutOutcome::Stored) {
            inner.sweep_now_and_then(&entry);
        }
        Ok(outcome)
    }

    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        let selected = match what {
            Selection::Tags(tags) => Selected::Tags(tags.clone()),
            Selection::All => Selected::All,
            _ => {
                return Err(StoreError::new(
                    StoreErrorKind::Unsupported,
                    "invalidating a selection of a newer kind",
                ));
            }
        };
        let runtime = Handle::try_current().map_err(|_| {
            Fault::Unsupported("a runtime other than tokio".to_owned()).into_error("invalidating")
        })?;
        // Detached: it runs on when the caller is dropped.
        let inner = Arc::clone(&self.inner);
        runtime
            .spawn(async move { inner.invalidate(&selected).await })
            .await
            .unwrap_or_else(|_| Err(Fault::Stopped.into_error("invalidating")))
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.ready_within(self.inner.settings.response_limit, "").await
    }

    async fn close(&self) {
        self.inner.background.close();
        self.inner.sweeping.close();
        self.inner.topology.close();
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.inner.layout.prefix())
            .field("shards", &self.inner.layout.shards())
            .field("topology", &self.inner.topology)
            .field("settings", &self.inner.settings)
            .finish()
    }
}

impl Inner {
    /// Bounds one step by the response limit.
    pub(crate) async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let limit = self.settings.response_limit;
        tokio::time::timeout(limit, work).await.unwrap_or(Err(Fault::TimedOut(limit)))
    }

    async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, Fault> {
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

    async fn begin(&self, key: &Key) -> Result<Ticket, Fault> {
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

    async fn put(&self, stamp: Stamp, entry: &Entry) -> Result<PutOutcome, Fault> {
        if entry.weight() > self.settings.max_entry {
            return Ok(PutOutcome::Refused(Refusal::TooLarge));
        }
        let Ok(bytes) = codec::encode(entry, stamp) else {
            return Ok(PutOutcome::Refused(Refusal::TooLarge));
        };
        let shard = self.layout.shard(entry.key());
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
            self.layout.entry(shard, &member(entry.key())),
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
        let member = member(entry.key());
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
    fn indexes(&self, shard: u16, entry: &Entry) -> Vec<String> {
        let mut indexes: Vec<String> =
            entry.tags().iter().filter_map(|tag| self.layout.index(shard, tag)).collect();
        indexes.push(self.layout.index_of_all(shard));
        indexes
    }

    /// Replaces metadata that proves nothing by a new epoch, unless someone else has, or the
    /// server says that it was right and the connection was not.
    async fn mint(&self, shard: u16, doubtful: &Conn) -> Result<Meta, Fault> {
        let epoch = fresh_epoch()?;
        let meta = self.layout.meta(shard);
        let shards = self.layout.shards();
        let args = [epoch.to_string(), shards.to_string()];
        let reply = self
            .eval(&self.scripts.mint, shard, (Gate::Heed, true), &[meta.to_owned()], &args)
            .await?;
        let [epoch, clock, floor, here, recorded, minted] = integers(&reply)?;
        if here != doubtful.incarnation().0 {
            doubtful.kill();
            self.topology.distrust(shard);
        }
        if minted == 1 {
            tracing::warn!(shard, prefix = self.layout.prefix(), "a new epoch: the shard is cold");
        }
        if recorded != u64::from(shards) {
            return Err(mismatch(recorded, shards));
        }
        Ok(Meta { epoch, clock, floor })
    }

    fn ticket(&self, key: &Key, state: Meta) -> Ticket {
        Ticket::new(*key, state.stamp(), self.clock.monotonic(), None)
    }

    async fn call(
        &self,
        shard: u16,
        meta: usize,
        build: &(dyn Fn(&mut Commands) + Send + Sync),
    ) -> Result<Answer, Fault> {
        self.topology.call(&Call { shard, gate: Gate::Heed, meta, repeatable: true, build }).await
    }

    /// Runs a script by its digest, or by its text where the server does not know it yet.
    pub(crate) async fn eval(
        &self,
        script: &Script,
        shard: u16,
        (gate, repeatable): (Gate, bool),
        keys: &[String],
        args: &[String],
    ) -> Result<Value, Fault> {
        for (command, code) in [("EVALSHA", script.sha.as_str()), ("EVAL", script.text)] {
            let mut answer = self
                .topology
                .call(&Call {
                    shard,
                    gate,
                    meta: 0,
                    repeatable,
                    build: &|commands| {
                        commands.command(command).arg(code).arg(keys.len()).arg(keys).arg(args);
                    },
                })
                .await?;
            match one(&mut answer)? {
                Value::ServerError(error) if error.code() == "NOSCRIPT" => {}
                Value::ServerError(error) => return Err(Fault::server(&error)),
                value => return Ok(value),
            }
        }
        Err(Fault::Protocol("EVAL"))
    }

    async fn invalidate(self: Arc<Self>, selected: &Selected) -> Result<Invalidated, StoreError> {
        let chunks: Vec<Selected> = match selected {
            Selected::All => vec![Selected::All],
            Selected::Tags(tags) => tags
                .chunks(TAGS_PER_SCRIPT)
                .map(|chunk| Selected::Tags(chunk.iter().cloned().collect()))
                .collect(),
        };
        // URI tags have no index: what carries them is left to its overwriting or expiry.
        let indexed = chunks.iter().all(Selected::is_indexed);
        let mut asides = Vec::new();
        let mut failed: Vec<(u16, Fault)> = Vec::new();
        let mut complete = indexed;
        for chunk in &chunks {
            let shards = (0..self.layout.shards()).map(|shard| self.mark(shard, chunk));
            for (shard, outcome) in (0..).zip(join_all(shards).await) {
                match outcome {
                    Ok(marked) => {
                        asides.extend(marked.asides);
                        complete &= marked.complete;
                    }
                    Err(fault) => failed.push((shard, fault)),
                }
            }
        }
        let reclaimed = self.reclaim(asides).await;
        if failed.is_empty() {
            return Ok(Invalidated::new(reclaimed.removed, complete && reclaimed.complete));
        }
        Err(not_done(failed, self.layout.shards()))
    }

    /// Puts the marks of one shard in force. Tries again what may pass; falls back to dropping
    /// the shard's metadata, which makes every entry of it a miss.
    async fn mark(&self, shard: u16, selected: &Selected) -> Result<Marked, Fault> {
        let mut pause = Duration::from_millis(10);
        let mut tries = 1;
        loop {
            match self.within(self.mark_once(shard, selected, true)).await {
                Err(fault) if fault.is_code("OOM") => return self.drop_meta(shard).await,
                // A slot on the move cannot run a script over several keys.
                Err(fault) if fault.is_code("TRYAGAIN") || fault.is_code("ASK") => {
                    if let Ok(marked) = self.within(self.mark_once(shard, selected, false)).await {
                        return Ok(marked);
                    }
                    if tries >= INVALIDATION_TRIES {
                        return self.drop_meta(shard).await;
                    }
                }
                Err(fault) if fault.is_passing() && tries < INVALIDATION_TRIES => {}
                Err(fault) => return Err(fault),
                Ok(marked) => {
                    // A try whose reply was lost may have set indexes aside that nobody knows.
                    return Ok(Marked { complete: marked.complete && tries == 1, ..marked });
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 3;
            tries += 1;
        }
    }

    async fn mark_once(
        &self,
        shard: u16,
        selected: &Selected,
        with_indexes: bool,
    ) -> Result<Marked, Fault> {
        let nonce = fresh_epoch()?;
        let mut keys = vec![self.layout.meta(shard).to_owned()];
        let mut names = Vec::new();
        if with_indexes {
            for (n, index) in selected.indexes(&self.layout, shard).into_iter().enumerate() {
                let aside = self.layout.aside(shard, nonce, n);
                names.push(aside.clone());
                keys.extend([index, aside]);
            }
        }
        let everything = matches!(selected, Selected::All);
        let mut args = vec![
            fresh_epoch()?.to_string(),
            self.layout.shards().to_string(),
            self.settings.max_marks.to_string(),
            if everything { "1" } else { "0" }.to_owned(),
        ];
        args.extend(selected.tags().iter().map(|tag| tag.as_str().to_owned()));
        let script = &self.scripts.invalidate;
        let reply = self.eval(script, shard, (Gate::Insist, false), &keys, &args).await?;
        let Value::Array(parts) = &reply else { return Err(Fault::Protocol("invalidate")) };
        let [epoch, clock, floor, _here, minted, Value::Array(moved), Value::Array(before)] =
            parts.as_slice()
        else {
            return Err(Fault::Protocol("invalidate"));
        };
        let (epoch, clock, floor) = (integer(epoch)?, integer(clock)?, integer(floor)?);
        if integer(minted)? == 1 {
            tracing::warn!(shard, prefix = self.layout.prefix(), "a new epoch: the shard is cold");
        }
        let before: Arc<[u64]> = before.iter().map(integer).collect::<Result<_, _>>()?;
        let mut asides = Vec::new();
        for (name, moved) in names.into_iter().zip(moved) {
            if integer(moved)? == 1 {
                asides.push(Aside {
                    shard,
                    name,
                    epoch,
                    clock,
                    floor,
                    selected: selected.clone(),
                    before: Arc::clone(&before),
                });
            }
        }
        Ok(Marked { asides, complete: with_indexes })
    }

    /// The last resort of an invalidation: without metadata nothing in the shard is valid, and no
    /// memory is needed to drop it.
    async fn drop_meta(&self, shard: u16) -> Result<Marked, Fault> {
        let meta = self.layout.meta(shard);
        let call = async {
            let mut answer = self
                .topology
                .call(&Call {
                    shard,
                    gate: Gate::Insist,
                    meta: 0,
                    repeatable: true,
                    build: &|commands| {
                        commands.command("UNLINK").arg(meta);
                    },
                })
                .await?;
            match one(&mut answer)? {
                Value::Int(_) => Ok(Marked { asides: Vec::new(), complete: false }),
                Value::ServerError(error) => Err(Fault::server(&error)),
                _ => Err(Fault::Protocol("UNLINK")),
            }
        };
        tracing::warn!(shard, "an invalidation could not be marked; the whole shard is dropped");
        self.within(call).await
    }

    /// Every so many puts, lets the indexes of one forget keys that are gone.
    fn sweep_now_and_then(self: &Arc<Self>, entry: &Entry) {
        if !self.puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(PUTS_PER_SWEEP) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.sweeping).try_acquire_owned() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let shard = self.layout.shard(entry.key());
        let indexes = self.indexes(shard, entry);
        let inner = Arc::clone(self);
        runtime.spawn(async move {
            for index in indexes {
                if let Err(fault) = inner.within(inner.sweep(shard, &index)).await {
                    tracing::debug!(%fault, "an index was not swept");
                    break;
                }
            }
            drop(permit);
        });
    }

    async fn sweep(&self, shard: u16, index: &str) -> Result<(), Fault> {
        let size = self.settings.reclaim_step;
        let mut answer = self
            .call(shard, 0, &|commands| {
                commands.command("SRANDMEMBER").arg(index).arg(size);
            })
            .await?;
        let (Value::Array(members) | Value::Set(members)) = one(&mut answer)? else {
            return Ok(());
        };
        let mut keys = vec![index.to_owned()];
        let mut sample = Vec::with_capacity(members.len());
        for member in &members {
            let member = text(member)?;
            keys.push(self.layout.entry(shard, member));
            sample.push(member.to_owned());
        }
        if !sample.is_empty() {
            self.eval(&self.scripts.sweep, shard, (Gate::Heed, true), &keys, &sample).await?;
        }
        Ok(())
    }

    async fn ready(&self, limit: Duration) -> Result<(), Fault> {
        let checks = (0..self.layout.shards()).map(|shard| async move {
            let meta = self.layout.meta(shard);
            let build = |commands: &mut Commands| {
                commands.command("ZMSCORE").arg(meta).arg(SHARDS);
            };
            let call = Call { shard, gate: Gate::Insist, meta: 0, repeatable: true, build: &build };
            let answer = tokio::time::timeout(limit, self.topology.call(&call)).await;
            let mut answer = answer.unwrap_or(Err(Fault::TimedOut(limit)))?;
            match one(&mut answer)? {
                Value::Array(scores) => match scores.first().and_then(negative) {
                    Some(recorded) if recorded != u64::from(self.layout.shards()) => {
                        Err(Fault::Unsupported(format!(
                            "prefix {:?} is used with {recorded} shards elsewhere, with {} here",
                            self.layout.prefix(),
                            self.layout.shards()
                        )))
                    }
                    _ => Ok(()),
                },
                Value::ServerError(error) if error.code() != "WRONGTYPE" => {
                    Err(Fault::server(&error))
                }
                _ => Ok(()),
            }
        });
        join_all(checks).await.into_iter().collect()
    }

    async fn keys(&self, limit: usize) -> Result<Vec<String>, Fault> {
        let mut names = HashSet::new();
        let pattern = self.layout.pattern();
        for node in self.within(self.topology.nodes()).await? {
            let mut cursor = "0".to_owned();
            loop {
                let mut pipe = redis::Pipeline::with_capacity(1);
                pipe.cmd("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(512);
                let conn = self.within(node.conn(false)).await?;
                let mut values = self.within(conn.send(&pipe, 1)).await?;
                let Some(Value::Array(page)) = values.pop() else {
                    return Err(Fault::Protocol("SCAN"));
                };
                let [next, Value::Array(found)] = page.as_slice() else {
                    return Err(Fault::Protocol("SCAN"));
                };
                for name in found {
                    let name = text(name)?;
                    if names.len() < limit && self.layout.owns(name.as_bytes()) {
                        names.insert(name.to_owned());
                    }
                }
                text(next)?.clone_into(&mut cursor);
                if cursor == "0" || names.len() >= limit {
                    break;
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("layout", &self.layout).finish_non_exhaustive()
    }
}

/// One shard of an invalidation, in force.
struct Marked {
    /// Indexes that wait to be reclaimed.
    asides: Vec<Aside>,
    /// Whether they are all. What else was killed is left to its expiry.
    complete: bool,
}

/// What the marks of tags that were not hinted say of an entry.
enum Later {
    Pass,
    Fail,
    /// They were lost; this is the new epoch.
    Minted(Meta),
}

/// A put under way.
struct Draft {
    bytes: Bytes,
    /// In milliseconds; 0 if it is over.
    life: u64,
    keys: Vec<String>,
}

/// The longest life that is written, about 100 years: Redis refuses times near 2⁶³.
const LONGEST_LIFE: u64 = 100 * 366 * 24 * 60 * 60 * 1000;

/// How long the draft of a put that was cut off stays behind, in milliseconds.
const DRAFT_LIFE: u64 = 10_000;

// What `commit.lua` returns.
const COMMIT_SUPERSEDED: u64 = 0;
const COMMIT_STORED: u64 = 1;
const COMMIT_FOREIGN: u64 = 2;
const COMMIT_ABSENT: u64 = 3;

fn ask_meta<'t, I: Iterator<Item = &'t Tag>>(commands: &mut Commands, meta: &str, tags: I) {
    commands.command("ZMSCORE").arg(meta).arg(&RESERVED[..]);
    for tag in tags {
        commands.arg(tag.as_str());
    }
}

fn mismatch(recorded: u64, shards: u16) -> Fault {
    Fault::Unsupported(format!(
        "this prefix is used with {recorded} shards elsewhere, with {shards} here"
    ))
}

fn not_done(failed: Vec<(u16, Fault)>, shards: u16) -> StoreError {
    let mut numbers: Vec<u16> = failed.iter().map(|(shard, _)| *shard).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let listed: Vec<String> = numbers.iter().map(u16::to_string).collect();
    let what = format!("invalidating: not done in shards {} of {shards}", listed.join(", "));
    match failed.into_iter().next() {
        Some((_, fault)) => fault.into_error(what),
        None => StoreError::new(StoreErrorKind::Other, what),
    }
}

fn one(answer: &mut Answer) -> Result<Value, Fault> {
    answer.values.pop().ok_or(Fault::Protocol("number of replies"))
}

fn two(answer: &mut Answer) -> Result<(Value, Value), Fault> {
    let second = one(answer)?;
    Ok((one(answer)?, second))
}

pub(crate) fn integer(value: &Value) -> Result<u64, Fault> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| Fault::Protocol("a number")),
        _ => Err(Fault::Protocol("a number")),
    }
}

fn integers<const N: usize>(value: &Value) -> Result<[u64; N], Fault> {
    let Value::Array(parts) = value else { return Err(Fault::Protocol("a script's reply")) };
    let numbers: Vec<u64> = parts.iter().map(integer).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| Fault::Protocol("a script's reply"))
}

impl Selected {
    fn is_indexed(&self) -> bool {
        self.tags().iter().all(is_indexed)
    }
}
