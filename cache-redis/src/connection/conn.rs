//! One socket, and its proof of which server it reaches.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, Value};

use super::socket::Socket;
use super::wire::{Replies, Wanted};
use super::{Dial, now_millis};
use crate::breaker::millis;
use crate::error::Fault;
use crate::incarnation::{Incarnation, Replication, Server};
use crate::url::Address;

/// One socket that has proved which server it reaches.
pub(crate) struct Conn {
    socket: Socket,
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
    pub(super) async fn open(dial: &Dial, address: &Address) -> Result<Self, Fault> {
        let socket = Socket::open(dial, address).await?;
        let sent = now_millis();
        let mut pipe = Pipeline::with_capacity(3);
        pipe.cmd("INFO").arg("server");
        pipe.cmd("INFO").arg("replication");
        pipe.cmd("CLIENT").arg("SETNAME").arg("cache-redis");
        let replies = tokio::time::timeout(dial.connect_limit, socket.exchange(&pipe, 3))
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
        let now = now_millis();
        match self.proof_due(now) {
            Due::No => false,
            Due::Now => true,
            Due::Soon { claimed } => self
                .claimed
                .compare_exchange(claimed, now + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok(),
        }
    }

    /// Whether a pipeline that is sent `now` can do without a new proof, and nobody is wanted who
    /// volunteers.
    pub(crate) fn is_proved(&self, now: u64) -> bool {
        matches!(self.proof_due(now), Due::No)
    }

    fn proof_due(&self, now: u64) -> Due {
        let proved = self.proved.load(Ordering::Acquire);
        let age = (now + 1).saturating_sub(proved);
        if proved == 0 || age >= self.interval {
            return Due::Now;
        }
        if age < self.interval / 2 {
            return Due::No;
        }
        let claimed = self.claimed.load(Ordering::Relaxed);
        if claimed < proved { Due::Soon { claimed } } else { Due::No }
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
    pub(super) fn doubt(&self) {
        self.proved.store(0, Ordering::Release);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire) || self.socket.has_ended()
    }

    /// Never use it again; the next caller dials.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) async fn send(&self, pipe: &Pipeline, replies: usize) -> Result<Vec<Value>, Fault> {
        let outcome = self.socket.exchange(pipe, replies).await;
        outcome.inspect_err(|fault| self.failed(fault))
    }

    /// Sends a lookup without waiting for a place; see [`Wire::try_look_up`](super::wire::Wire).
    pub(crate) fn try_look_up<'w, N, W>(
        &self,
        wanted: Wanted<'_, N, W>,
        deadline: u64,
    ) -> Option<Replies>
    where
        N: FnOnce(&mut Vec<u8>),
        W: Iterator<Item = &'w str>,
    {
        self.socket.try_look_up(wanted, deadline)
    }

    /// Whether a large reply holds up those behind it.
    pub(super) fn is_held_up(&self) -> bool {
        self.socket.is_held_up()
    }

    /// What a failed call says of the connection.
    pub(crate) fn failed(&self, fault: &Fault) {
        if fault.is_disconnect() || matches!(fault, Fault::Protocol(_)) {
            self.kill();
        }
    }
}

/// Whether a pipeline has to carry a new proof.
enum Due {
    No,
    Now,
    /// Whoever replaces the latest claim carries it.
    Soon {
        claimed: u64,
    },
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
