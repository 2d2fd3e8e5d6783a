//! The [`Store`] over Redis.

mod calls;
mod inspect;
mod invalidate;
mod lookup;
mod mint;
mod plain;
mod put;
mod reclaim;
mod sweep;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use async_trait::async_trait;
use cache_core::clock::Clock;
use cache_core::entry::Entry;
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Refusal, Selection, Store, StoreError,
    StoreErrorKind, Ticket,
};
use cache_core::tag::Tag;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::plain::Questions;
use self::reclaim::{Behind, Line, Selected};
use crate::builder::{RedisStoreBuilder, Settings};
use crate::error::{ConnectError, Fault};
use crate::incarnation::fresh_epoch;
use crate::layout::Layout;
use crate::script::Scripts;
use crate::topology::Topology;

/// Entries kept in Redis ≥ 7.0: single node, Sentinel or Cluster. See the
/// [crate documentation](crate).
///
/// A handle: clones, and other stores on the same prefix in any process, are the same cache.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    questions: Questions,
    topology: Arc<Topology>,
    scripts: Scripts,
    settings: Settings,
    clock: Arc<dyn Clock>,
    /// Who reclaims before an invalidation returns.
    line: Line,
    /// What is reclaimed later.
    behind: Behind,
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
        let puts = fresh_epoch().unwrap_or(0) % sweep::PUTS_PER_SWEEP;
        Self {
            inner: Arc::new(Inner {
                questions: Questions::new(&layout),
                layout,
                topology,
                scripts: Scripts::new(),
                settings,
                clock,
                line: Line::default(),
                behind: Behind::default(),
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
        let found = self.inner.lookup(key, hints).await;
        found.map_err(|fault| fault.into_error(format!("looking up {key}")))
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
        if !entry.is_under(ticket.key()) {
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
        self.inner.behind.close();
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
    async fn within<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.within_left(self.settings.response_limit, work).await
    }

    /// Bounds the rest of a step by what is left of the response limit.
    async fn within_left<T>(
        &self,
        left: Duration,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let limit = self.settings.response_limit;
        tokio::time::timeout(left, work).await.unwrap_or(Err(Fault::TimedOut(limit)))
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("layout", &self.layout).finish_non_exhaustive()
    }
}
