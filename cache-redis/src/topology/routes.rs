//! What is known of who serves what, and looking it up again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use super::Topology;
use crate::connection::{Node, now_millis};
use crate::error::Fault;
use crate::url::{Address, Place};

/// How long a failed look-up of the topology is remembered, so that a storm of requests does not
/// become a storm of look-ups.
const LOOKUP_PAUSE: u64 = 100;

/// The largest number of nodes that are remembered.
const MAX_NODES: usize = 1024;

impl Topology {
    /// The distinct nodes of all shards, looked up if need be.
    pub(crate) async fn nodes(self: &Arc<Self>) -> Result<Vec<Arc<Node>>, Fault> {
        for shard in 0..self.shards() {
            self.route(shard).await?;
        }
        Ok(self.served())
    }

    pub(super) fn served(&self) -> Vec<Arc<Node>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut nodes: Vec<Arc<Node>> = Vec::new();
        for node in routes.iter().flatten() {
            if !nodes.iter().any(|known| Arc::ptr_eq(known, node)) {
                nodes.push(Arc::clone(node));
            }
        }
        nodes
    }

    pub(super) async fn route(self: &Arc<Self>, shard: u16) -> Result<Arc<Node>, Fault> {
        if let Some(node) = self.known_route(shard) {
            return Ok(node);
        }
        Box::pin(self.look_up(self.generation.load(Ordering::Acquire))).await?;
        self.known_route(shard).ok_or(Fault::NoRoute(shard))
    }

    pub(super) fn known_route(&self, shard: u16) -> Option<Arc<Node>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(usize::from(shard)).and_then(Option::as_ref).map(Arc::clone)
    }

    pub(super) fn set_route(&self, shard: u16, address: &Address) {
        let node = self.node(address);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let slot = self.slots.get(usize::from(shard));
        for (route, other) in routes.iter_mut().zip(self.slots.iter()) {
            if Some(other) == slot {
                *route = Some(Arc::clone(&node));
            }
        }
    }

    pub(super) fn node(&self, address: &Address) -> Arc<Node> {
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
    pub(super) async fn look_up(self: &Arc<Self>, seen: u64) -> Result<(), Fault> {
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

    pub(super) fn route_all(&self, address: &Address) {
        let node = self.node(address);
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.fill(Some(node));
    }

    pub(super) fn shards(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }
}
