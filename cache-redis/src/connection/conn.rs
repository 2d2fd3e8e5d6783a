//! One socket, and its proof of which server it reaches.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, ProtocolVersion, Value};

use super::{Dial, now_millis};
use crate::breaker::millis;
use crate::error::Fault;
use crate::incarnation::{Incarnation, Replication, Server};
use crate::url::Address;

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
    pub(super) async fn open(dial: &Dial, address: &Address) -> Result<Self, Fault> {
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
    pub(super) fn doubt(&self) {
        self.proved.store(0, Ordering::Release);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
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
