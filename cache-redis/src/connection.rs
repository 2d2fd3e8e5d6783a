//! Physical connections, and the nodes they lead to.
//!
//! A [`Conn`] is one socket with the proof of which server it reaches (see
//! [`incarnation`](crate::incarnation)). A [`Node`] keeps a fixed number of them, replaces those
//! that failed, and carries the circuit breaker. Dialling is shared and detached: a request that
//! gives up does not stop it.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, Value,
};

use crate::breaker::{Breaker, millis};
use crate::error::Fault;
use crate::flight::Flight;
use crate::incarnation::{Incarnation, Replication, Server};
use crate::url::{Address, Credentials};

/// Requests that may wait to be written to one socket; further ones wait for a place, within
/// their limit.
const WRITE_QUEUE: usize = 1024;

/// A silence that is shorter than this, in milliseconds, is none.
const SHORTEST_SILENCE: u64 = 500;

/// How to open a connection. `Debug` shows no secret.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) tls: bool,
    pub(crate) certificates: Certificates,
    pub(crate) db: i64,
    pub(crate) credentials: Credentials,
    pub(crate) connect_limit: Duration,
    pub(crate) response_limit: Duration,
    pub(crate) proof_interval: Duration,
    pub(crate) connections: usize,
    pub(crate) breaker: (u32, Duration),
}

/// PEM text for TLS.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    pub(crate) const fn are_given(&self) -> bool {
        self.root.is_some() || self.client.is_some()
    }
}

impl Dial {
    /// Opens a socket, authenticates and selects the database, within the limit.
    pub(crate) async fn open(
        &self,
        address: &Address,
        protocol: ProtocolVersion,
    ) -> Result<MultiplexedConnection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_limit))
            // Every call has its own limit; see `Topology::call` and the operations of the store.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WRITE_QUEUE);
        let client = self.client(address, protocol)?;
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        tokio::time::timeout(self.connect_limit, opening)
            .await
            .map_err(|_| Fault::TimedOut(self.connect_limit))?
            .map_err(Fault::from)
    }

    fn client(&self, address: &Address, protocol: ProtocolVersion) -> Result<Client, Fault> {
        let addr = match address {
            Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
            Address::Tcp { host, port } if self.tls => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
            Address::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        };
        let mut login = RedisConnectionInfo::default()
            .set_db(self.db)
            .set_protocol(protocol)
            .set_skip_set_lib_name();
        if let Some(username) = &self.credentials.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.credentials.password {
            login = login.set_password(password);
        }
        let info = addr.into_connection_info()?.set_redis_settings(login);
        self.secure(info)
    }

    #[cfg(feature = "tls")]
    fn secure(&self, info: redis::ConnectionInfo) -> Result<Client, Fault> {
        if !self.tls {
            return Ok(Client::open(info)?);
        }
        // rustls panics without a provider; an application's own choice, made earlier, is kept.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = self.certificates.client.clone();
        let certificates = redis::TlsCertificates {
            client_tls: client.map(|(client_cert, client_key)| redis::ClientTlsConfig {
                client_cert,
                client_key,
            }),
            root_cert: self.certificates.root.clone(),
        };
        Ok(Client::build_with_tls(info, certificates)?)
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, info: redis::ConnectionInfo) -> Result<Client, Fault> {
        if self.tls || self.certificates.are_given() {
            return Err(Fault::Unsupported("TLS without the feature `tls`".to_owned()));
        }
        Ok(Client::open(info)?)
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("tls", &self.tls)
            .field("db", &self.db)
            .field("credentials", &self.credentials)
            .field("connect_limit", &self.connect_limit)
            .field("response_limit", &self.response_limit)
            .field("proof_interval", &self.proof_interval)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// One socket that has proved which server it reaches.
pub(crate) struct Conn {
    socket: MultiplexedConnection,
    incarnation: Incarnation,
    replication_id: u64,
    replicas: AtomicBool,
    interval: u64,
    /// When the latest proof was sent, in monotonic milliseconds plus one; 0: it no longer counts.
    proved: AtomicU64,
    /// When someone last undertook to renew the proof.
    claimed: AtomicU64,
    dead: AtomicBool,
}

impl Conn {
    /// Opens a connection and proves it.
    async fn open(dial: &Dial, address: &Address) -> Result<Self, Fault> {
        // Scores come as numbers, which cost half of what text does to read.
        let socket = dial.open(address, ProtocolVersion::RESP3).await?;
        let sent = now_millis();
        let mut pipe = Pipeline::with_capacity(3);
        pipe.cmd("INFO").arg("server");
        pipe.cmd("INFO").arg("replication");
        pipe.cmd("CLIENT").arg("SETNAME").arg("cache-redis");
        let asking = socket.clone();
        let replies = tokio::time::timeout(dial.connect_limit, exchange(asking, &pipe, 3))
            .await
            .map_err(|_| Fault::TimedOut(dial.connect_limit))??;
        let [server, replication, _name] = replies.as_slice() else {
            return Err(Fault::Protocol("INFO"));
        };
        let server = Server::read(text(server)?)?;
        server.check()?;
        let replication = Replication::read(text(replication)?)?;
        if !replication.primary {
            return Err(Fault::NotPrimary(address.to_string()));
        }
        Ok(Self {
            socket,
            incarnation: Incarnation::of(&server, &replication),
            replication_id: replication.id,
            replicas: AtomicBool::new(replication.replicas > 0),
            interval: millis(dial.proof_interval),
            proved: AtomicU64::new(sent + 1),
            claimed: AtomicU64::new(0),
            dead: AtomicBool::new(false),
        })
    }

    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn has_replicas(&self) -> bool {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Whether this pipeline has to carry a new proof. Past the interval every one has to; from
    /// half of it on, one volunteers, so that under load no burst of proofs arises.
    pub(crate) fn owes_proof(&self) -> bool {
        let proved = self.proved.load(Ordering::Acquire);
        let now = now_millis() + 1;
        let age = now.saturating_sub(proved);
        if proved == 0 || age >= self.interval {
            return true;
        }
        if age < self.interval / 2 {
            return false;
        }
        let claimed = self.claimed.load(Ordering::Relaxed);
        claimed < proved
            && self
                .claimed
                .compare_exchange(claimed, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Takes the reply to an `INFO replication` that was sent at `sent`.
    pub(crate) fn prove(&self, info: &Value, sent: u64) -> Result<(), Fault> {
        let replication = Replication::read(text(info)?)?;
        if !replication.primary || replication.id != self.replication_id {
            self.kill();
            return Err(Fault::Unproven);
        }
        self.replicas.store(replication.replicas > 0, Ordering::Relaxed);
        self.proved.fetch_max(sent + 1, Ordering::AcqRel);
        Ok(())
    }

    /// After a time-out the next pipeline proves anew.
    fn doubt(&self) {
        self.proved.store(0, Ordering::Release);
    }

    /// Never use it again; the next caller dials.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) async fn send(&self, pipe: &Pipeline, replies: usize) -> Result<Vec<Value>, Fault> {
        let outcome = exchange(self.socket.clone(), pipe, replies).await;
        if let Err(fault) = &outcome
            && (fault.is_disconnect() || matches!(fault, Fault::Protocol(_)))
        {
            self.kill();
        }
        outcome
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conn")
            .field("incarnation", &self.incarnation)
            .field("dead", &self.dead)
            .finish_non_exhaustive()
    }
}

/// Sends a pipeline; errors of single commands stay in their places.
pub(crate) async fn exchange(
    mut socket: MultiplexedConnection,
    pipe: &Pipeline,
    replies: usize,
) -> Result<Vec<Value>, Fault> {
    let values = socket.send_packed_commands(pipe, 0, replies).await?;
    if values.len() == replies { Ok(values) } else { Err(Fault::Protocol("number of replies")) }
}

pub(crate) fn text(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::BulkString(bytes) => {
            std::str::from_utf8(bytes).map_err(|_| Fault::Protocol("text that is not UTF-8"))
        }
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Ok(text),
        Value::ServerError(error) => Err(Fault::server(error)),
        _ => Err(Fault::Protocol("text")),
    }
}

/// The operating system's steady clock: proofs and breakers never follow a test's clock.
pub(crate) fn now_millis() -> u64 {
    millis(SystemClock.monotonic())
}

/// Whether a call heeds the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Fail at once while it is open.
    Heed,
    /// Try anyway: invalidations and readiness checks must know.
    Insist,
}

/// A server, by address.
pub(crate) struct Node {
    address: Address,
    dial: Arc<Dial>,
    breaker: Breaker,
    slots: Box<[Slot]>,
    turn: AtomicUsize,
    /// When the latest answered call was sent, in monotonic milliseconds plus one.
    heard: AtomicU64,
    /// When others were last asked whether this is a primary, likewise.
    asked: AtomicU64,
    /// They said that it is not, or not for long.
    suspect: AtomicBool,
}

type Dialled = Result<Arc<Conn>, Fault>;

#[derive(Default)]
struct Slot {
    up: RwLock<Option<Arc<Conn>>>,
    dialling: Flight<Dialled>,
}

impl Node {
    pub(crate) fn new(address: Address, dial: Arc<Dial>) -> Arc<Self> {
        let (threshold, probe_interval) = dial.breaker;
        Arc::new(Self {
            address,
            breaker: Breaker::new(threshold, probe_interval),
            slots: (0..dial.connections.max(1)).map(|_| Slot::default()).collect(),
            turn: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            dial,
        })
    }

    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// A proven connection: the next in turn, or a new one in its place. `fresh` prefers a new
    /// one, since where one connection has broken the others probably have, too.
    pub(crate) async fn conn(self: &Arc<Self>, fresh: bool) -> Result<Arc<Conn>, Fault> {
        let next = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let broken = || self.slots.iter().position(|slot| slot.live().is_none());
        let turn = if fresh { broken().unwrap_or(next) } else { next };
        let Some(slot) = self.slots.get(turn) else { return Err(Fault::Stopped) };
        if let Some(conn) = slot.live() {
            return Ok(conn);
        }
        let dialled = slot.dialling.join(|| {
            let node = Arc::clone(self);
            async move {
                let conn = Arc::new(Conn::open(&node.dial, &node.address).await?);
                if let Some(slot) = node.slots.get(turn) {
                    slot.set(Some(Arc::clone(&conn)));
                }
                Ok(conn)
            }
        });
        Box::pin(dialled).await?
    }

    /// Whether this node may have been replaced: it has been silent for long, or others said so.
    pub(crate) fn may_be_replaced(&self) -> bool {
        let heard = self.heard.load(Ordering::Acquire);
        self.suspect.load(Ordering::Acquire)
            || heard == 0
            || (now_millis() + 1).saturating_sub(heard) >= self.patience()
    }

    /// Whether it is time to ask others about it although it answers. Only one caller is told so.
    pub(crate) fn owes_confirmation(&self) -> bool {
        let (asked, now) = (self.asked.load(Ordering::Relaxed), now_millis() + 1);
        now.saturating_sub(asked) >= self.patience()
            && self.asked.compare_exchange(asked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Others said that it is not the primary: no reply counts until they say that it is.
    pub(crate) fn suspect(&self) {
        self.suspect.store(true, Ordering::Release);
    }

    /// Others said that it is the primary.
    pub(crate) fn confirmed(&self) {
        self.suspect.store(false, Ordering::Release);
    }

    fn patience(&self) -> u64 {
        millis(self.dial.proof_interval).max(SHORTEST_SILENCE)
    }

    /// Notes that what was sent at `sent` has been answered.
    pub(crate) fn heard(&self, sent: u64) {
        self.heard.fetch_max(sent + 1, Ordering::AcqRel);
    }

    /// Notes that a call got an answer.
    pub(crate) fn succeeded(&self) {
        if self.breaker.is_open() {
            tracing::info!(node = %self.address, "Redis answers again; the circuit breaker closes");
        }
        self.breaker.succeeded();
    }

    /// Notes that a call got none.
    pub(crate) fn failed(&self) {
        if self.breaker.failed(SystemClock.monotonic()) {
            tracing::warn!(node = %self.address, "Redis does not answer; the circuit breaker opens");
            self.hang_up();
        }
        self.doubt();
    }

    /// Makes every connection prove itself again with its next pipeline.
    pub(crate) fn doubt(&self) {
        for slot in &self.slots {
            if let Some(conn) = slot.live() {
                conn.doubt();
            }
        }
    }

    /// Drops all connections.
    pub(crate) fn hang_up(&self) {
        for slot in &self.slots {
            if let Some(conn) = slot.live() {
                conn.kill();
            }
            slot.set(None);
        }
    }

    /// Watches one call; if it is dropped after having waited for long, that counts as a failure.
    pub(crate) fn attempt(self: &Arc<Self>) -> Attempt {
        Attempt {
            node: Arc::clone(self),
            started: now_millis(),
            patience: millis(self.dial.response_limit) / 2,
            settled: false,
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}

impl Slot {
    fn live(&self) -> Option<Arc<Conn>> {
        let up = self.up.read().unwrap_or_else(PoisonError::into_inner);
        up.as_ref().filter(|conn| !conn.dead.load(Ordering::Acquire)).map(Arc::clone)
    }

    fn set(&self, conn: Option<Arc<Conn>>) {
        *self.up.write().unwrap_or_else(PoisonError::into_inner) = conn;
    }
}

/// See [`Node::attempt`].
#[derive(Debug)]
pub(crate) struct Attempt {
    node: Arc<Node>,
    started: u64,
    patience: u64,
    settled: bool,
}

impl Attempt {
    pub(crate) fn succeeded(mut self) {
        self.settled = true;
        self.node.succeeded();
    }

    pub(crate) fn failed(mut self) {
        self.settled = true;
        self.node.failed();
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.settled && now_millis().saturating_sub(self.started) >= self.patience {
            self.node.failed();
        }
    }
}
