//! A server: its connections and its circuit breaker.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use cache_core::clock::{Clock, SystemClock};

use super::{Conn, Dial, SHORTEST_SILENCE, now_millis};
use crate::breaker::{Breaker, millis};
use crate::error::Fault;
use crate::flight::Flight;
use crate::url::Address;

/// A server, by address.
pub(crate) struct Node {
    address: Address,
    dial: Arc<Dial>,
    breaker: Breaker,
    slots: Box<[Slot]>,
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

    /// A proven connection: this thread's own, or a new one in its place. Calls of one thread share
    /// one, so that they are written and answered together, unless a large reply holds it up.
    /// `fresh` prefers a new one, since where one connection has broken the others probably have,
    /// too.
    pub(crate) async fn conn(self: &Arc<Self>, fresh: bool) -> Result<Arc<Conn>, Fault> {
        let broken = || self.slots.iter().position(|slot| slot.live().is_none());
        let turn = match fresh.then(broken).flatten() {
            Some(broken) => broken,
            None => self.turn(),
        };
        let Some(slot) = self.slots.get(turn) else { return Err(Fault::Stopped) };
        if let Some(conn) = slot.live() {
            return Ok(conn);
        }
        let dial = || {
            let node = Arc::clone(self);
            async move {
                let conn = Arc::new(Conn::open(&node.dial, &node.address).await?);
                if let Some(slot) = node.slots.get(turn) {
                    slot.set(Some(Arc::clone(&conn)));
                }
                Ok(conn)
            }
        };
        match Box::pin(slot.dialling.join_known(dial)).await? {
            // Whoever began it came when the server hung; it may go on by now.
            (Err(Fault::TimedOut(_)), true) => match slot.live() {
                Some(conn) => Ok(conn),
                None => Box::pin(slot.dialling.join(dial)).await?,
            },
            (dialled, _) => dialled,
        }
    }

    /// A proven connection, if it can be had at once and needs no new proof `now`.
    pub(crate) fn live(&self, now: u64) -> Option<Arc<Conn>> {
        self.slots.get(self.turn())?.live().filter(|conn| conn.is_proved(now))
    }

    /// The place of this thread's connection, or of one that is not held up.
    fn turn(&self) -> usize {
        let own = own_number() % self.slots.len();
        let is_free = |turn: &usize| !self.slots.get(*turn).is_some_and(Slot::is_held_up);
        let others = (own + 1..self.slots.len()).chain(0..own);
        std::iter::once(own).chain(others).find(is_free).unwrap_or(own)
    }

    /// Whether this node may have been replaced: it has been silent for long, or others said so.
    pub(crate) fn may_be_replaced(&self, now: u64) -> bool {
        let heard = self.heard.load(Ordering::Acquire);
        self.suspect.load(Ordering::Acquire)
            || heard == 0
            || (now + 1).saturating_sub(heard) >= self.patience()
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
        millis(self.dial.proof_interval.max(SHORTEST_SILENCE))
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
    pub(crate) fn attempt(self: &Arc<Self>, now: u64) -> Attempt {
        Attempt {
            node: Arc::clone(self),
            started: now,
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

/// A number of this thread, one after the other.
fn own_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // Otherwise the thread ends.
    OWN.try_with(|own| *own).unwrap_or_default()
}

impl Slot {
    fn is_held_up(&self) -> bool {
        let up = self.up.read().unwrap_or_else(PoisonError::into_inner);
        up.as_ref().is_some_and(|conn| conn.is_held_up())
    }

    fn live(&self) -> Option<Arc<Conn>> {
        let up = self.up.read().unwrap_or_else(PoisonError::into_inner);
        up.as_ref().filter(|conn| !conn.is_dead()).map(Arc::clone)
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

    /// What was sent at `sent` has been answered.
    pub(crate) fn answered(self, sent: u64) {
        self.node.heard(sent);
        self.succeeded();
    }

    /// It says nothing of the node; another one will.
    pub(crate) fn forget(mut self) {
        self.settled = true;
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
