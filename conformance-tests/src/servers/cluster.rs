//! A Redis Cluster.

use std::time::Duration;

use super::{Server, ServerError, Tls, free_port, wait_for};

/// Slots of any cluster.
const SLOTS: u16 = 16_384;

const START_LIMIT: Duration = Duration::from_secs(60);

/// Three primaries, each with a replica or without.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "its parts, for tests to break")]
pub struct Cluster {
    /// The primaries, as they were at the start, each with a third of the slots.
    pub primaries: Vec<Server>,
    /// Their replicas, in the same order, or none.
    pub replicas: Vec<Server>,
}

impl Cluster {
    /// Starts all and waits until they form one cluster.
    ///
    /// A primary that is silent for `node_timeout` is replaced if it has a replica. `args` are
    /// settings of all nodes, as for [`Server::start`].
    ///
    /// # Errors
    ///
    /// One of them cannot be started, or they do not form a cluster within a minute a step.
    pub fn start(
        args: &[&str],
        node_timeout: Duration,
        with_replicas: bool,
    ) -> Result<Self, ServerError> {
        Self::start_with(args, node_timeout, with_replicas, None)
    }

    /// The same with TLS among the nodes and for stores.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_tls(
        args: &[&str],
        node_timeout: Duration,
        with_replicas: bool,
        tls: &Tls,
    ) -> Result<Self, ServerError> {
        Self::start_with(args, node_timeout, with_replicas, Some(tls))
    }

    fn start_with(
        args: &[&str],
        node_timeout: Duration,
        with_replicas: bool,
        tls: Option<&Tls>,
    ) -> Result<Self, ServerError> {
        let timeout = node_timeout.as_millis().to_string();
        let node = || {
            let bus = free_port()?.to_string();
            let own = [
                &["--cluster-enabled", "yes", "--cluster-node-timeout", &timeout][..],
                &["--cluster-port", &bus, "--cluster-require-full-coverage", "no"],
                args,
            ];
            let mut server = Server::prepare(&own.concat())?;
            if let Some(tls) = tls {
                server = server.with_tls(tls)?;
            }
            server.spawn().map(|()| server)
        };
        let primaries: Vec<Server> = (0..3).map(|_| node()).collect::<Result<_, _>>()?;
        let replicas: Vec<Server> =
            (0..if with_replicas { 3 } else { 0 }).map(|_| node()).collect::<Result<_, _>>()?;
        let cluster = Self { primaries, replicas };
        cluster.share_slots()?;
        cluster.meet()?;
        cluster.attach()?;
        wait_for("the cluster", START_LIMIT, || cluster.is_whole())?;
        Ok(cluster)
    }

    fn share_slots(&self) -> Result<(), ServerError> {
        let share = SLOTS / 3;
        for (n, server) in (0..).zip(&self.primaries) {
            let first = n * share;
            let last = if n == 2 { SLOTS - 1 } else { first + share - 1 };
            let range = [first.to_string(), last.to_string()];
            server.run::<()>(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]])?;
            server.run::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()])?;
        }
        Ok(())
    }

    fn meet(&self) -> Result<(), ServerError> {
        let mut all = self.all();
        let Some(first) = all.next() else { return Ok(()) };
        for server in all {
            let bus: Vec<String> = server.run(&["CONFIG", "GET", "cluster-port"])?;
            let bus = bus.into_iter().nth(1).unwrap_or_default();
            let port = server.service_port().to_string();
            first.run::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
        }
        let nodes = self.all().count();
        let knows_all = |server: &Server| {
            let known = server.run::<String>(&["CLUSTER", "NODES"]).unwrap_or_default();
            known.lines().filter(|line| !line.contains("handshake")).count() == nodes
        };
        wait_for("the nodes to meet", START_LIMIT, || self.all().all(knows_all))
    }

    fn attach(&self) -> Result<(), ServerError> {
        for (primary, replica) in self.primaries.iter().zip(&self.replicas) {
            let id: String = primary.run(&["CLUSTER", "MYID"])?;
            wait_for("a replica to know its primary", START_LIMIT, || {
                replica.try_run(&["CLUSTER", "REPLICATE", &id]).is_ok()
            })?;
        }
        Ok(())
    }

    /// Whether all nodes see all slots served by three primaries, and every replica is in step.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        Self::are_whole(&self.all().collect::<Vec<_>>(), self.replicas.len())
    }

    /// The same of any nodes, whatever their roles are now.
    #[must_use]
    pub fn are_whole(nodes: &[&Server], replicas: usize) -> bool {
        let sees_all = |server: &&Server| {
            let info = server.run::<String>(&["CLUSTER", "INFO"]).unwrap_or_default();
            info.contains("cluster_state:ok")
                && info.contains("cluster_slots_ok:16384")
                && info.contains("cluster_size:3")
        };
        nodes.iter().all(sees_all) && {
            let links =
                nodes.iter().filter_map(|node| node.info("replication", "master_link_status"));
            let links: Vec<String> = links.collect();
            links.len() == replicas && links.iter().all(|link| link == "up")
        }
    }

    /// Whether all of these nodes reach each other and hold one map: whose each slot is, and by which
    /// configuration epoch.
    ///
    /// A slot may be moved by hand (`CLUSTER SETSLOT`) only then. A node that claims a slot takes the
    /// newest epoch it has *heard* of; if it has missed one, its claim is undone by the others later,
    /// and in the end nobody claims the slot any more.
    #[must_use]
    pub fn agree(nodes: &[&Server]) -> bool {
        let maps: Option<Vec<_>> = nodes.iter().map(|node| map_of(node)).collect();
        maps.is_some_and(|maps| {
            maps.windows(2).all(|pair| matches!(pair, [one, other] if one == other))
        })
    }

    /// All nodes.
    pub fn all(&self) -> impl Iterator<Item = &Server> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// What a store connects to: two of the nodes.
    #[must_use]
    pub fn url(&self) -> String {
        let seeds = self.primaries.iter().take(2);
        let seeds = seeds.map(|node| format!("127.0.0.1:{}", node.service_port()));
        let has_tls = self.primaries.iter().any(|node| node.tls_port().is_some());
        let scheme = if has_tls { "rediss-cluster" } else { "redis-cluster" };
        format!("{scheme}://{}", seeds.collect::<Vec<_>>().join(","))
    }
}

/// What a node knows of all: name, configuration epoch and slots; `None` if it does not reach one.
fn map_of(node: &Server) -> Option<Vec<String>> {
    let nodes: String = node.run(&["CLUSTER", "NODES"]).ok()?;
    let mut map = Vec::new();
    for line in nodes.lines() {
        // Name, address, flags, primary, ping, pong, epoch, link, slots; `[…` is of this node only.
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, _, _, _, _, _, epoch, "connected", slots @ ..] = &fields[..] else {
            return None;
        };
        let slots = slots.iter().filter(|slot| !slot.starts_with('['));
        let slots = slots.copied().collect::<Vec<_>>().join(" ");
        map.push(format!("{name} {epoch} {slots}"));
    }
    map.sort_unstable();
    Some(map)
}
