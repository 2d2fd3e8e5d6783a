//! The settings of a store.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};

use crate::connection::{Certificates, Dial};
use crate::error::{ConfigError, ConnectError};
use crate::layout::{Layout, MAX_SHARDS};
use crate::store::RedisStore;
use crate::topology::Topology;
use crate::url::{Credentials, Place, Target};

/// Whether a store that cannot be reached at the start is an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// [`connect`](RedisStoreBuilder::connect) fails.
    #[default]
    FailFast,
    /// It succeeds; requests are answered by their handlers until the server can be reached.
    Lenient,
}

/// Settings for a [`RedisStore`]. Mistakes are reported by [`connect`](Self::connect), naming the
/// field and its value.
///
/// All handles on one prefix must use the same number of shards; the store checks it at the start
/// and at each invalidation.
#[derive(Clone)]
#[must_use = "a builder does nothing until `connect`"]
pub struct RedisStoreBuilder {
    target: Target,
    prefix: String,
    shards: Option<NonZeroU16>,
    connections: usize,
    connect_limit: Duration,
    proof_interval: Duration,
    breaker: (u32, Duration),
    start: Start,
    sentinel_credentials: Credentials,
    certificates: Certificates,
    settings: Settings,
    max_marks: Option<usize>,
    clock: Arc<dyn Clock>,
}

/// What the store itself looks at.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) response_limit: Duration,
    pub(crate) max_entry: usize,
    pub(crate) max_marks: usize,
    pub(crate) reclaim_step: usize,
    pub(crate) reclaim_budget: (usize, Duration),
    pub(crate) reclaim_rest: u32,
}

impl RedisStoreBuilder {
    pub(crate) fn new(url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            target: Target::parse(url)?,
            prefix: "rc".to_owned(),
            shards: None,
            connections: 2,
            connect_limit: Duration::from_millis(500),
            proof_interval: Duration::from_secs(1),
            breaker: (5, Duration::from_millis(500)),
            start: Start::FailFast,
            sentinel_credentials: Credentials::default(),
            certificates: Certificates::default(),
            settings: Settings {
                response_limit: Duration::from_millis(200),
                max_entry: 64 << 20,
                max_marks: 0,
                reclaim_step: 64,
                reclaim_budget: (10_000, Duration::from_millis(20)),
                reclaim_rest: 3,
            },
            max_marks: None,
            clock: Arc::new(SystemClock),
        })
    }

    /// What all names begin with, default `rc`: 1 to 64 bytes without braces, blanks and control
    /// characters. Stores with different prefixes never touch each other.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Into how many shards the keys are divided, at most 1024: by default 1, or 16 on a cluster.
    /// A shard lives on one node; an invalidation visits every shard.
    pub const fn with_shards(mut self, shards: NonZeroU16) -> Self {
        self.shards = Some(shards);
        self
    }

    /// The most sockets per node, default 2, from 1 to 64. Each thread uses one of them, in turn;
    /// the next where a large body holds up the others. At most 1 024 calls wait for replies of one
    /// socket, further ones for their place, within their limits.
    pub const fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long opening and proving a connection may take, default 500 ms. It goes on beside the
    /// request, which waits for it only within its own limit.
    pub const fn with_connect_limit(mut self, limit: Duration) -> Self {
        self.connect_limit = limit;
        self
    }

    /// How long a lookup, ticket or put may take in all, default 200 ms; one try of one shard of
    /// an invalidation, too. Keep it below the engine's `store_timeout`, so that the circuit
    /// breaker sees what fails. A socket by which nothing comes for so long, and at least 500 ms, while
    /// calls wait is closed (without TLS).
    pub const fn with_response_limit(mut self, limit: Duration) -> Self {
        self.settings.response_limit = limit;
        self
    }

    /// How long a proof of the server's replication id counts, default 1 s. It closes this gap: a
    /// primary is demoted, loses acknowledged invalidations, and is promoted again, all on one
    /// living connection. Keep it at most half of `cluster-node-timeout` or
    /// `down-after-milliseconds`. Zero proves with every call.
    pub const fn with_proof_interval(mut self, interval: Duration) -> Self {
        self.proof_interval = interval;
        self
    }

    /// How many marks a shard keeps, by default 65 536 for one shard and 16 384 for each of
    /// several; about 130 bytes each. Beyond it the oldest go and entries older than those become
    /// misses, so choose at least the number of distinct tags that are invalidated within the
    /// longest life of an entry.
    pub const fn with_max_marks(mut self, marks: usize) -> Self {
        self.max_marks = Some(marks);
        self
    }

    /// The largest entry that is stored, default 64 MiB.
    pub const fn with_max_entry(mut self, bytes: usize) -> Self {
        self.settings.max_entry = bytes;
        self
    }

    /// How many members of an index one step of reclaiming looks at, default 64, from 1 to 1024:
    /// the Redis thread is held up that long (64 members: about 0.2 ms).
    pub const fn with_reclaim_step(mut self, members: usize) -> Self {
        self.settings.reclaim_step = members;
        self
    }

    /// How much an invalidation reclaims before it returns, default 10 000 entries or 20 ms: no step
    /// is begun that would end later. Nothing, if more entries are named than that, or reclaiming
    /// goes on behind already. Either as zero: it returns as soon as it is in force.
    pub const fn with_reclaim_budget(mut self, entries: usize, time: Duration) -> Self {
        self.settings.reclaim_budget = (entries, time);
        self
    }

    /// How long reclaiming behind rests after each step, default 3 times as long as the step took,
    /// at most 1000: hits come first. A step takes longer on a busy server, and so does the rest.
    pub const fn with_reclaim_rest(mut self, times: u32) -> Self {
        self.settings.reclaim_rest = times;
        self
    }

    /// After how many failures in a row calls fail at once, default 5, and how often the server is
    /// probed then, default 500 ms. Invalidations try the server in any case.
    pub const fn with_breaker(mut self, threshold: u32, probe_interval: Duration) -> Self {
        self.breaker = (threshold, probe_interval);
        self
    }

    /// Whether [`connect`](Self::connect) fails when the server cannot be reached.
    pub const fn with_start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// The login at the Sentinels, if they want one; the URL's is for the data nodes.
    pub fn with_sentinel_credentials(
        mut self,
        username: Option<String>,
        password: Option<String>,
    ) -> Self {
        self.sentinel_credentials = Credentials { username, password };
        self
    }

    /// The certificate authority to trust instead of the platform's, in PEM.
    pub fn with_root_certificate(mut self, pem: Vec<u8>) -> Self {
        self.certificates.root = Some(pem);
        self
    }

    /// The client's own certificate and key, in PEM.
    pub fn with_client_certificate(mut self, certificate: Vec<u8>, key: Vec<u8>) -> Self {
        self.certificates.client = Some((certificate, key));
        self
    }

    /// Where expiry and the age of tickets get the time from; the system's clock by default.
    /// Time limits, proofs and the circuit breaker always use the system's.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the store, within the connect limit and the response limit together.
    ///
    /// # Errors
    ///
    /// A setting is out of range; or, failing fast, the server cannot be used.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        self.check()?;
        let start = self.start;
        let shards = self.shards.map_or(
            if matches!(self.target.place, Place::Cluster { .. }) { 16 } else { 1 },
            NonZeroU16::get,
        );
        let layout = Layout::new(&self.prefix, shards);
        let mut settings = self.settings;
        settings.max_marks = self.max_marks.unwrap_or(if shards == 1 { 65_536 } else { 16_384 });
        let dial = Dial {
            tls: self.target.tls,
            certificates: self.certificates,
            db: self.target.db,
            credentials: self.target.credentials,
            connect_limit: self.connect_limit,
            response_limit: settings.response_limit,
            proof_interval: self.proof_interval,
            connections: self.connections,
            breaker: self.breaker,
        };
        let at = format!(" at {}", self.target.place);
        let topology = Topology::new(self.target.place, dial, self.sentinel_credentials, &layout);
        // No request waits yet, so the first connections may take what they need.
        let limit = self.connect_limit.saturating_add(settings.response_limit);
        let store = RedisStore::new(layout, topology, settings, self.clock);
        match (store.ready_within(limit, &at).await, start) {
            (Ok(()), _) => {}
            (Err(error), Start::Lenient) if error.is_transient() => {
                tracing::warn!(%error, "the Redis store starts without its server");
            }
            (Err(error), _) => return Err(error.into()),
        }
        Ok(store)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse =
            |field, value: String, problem| Err(ConfigError::new(field, Some(value), problem));
        if let Some(problem) = Layout::refuse_prefix(&self.prefix) {
            return refuse("prefix", self.prefix.clone(), problem);
        }
        if let Some(shards) = self.shards.filter(|shards| shards.get() > MAX_SHARDS) {
            return refuse("shards", shards.to_string(), "must be at most 1024");
        }
        if self.certificates.are_given() && !self.target.tls {
            let problem = "given, but the URL's scheme is one without TLS";
            return Err(ConfigError::new("certificates", None, problem));
        }
        if !(1..=64).contains(&self.connections) {
            return refuse("connections", self.connections.to_string(), "must be 1 to 64");
        }
        for (field, limit) in [
            ("connect_limit", self.connect_limit),
            ("response_limit", self.settings.response_limit),
            ("breaker.probe_interval", self.breaker.1),
        ] {
            if limit < Duration::from_millis(1) || limit > Duration::from_secs(600) {
                return refuse(field, format!("{limit:?}"), "must be 1 ms to 10 min");
            }
        }
        if self.proof_interval > Duration::from_secs(60) {
            let value = format!("{:?}", self.proof_interval);
            return refuse("proof_interval", value, "must be at most 60 s");
        }
        if self.breaker.0 == 0 {
            return refuse("breaker.threshold", "0".to_owned(), "must be at least 1");
        }
        if let Some(marks) = self.max_marks.filter(|marks| !(16..=10_000_000).contains(marks)) {
            return refuse("max_marks", marks.to_string(), "must be 16 to 10 000 000");
        }
        if !(1..=1024).contains(&self.settings.reclaim_step) {
            let value = self.settings.reclaim_step.to_string();
            return refuse("reclaim_step", value, "must be 1 to 1024");
        }
        if self.settings.reclaim_rest > 1000 {
            let value = self.settings.reclaim_rest.to_string();
            return refuse("reclaim_rest", value, "must be at most 1000");
        }
        let largest = 512 << 20;
        if self.settings.max_entry == 0 || self.settings.max_entry > largest {
            let value = self.settings.max_entry.to_string();
            return refuse("max_entry", value, "must be 1 byte to 512 MiB, Redis' own limit");
        }
        Ok(())
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("target", &self.target)
            .field("prefix", &self.prefix)
            .field("shards", &self.shards)
            .field("connections", &self.connections)
            .field("connect_limit", &self.connect_limit)
            .field("proof_interval", &self.proof_interval)
            .field("breaker", &self.breaker)
            .field("start", &self.start)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
