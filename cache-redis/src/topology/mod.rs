//! Which node serves a shard: one server, the primary that Sentinel names, or a cluster's.
//!
//! Every call of the store is one pipeline for one shard, hence for one node. [`Topology::call`]
//! finds the node, follows `MOVED` and `ASK`, looks the topology up again when a node fails or is
//! demoted, and accepts a reply only from a proven primary. It tries at most [`MAX_TRIES`] times;
//! the caller's time limit bounds the whole.
//!
//! A single server is where the URL says; what is more than that is in `sentinel` and `cluster`.

mod ask;
mod cluster;
mod confirm;
mod exchange;
mod pipeline;
mod quick;
mod routes;
mod sentinel;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use cache_core::clock::{Clock, SystemClock};

use self::exchange::Turn;
pub(crate) use self::pipeline::{Answer, Call, Commands};
pub(crate) use self::quick::Unread;
use crate::breaker::Admission;
use crate::connection::{Dial, Gate, Node};
use crate::error::Fault;
use crate::flight::Flight;
use crate::layout::Layout;
use crate::url::{Address, Credentials, Place};

/// How often one call may be sent: redirections, one reconnect, one change of topology.
const MAX_TRIES: usize = 5;

pub(crate) struct Topology {
    place: Place,
    dial: Arc<Dial>,
    sentinel_credentials: Credentials,
    slots: Box<[u16]>,
    routes: RwLock<Box<[Option<Arc<Node>>]>>,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    /// All primaries of a cluster, those without a shard of ours included.
    primaries: RwLock<Vec<Arc<Node>>>,
    looking: Flight<Result<(), Fault>>,
    /// Counts look-ups that ended, so that several callers with one complaint cause one.
    generation: AtomicU64,
    failed_at: AtomicU64,
    replicas_seen: AtomicBool,
    closed: AtomicBool,
}

impl Topology {
    pub(crate) fn new(
        place: Place,
        dial: Dial,
        sentinel_credentials: Credentials,
        layout: &Layout,
    ) -> Arc<Self> {
        let dial = Arc::new(dial);
        let shards = layout.shards();
        let mut nodes = HashMap::new();
        let only = match &place {
            Place::Single(address) => {
                let node = Node::new(address.clone(), Arc::clone(&dial));
                nodes.insert(address.clone(), Arc::clone(&node));
                Some(node)
            }
            Place::Sentinel { .. } | Place::Cluster { .. } => None,
        };
        Arc::new(Self {
            place,
            dial,
            sentinel_credentials,
            slots: (0..shards).map(|shard| layout.slot(shard)).collect(),
            routes: RwLock::new((0..shards).map(|_| only.clone()).collect()),
            nodes: Mutex::new(nodes),
            primaries: RwLock::new(Vec::new()),
            looking: Flight::default(),
            generation: AtomicU64::new(0),
            failed_at: AtomicU64::new(0),
            replicas_seen: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    /// Whether a failover can happen, as far as is known: then an isolated old primary may go on
    /// answering.
    pub(crate) fn may_fail_over(&self) -> bool {
        match self.place {
            Place::Sentinel { .. } => true,
            Place::Single(_) => self.replicas_seen.load(Ordering::Relaxed),
            Place::Cluster { .. } => {
                self.replicas_seen.load(Ordering::Relaxed)
                    || self.generation.load(Ordering::Relaxed) == 0
            }
        }
    }

    /// Whether shards are on several servers.
    pub(crate) const fn is_cluster(&self) -> bool {
        matches!(self.place, Place::Cluster { .. })
    }

    /// Sends a pipeline to the shard's node and returns its replies, as many as commands.
    pub(crate) async fn call(self: &Arc<Self>, call: &Call<'_>) -> Result<Answer, Fault> {
        let mut asked: Option<Arc<Node>> = None;
        let mut rerouted = false;
        let mut reconnected = false;
        let mut last = Fault::NoRoute(call.shard);
        for _ in 0..MAX_TRIES {
            if self.closed.load(Ordering::Acquire) {
                return Err(Fault::Closed);
            }
            let generation = self.generation.load(Ordering::Acquire);
            let asking = asked.is_some();
            let node = match asked.take() {
                Some(node) => node,
                None => self.route(call.shard).await?,
            };
            self.admit(&node, call)?;
            self.confirm_beside(call.shard, &node);
            match self.attempt(&node, asking, reconnected, call).await {
                Ok(Turn::Done(answer)) => return Ok(answer),
                Ok(Turn::Moved(address)) => {
                    self.set_route(call.shard, &address);
                    last = Fault::NoRoute(call.shard);
                }
                Ok(Turn::Ask(address)) => asked = Some(self.node(&address)),
                Err(fault) if fault.is_disconnect() && call.repeatable && !reconnected => {
                    reconnected = true;
                    last = fault;
                }
                Err(fault) if self.is_rerouting(&fault) && !rerouted => {
                    rerouted = true;
                    let looked_up = Box::pin(self.look_up(generation)).await;
                    if !call.repeatable {
                        return Err(fault);
                    }
                    looked_up?;
                    last = fault;
                }
                Err(fault) => return Err(fault),
            }
        }
        Err(last)
    }

    /// Whether a call that failed so may get through by another connection, or at another node.
    pub(crate) fn may_pass_elsewhere(&self, fault: &Fault) -> bool {
        fault.is_disconnect() || self.is_rerouting(fault)
    }

    fn is_rerouting(&self, fault: &Fault) -> bool {
        if matches!(self.place, Place::Single(_)) {
            return false;
        }
        match fault {
            Fault::NotPrimary(_) | Fault::Transport(_) | Fault::Unproven => true,
            Fault::Server { code, .. } => matches!(code.as_str(), "READONLY" | "MASTERDOWN"),
            _ => false,
        }
    }

    fn admit(self: &Arc<Self>, node: &Arc<Node>, call: &Call<'_>) -> Result<(), Fault> {
        let open = || Fault::Open(node.address().to_string());
        if call.gate == Gate::Insist {
            return Ok(());
        }
        match node.breaker().admit(SystemClock.monotonic()) {
            Admission::Closed => Ok(()),
            Admission::Open => Err(open()),
            Admission::Probe => {
                // The probe goes beside the request, which does not pay for it.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    let topology = Arc::clone(self);
                    let node = Arc::clone(node);
                    runtime.spawn(async move { topology.probe(&node).await });
                }
                Err(open())
            }
        }
    }

    /// Finds out whether a failed node is back or was replaced. Bounded by the connect limit.
    async fn probe(self: &Arc<Self>, node: &Arc<Node>) {
        let _ = self.look_up(self.generation.load(Ordering::Acquire)).await;
        if !self.closed.load(Ordering::Acquire) && node.conn(true).await.is_ok() {
            node.succeeded();
        }
    }

    /// A connection to the shard's node was found to prove something of the past: all of them have
    /// to prove anew.
    pub(crate) fn distrust(&self, shard: u16) {
        if let Some(node) = self.known_route(shard) {
            node.doubt();
        }
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        for node in nodes.values() {
            node.hang_up();
        }
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology").field("place", &self.place).finish_non_exhaustive()
    }
}
