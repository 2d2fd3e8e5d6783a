//! Whether a primary still is one, in the eyes of the others.

use std::sync::Arc;

use super::{Topology, sentinel};
use crate::connection::Node;
use crate::error::Fault;
use crate::url::Place;

impl Topology {
    /// Whether the others still take this node for the shard's primary. A paused or cut-off primary
    /// may have been replaced without knowing it yet.
    ///
    /// In a cluster a majority of the primaries must say so; under Sentinel the newest
    /// configuration that any Sentinel knows, and none of them may be replacing it.
    pub(super) async fn confirm(&self, shard: u16, node: &Arc<Node>) -> Result<(), Fault> {
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
    pub(super) fn confirm_beside(self: &Arc<Self>, shard: u16, node: &Arc<Node>) {
        if !matches!(self.place, Place::Sentinel { .. }) || !node.owes_confirmation() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (topology, node) = (Arc::clone(self), Arc::clone(node));
            // What it finds out is noted at the node. Sentinels that do not answer say nothing.
            runtime.spawn(async move { topology.confirm(shard, &node).await.is_ok() });
        }
    }
}
