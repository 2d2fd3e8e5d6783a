//! Which node serves a shard: one server, the primary that Sentinel names, or a cluster's.
//!
//! Every call of the store is one pipeline for one shard, hence for one node. This file finds the
//! node, follows `MOVED` and `ASK`, looks the topology up again when a node fails or is demoted,
//! and accepts a reply only from a proven primary. It tries at most [`MAX_TRIES`] times; the
//! caller's time limit bounds the whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use futures_util::future::{join, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{Cmd, Pipeline, ProtocolVersion, ToRedisArgs, Value};

use crate::breaker::Admission;
use crate::connection::{Attempt, Conn, Dial, Gate, Node, exchange, now_millis, text};
use crate::error::Fault;
use crate::flight::Flight;
use crate::incarnation::Incarnation;
use crate::layout::{Layout, SLOTS};
use crate::sentinel::{self, View};
use crate::url::{Address, Credentials, Place};

/// How often one call may be sent: redirections, one reconnect, one change of topology.
const MAX_TRIES: usize = 5;

/// How long a failed look-up of the topology is remembered, so that a storm of requests does not
/// become a storm of look-ups.
const LOOKUP_PAUSE: u64 = 100;

/// The largest number of nodes that are remembered.
const MAX_NODES: usize = 1024;

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

/// One pipeline for one shard.
pub(crate) struct Call<'c> {
    pub(crate) shard: u16,
    pub(crate) gate: Gate,
    /// Which command touches the metadata: its `ASK` is followed.
    pub(crate) meta: usize,
    /// Whether it may be sent again after its reply was lost with the connection. Not if the reply
    /// says what it has moved or counted.
    pub(crate) repeatable: bool,
    pub(crate) build: &'c (dyn Fn(&mut Commands) + Send + Sync),
}

/// The answer of a proven primary.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) values: Vec<Value>,
    pub(crate) conn: Arc<Conn>,
}

/// A pipeline under construction. During a slot's migration each command needs `ASKING`.
pub(crate) struct Commands {
    pipe: Pipeline,
    asking: bool,
    count: usize,
    incarnation: Incarnation,
}

impl Commands {
    fn new(asking: bool, incarnation: Incarnation) -> Self {
        Self { pipe: Pipeline::with_capacity(4), asking, count: 0, incarnation }
    }

    /// What the connection that this goes to has proved.
    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn command(&mut self, name: &str) -> &mut Self {
        if self.asking {
            self.pipe.cmd("ASKING");
        }
        // Room for a lookup with a few tags, so that it does not grow word by word.
        let mut command = Cmd::with_capacity(16, 256);
        command.arg(name);
        self.pipe.add_command(command);
        self.count += 1;
        self
    }

    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.pipe.arg(arg);
        self
    }
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

    fn served(&self) -> Vec<Arc<Node>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for node in routes.iter().flatten() {
            if !nodes.iter().any(|known| Arc::ptr_eq(known, node)) {
                nodes.push(Arc::clone(node));
            }
        }
        nodes
    }

    /// The distinct nodes of all shards, looked up if need be.
    pub(crate) async fn nodes(self: &Arc<Self>) -> Result<Vec<Arc<Node>>, Fault> {
        for shard in 0..self.shards() {
            self.route(shard).await?;
        }
        Ok(self.served())
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

    fn shards(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
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

    async fn attempt(
        &self,
        node: &Arc<Node>,
        asking: bool,
        fresh: bool,
        call: &Call<'_>,
    ) -> Result<Turn, Fault> {
        let attempt = node.attempt();
        match self.exchange(node, asking, fresh, call).await {
            Ok(turn) => {
                attempt.succeeded();
                Ok(turn)
            }
            Err(fault) => {
                settle(attempt, &fault);
                Err(fault)
            }
        }
    }

    async fn exchange(
        &self,
        node: &Arc<Node>,
        asking: bool,
        fresh: bool,
        call: &Call<'_>,
    ) -> Result<Turn, Fault> {
        let conn = node.conn(fresh).await?;
        if conn.has_replicas() {
            self.replicas_seen.store(true, Ordering::Relaxed);
        }
        let mut commands = Commands::new(asking, conn.incarnation());
        (call.build)(&mut commands);
        let count = commands.count;
        let mut pipe = commands.pipe;
        // After the marks: what is still so now was so when they were read.
        pipe.cmd("WAIT").arg(0).arg(0);
        let proving = conn.owes_proof();
        if proving {
            pipe.cmd("INFO").arg("replication");
        }
        let sent = now_millis();
        let per_command = if asking { 2 } else { 1 };
        let total = count * per_command + 1 + usize::from(proving);
        let mut values = if self.may_fail_over() && node.may_be_replaced() {
            let (values, confirmed) =
                Box::pin(join(conn.send(&pipe, total), self.confirm(call.shard, node))).await;
            confirmed.inspect_err(|_| conn.kill())?;
            node.confirmed();
            values?
        } else {
            conn.send(&pipe, total).await?
        };
        let info = if proving { values.pop() } else { None };
        let waited = values.pop().ok_or(Fault::Protocol("WAIT"))?;
        if asking {
            let mut place = 0;
            values.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        if let Some(turn) = redirection(&values, call.meta, node) {
            return Ok(turn);
        }
        if !is_primary(&waited)? {
            conn.kill();
            return Err(Fault::NotPrimary(node.address().to_string()));
        }
        if let Some(info) = info {
            conn.prove(&info, sent)?;
        }
        node.heard(sent);
        match values.get(call.meta) {
            Some(Value::ServerError(error)) if is_whole_server(error.code()) => {
                Err(Fault::server(error))
            }
            Some(_) => Ok(Turn::Done(Answer { values, conn })),
            None => Err(Fault::Protocol("number of replies")),
        }
    }

    /// Whether the others still take this node for the shard's primary. A paused or cut-off primary
    /// may have been replaced without knowing it yet.
    ///
    /// In a cluster a majority of the primaries must say so; under Sentinel the newest
    /// configuration that any Sentinel knows, and none of them may be replacing it.
    async fn confirm(&self, shard: u16, node: &Arc<Node>) -> Result<(), Fault> {
        let other = match &self.place {
            Place::Single(_) => return Ok(()),
            Place::Sentinel { sentinels, master } => {
                let views = self.sentinel_views(sentinels, master).await?;
                if sentinel::is_being_replaced(&views, node.address()) {
                    node.suspect();
                    return Err(Fault::Unproven);
                }
                sentinel::newest(&views).ok_or(Fault::Unproven)?.clone()
            }
            Place::Cluster { .. } => self.cluster_vote(shard).await?,
        };
        if other == *node.address() {
            return Ok(());
        }
        node.suspect();
        tracing::warn!(%other, node = %node.address(), "a Redis primary was replaced unawares");
        match &self.place {
            Place::Cluster { .. } => self.set_route(shard, &other),
            Place::Single(_) | Place::Sentinel { .. } => self.route_all(&other),
        }
        Err(Fault::NotPrimary(node.address().to_string()))
    }

    /// Sentinels replace a primary that goes on answering others, and demote it seconds later; a
    /// cluster's primaries agree by themselves. So Sentinels are asked now and then beside the
    /// calls, which do not wait for it.
    fn confirm_beside(self: &Arc<Self>, shard: u16, node: &Arc<Node>) {
        if !matches!(self.place, Place::Sentinel { .. }) || !node.owes_confirmation() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (topology, node) = (Arc::clone(self), Arc::clone(node));
            // What it finds out is noted at the node. Sentinels that do not answer say nothing.
            runtime.spawn(async move { topology.confirm(shard, &node).await.is_ok() });
        }
    }

    /// The primary of a shard, as soon as a majority of the cluster's primaries agrees on it.
    async fn cluster_vote(&self, shard: u16) -> Result<Address, Fault> {
        let Some(slot) = self.slots.get(usize::from(shard)).copied() else {
            return Err(Fault::NoRoute(shard));
        };
        let voters = self.primaries.read().unwrap_or_else(PoisonError::into_inner).clone();
        let quorum = voters.len() / 2 + 1;
        let mut asked: FuturesUnordered<_> = voters
            .iter()
            .map(|voter| async move {
                let mut pipe = Pipeline::with_capacity(1);
                pipe.cmd("CLUSTER").arg("SLOTS");
                let conn = voter.conn(false).await?;
                let mut values = conn.send(&pipe, 1).await?;
                let map = values.pop().ok_or(Fault::Protocol("CLUSTER SLOTS"))?;
                let ranges = slot_ranges(&map, voter.address())?;
                let range = ranges.into_iter().find(|r| (r.first..=r.last).contains(&slot));
                range.map(|range| range.primary).ok_or(Fault::NoRoute(shard))
            })
            .collect();
        let mut votes: Vec<Address> = Vec::new();
        while let Some(answer) = asked.next().await {
            let Ok(address) = answer else { continue };
            if votes.iter().filter(|vote| **vote == address).count() + 1 >= quorum {
                return Ok(address);
            }
            votes.push(address);
        }
        Err(Fault::Unproven)
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

    async fn route(self: &Arc<Self>, shard: u16) -> Result<Arc<Node>, Fault> {
        if let Some(node) = self.known_route(shard) {
            return Ok(node);
        }
        Box::pin(self.look_up(self.generation.load(Ordering::Acquire))).await?;
        self.known_route(shard).ok_or(Fault::NoRoute(shard))
    }

    fn known_route(&self, shard: u16) -> Option<Arc<Node>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(usize::from(shard)).and_then(Option::as_ref).map(Arc::clone)
    }

    fn set_route(&self, shard: u16, address: &Address) {
        let node = self.node(address);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let slot = self.slots.get(usize::from(shard));
        for (route, other) in routes.iter_mut().zip(self.slots.iter()) {
            if Some(other) == slot {
                *route = Some(Arc::clone(&node));
            }
        }
    }

    fn node(&self, address: &Address) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(node) = nodes.get(address) {
            return Arc::clone(node);
        }
        if nodes.len() >= MAX_NODES {
            nodes.clear();
        }
        let node = Node::new(address.clone(), Arc::clone(&self.dial));
        nodes.insert(address.clone(), Arc::clone(&node));
        node
    }

    /// Looks the topology up again, unless that was done since `seen`.
    async fn look_up(self: &Arc<Self>, seen: u64) -> Result<(), Fault> {
        if matches!(self.place, Place::Single(_)) || self.generation.load(Ordering::Acquire) != seen
        {
            return Ok(());
        }
        let failed_at = self.failed_at.load(Ordering::Acquire);
        if failed_at != 0 && now_millis() + 1 < failed_at + LOOKUP_PAUSE {
            return Err(Fault::Open("the topology cannot be looked up".to_owned()));
        }
        self.looking
            .join(|| {
                let topology = Arc::clone(self);
                async move {
                    let outcome = match &topology.place {
                        Place::Single(_) => Ok(()),
                        Place::Sentinel { sentinels, master } => {
                            topology.ask_sentinels(sentinels, master).await
                        }
                        Place::Cluster { seeds } => topology.ask_cluster(seeds).await,
                    };
                    match &outcome {
                        Ok(()) => {
                            topology.failed_at.store(0, Ordering::Release);
                            topology.generation.fetch_add(1, Ordering::AcqRel);
                        }
                        Err(fault) => {
                            tracing::warn!(%fault, "the Redis topology cannot be looked up");
                            topology.failed_at.store(now_millis() + 1, Ordering::Release);
                        }
                    }
                    outcome
                }
            })
            .await?
    }

    /// Asks all Sentinels at once and takes the newest answer.
    async fn ask_sentinels(&self, sentinels: &[Address], master: &str) -> Result<(), Fault> {
        let views = self.sentinel_views(sentinels, master).await?;
        self.route_all(sentinel::newest(&views).ok_or(Fault::NoRoute(0))?);
        Ok(())
    }

    /// At least one, or why none.
    async fn sentinel_views(
        &self,
        sentinels: &[Address],
        master: &str,
    ) -> Result<Vec<View>, Fault> {
        let dial = Dial {
            db: 0,
            credentials: self.sentinel_credentials.clone(),
            // Half of it, so that one Sentinel that hangs does not use up a call's limit.
            connect_limit: self.dial.connect_limit.min(self.dial.response_limit / 2),
            ..(*self.dial).clone()
        };
        let (dial, pipe) = (&dial, &sentinel::questions(master));
        let asking = sentinels.iter().map(|each| ask_all(dial, each, pipe, sentinel::ANSWERS));
        let mut last = Fault::NoRoute(0);
        let mut views = Vec::with_capacity(sentinels.len());
        for answers in join_all(asking).await {
            match answers.and_then(|answers| View::read(&answers)) {
                Ok(view) => views.push(view),
                Err(fault) => last = fault,
            }
        }
        if views.is_empty() { Err(last) } else { Ok(views) }
    }

    fn route_all(&self, address: &Address) {
        let node = self.node(address);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.fill(Some(node));
    }

    /// Asks known nodes, then the seeds, one after the other, for the map of slots.
    async fn ask_cluster(&self, seeds: &[Address]) -> Result<(), Fault> {
        let mut candidates: Vec<Address> =
            self.served().iter().map(|node| node.address().clone()).collect();
        candidates.extend(
            seeds.iter().filter(|seed| !candidates.contains(seed)).cloned().collect::<Vec<_>>(),
        );
        let mut pipe = Pipeline::with_capacity(1);
        pipe.cmd("CLUSTER").arg("SLOTS");
        let mut last = Fault::NoRoute(0);
        for candidate in candidates {
            let answer = ask(&self.dial, &candidate, &pipe).await;
            match answer.and_then(|value| slot_ranges(&value, &candidate)) {
                Ok(ranges) if !ranges.is_empty() => {
                    self.take_ranges(&ranges);
                    return Ok(());
                }
                Ok(_) => last = Fault::Unsupported("a server without cluster mode".to_owned()),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn take_ranges(&self, ranges: &[Range]) {
        if ranges.iter().any(|range| range.replicas) {
            self.replicas_seen.store(true, Ordering::Relaxed);
        }
        let mut primaries: Vec<Arc<Node>> = Vec::new();
        for range in ranges {
            if !primaries.iter().any(|known| *known.address() == range.primary) {
                primaries.push(self.node(&range.primary));
            }
        }
        *self.primaries.write().unwrap_or_else(PoisonError::into_inner) = primaries;
        let found: Vec<Option<Arc<Node>>> = self
            .slots
            .iter()
            .map(|slot| {
                ranges
                    .iter()
                    .find(|range| (range.first..=range.last).contains(slot))
                    .map(|range| self.node(&range.primary))
            })
            .collect();
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        for (route, found) in routes.iter_mut().zip(found) {
            // A slot that nobody serves at the moment keeps its node, whose answer says so.
            if found.is_some() {
                *route = found;
            }
        }
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology").field("place", &self.place).finish_non_exhaustive()
    }
}

#[derive(Debug)]
enum Turn {
    Done(Answer),
    Moved(Address),
    Ask(Address),
}

/// One question on a connection of its own.
async fn ask(dial: &Dial, address: &Address, pipe: &Pipeline) -> Result<Value, Fault> {
    match ask_all(dial, address, pipe, 1).await?.pop() {
        Some(Value::ServerError(error)) => Err(Fault::server(&error)),
        Some(value) => Ok(value),
        None => Err(Fault::Protocol("number of replies")),
    }
}

async fn ask_all(
    dial: &Dial,
    address: &Address,
    pipe: &Pipeline,
    replies: usize,
) -> Result<Vec<Value>, Fault> {
    let asking = async {
        // Sentinel answers with maps in RESP3.
        let socket = dial.open(address, ProtocolVersion::RESP2).await?;
        exchange(socket, pipe, replies).await
    };
    let limit = dial.connect_limit.max(Duration::from_millis(1));
    tokio::time::timeout(limit, asking).await.map_err(|_| Fault::TimedOut(limit))?
}

fn settle(attempt: Attempt, fault: &Fault) {
    let counts = match fault {
        Fault::TimedOut(_)
        | Fault::Transport(_)
        | Fault::NotPrimary(_)
        | Fault::Protocol(_)
        | Fault::Stopped
        | Fault::Unsupported(_) => true,
        // The server answers, but cannot serve.
        Fault::Server { code, .. } => is_whole_server(code),
        _ => false,
    };
    if counts {
        attempt.failed();
    } else {
        attempt.succeeded();
    }
}

/// Codes that speak of the server as a whole, not of one key.
fn is_whole_server(code: &str) -> bool {
    matches!(
        code,
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "READONLY" | "BUSY" | "NOAUTH" | "NOREPLICAS"
    )
}

/// Reads the reply to `WAIT 0 0`: it waits for nothing, and is refused by what has a primary
/// (`waitCommand` in `replication.c` asks for `masterhost`, as `ROLE` does). One number, where
/// `ROLE` says five values or more.
fn is_primary(waited: &Value) -> Result<bool, Fault> {
    match waited {
        Value::Int(_) => Ok(true),
        Value::ServerError(error) => match (error.code(), error.details()) {
            ("ERR", Some(why)) if why.starts_with("WAIT cannot be used with replica") => Ok(false),
            ("READONLY" | "MASTERDOWN", _) => Ok(false),
            _ => Err(Fault::server(error)),
        },
        _ => Err(Fault::Protocol("WAIT")),
    }
}

/// A redirection among the replies. `MOVED` holds for the whole slot; `ASK` only counts where it
/// is about the metadata.
fn redirection(values: &[Value], meta: usize, asked: &Node) -> Option<Turn> {
    values.iter().enumerate().find_map(|(place, value)| {
        let Value::ServerError(error) = value else { return None };
        let target = || redirect_target(error.details()?, asked.address());
        match error.code() {
            "MOVED" => target().map(Turn::Moved),
            "ASK" if place == meta => target().map(Turn::Ask),
            _ => None,
        }
    })
}

/// Reads `3999 127.0.0.1:6381`; an empty host is the one that was asked.
fn redirect_target(detail: &str, asked: &Address) -> Option<Address> {
    let (_slot, target) = detail.split_once(' ')?;
    let (host, port) = target.trim().rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    at(host.trim_start_matches('[').trim_end_matches(']'), port, asked)
}

fn at(host: &str, port: u16, asked: &Address) -> Option<Address> {
    let host = match (host, asked) {
        ("" | "?", Address::Tcp { host, .. }) => host.as_str(),
        ("" | "?", Address::Unix(_)) => return None,
        (host, _) => host,
    };
    Some(Address::Tcp { host: host.to_owned(), port })
}

#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    primary: Address,
    replicas: bool,
}

/// Reads `CLUSTER SLOTS`.
fn slot_ranges(value: &Value, asked: &Address) -> Result<Vec<Range>, Fault> {
    const WRONG: Fault = Fault::Protocol("CLUSTER SLOTS");
    let Value::Array(ranges) = value else { return Err(WRONG) };
    let mut read = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Value::Array(range) = range else { return Err(WRONG) };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), replicas @ ..] =
            range.as_slice()
        else {
            return Err(WRONG);
        };
        let [host, Value::Int(port), ..] = primary.as_slice() else { return Err(WRONG) };
        let host = if matches!(host, Value::Nil) { "" } else { text(host)? };
        let port = u16::try_from(*port).map_err(|_| WRONG)?;
        let slot = |slot: &i64| u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS).ok_or(WRONG);
        read.push(Range {
            first: slot(first)?,
            last: slot(last)?,
            primary: at(host, port, asked).ok_or(WRONG)?,
            replicas: !replicas.is_empty(),
        });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn redirections_are_read() {
        let asked = tcp("asked", 1);
        assert_eq!(redirect_target("3999 h:6381", &asked), Some(tcp("h", 6381)));
        assert_eq!(redirect_target("3999 :6381", &asked), Some(tcp("asked", 6381)));
        assert_eq!(redirect_target("3999 ::1:6381", &asked), Some(tcp("::1", 6381)));
        for garbage in ["", "3999", "3999 h", "3999 h:0", "3999 h:x"] {
            assert_eq!(redirect_target(garbage, &asked), None, "{garbage}");
        }
    }

    #[test]
    fn only_a_count_proves_a_primary() {
        let error = |line: &str| {
            let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
            is_primary(&reply.unwrap())
        };
        assert!(is_primary(&Value::Int(0)).unwrap() && is_primary(&Value::Int(2)).unwrap());
        let refused = "ERR WAIT cannot be used with replica instances. Please also note that";
        assert!(!error(refused).unwrap());
        assert!(!error("MASTERDOWN Link with MASTER is down").unwrap());
        for doubt in ["ERR unknown command 'WAIT'", "NOPERM no", "LOADING data"] {
            assert!(error(doubt).is_err(), "{doubt}");
        }
        for garbage in [Value::Nil, Value::Okay, bulk("0")] {
            assert!(is_primary(&garbage).is_err(), "{garbage:?}");
        }
    }

    #[test]
    fn a_map_of_slots_is_read() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), bulk("id")]);
        let range = |first, last, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
        };
        let asked = tcp("asked", 1);
        let map = Value::Array(vec![
            range(0, 10, vec![node(bulk("a"), 1), node(bulk("b"), 2)]),
            range(11, 16383, vec![node(Value::Nil, 3)]),
        ]);
        assert_eq!(
            slot_ranges(&map, &asked).unwrap(),
            [
                Range { first: 0, last: 10, primary: tcp("a", 1), replicas: true },
                Range { first: 11, last: 16383, primary: tcp("asked", 3), replicas: false },
            ]
        );
        for garbage in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(0, 16384, vec![node(bulk("a"), 1)])]),
            Value::Array(vec![range(0, 1, vec![node(bulk("a"), -1)])]),
            Value::Array(vec![range(0, 1, vec![])]),
        ] {
            assert!(slot_ranges(&garbage, &asked).is_err(), "{garbage:?}");
        }
    }
}
