//! The servers of a run.

use std::time::Duration;

use conformance_tests::servers::{Cluster, Sentinels, Server, ServerError, Signal};

/// How servers are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topology {
    /// One server.
    Single,
    /// A primary, its replica and three Sentinels.
    Sentinel,
    /// Three primaries, each with a replica.
    Cluster,
}

impl Topology {
    pub(crate) const ALL: [Self; 3] = [Self::Single, Self::Sentinel, Self::Cluster];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topology| topology.as_str() == name)
    }
}

/// After what silence a primary is replaced.
pub(crate) const FAILOVER_AFTER: Duration = Duration::from_secs(1);

/// Servers at work.
#[derive(Debug)]
pub(crate) enum Deployment {
    Single([Server; 1]),
    Sentinel(Box<Sentinels>),
    /// All nodes alike: roles change.
    Cluster {
        nodes: Vec<Server>,
        url: String,
    },
}

impl Deployment {
    /// Starts the servers. Each of `users` may log in without a password, so that the connections
    /// of one process can be told from others'.
    pub(crate) fn start(topology: Topology, users: &[String]) -> Result<Self, ServerError> {
        let rules: Vec<String> =
            users.iter().map(|user| format!("{user} on nopass ~* &* +@all")).collect();
        let args: Vec<&str> = rules.iter().flat_map(|rule| user(rule)).collect();
        Ok(match topology {
            Topology::Single => Self::Single([Server::start(&args)?]),
            Topology::Sentinel => {
                Self::Sentinel(Box::new(Sentinels::start(&args, FAILOVER_AFTER)?))
            }
            Topology::Cluster => {
                let Cluster { mut primaries, replicas, .. } =
                    Cluster::start(&args, FAILOVER_AFTER, true)?;
                let seeds: Vec<String> =
                    primaries.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
                primaries.extend(replicas);
                let url = format!("redis-cluster://{}", seeds.join(","));
                Self::Cluster { nodes: primaries, url }
            }
        })
    }

    pub(crate) const fn topology(&self) -> Topology {
        match self {
            Self::Single(_) => Topology::Single,
            Self::Sentinel(_) => Topology::Sentinel,
            Self::Cluster { .. } => Topology::Cluster,
        }
    }

    /// Where a user's process connects to.
    pub(crate) fn url(&self, user: &str) -> String {
        let url = match self {
            Self::Single([server]) => server.url(),
            Self::Sentinel(group) => group.url(),
            Self::Cluster { url, .. } => url.clone(),
        };
        url.replacen("://", &format!("://{user}:any@"), 1)
    }

    /// The number of shards that a store has by default.
    pub(crate) const fn shards(&self) -> u32 {
        match self {
            Self::Single(_) | Self::Sentinel(_) => 1,
            Self::Cluster { .. } => 16,
        }
    }

    /// The servers that hold data.
    pub(crate) fn nodes(&self) -> &[Server] {
        match self {
            Self::Single(servers) => servers,
            Self::Sentinel(group) => &group.data,
            Self::Cluster { nodes, .. } => nodes,
        }
    }

    pub(crate) fn node(&self, place: usize) -> Result<&Server, ServerError> {
        self.nodes().get(place).ok_or_else(|| ServerError::new("there is no such server"))
    }

    pub(crate) fn node_mut(&mut self, place: usize) -> Result<&mut Server, ServerError> {
        let nodes = match self {
            Self::Single(servers) => &mut servers[..],
            Self::Sentinel(group) => &mut group.data[..],
            Self::Cluster { nodes, .. } => &mut nodes[..],
        };
        nodes.get_mut(place).ok_or_else(|| ServerError::new("there is no such server"))
    }

    /// Those that answer.
    pub(crate) fn up(&self) -> impl Iterator<Item = &Server> {
        self.nodes().iter().filter(|node| node.is_up())
    }

    /// The places of those that say they are primaries.
    pub(crate) fn primaries(&self) -> Vec<usize> {
        let nodes = (0..).zip(self.nodes());
        nodes.filter(|(_, node)| is_primary(node)).map(|(place, _)| place).collect()
    }

    /// The place of the replica that follows a primary in step.
    pub(crate) fn replica_of(&self, primary: usize) -> Result<usize, ServerError> {
        let port = self.node(primary)?.port().to_string();
        let follows = |node: &Server| {
            node.info("replication", "master_port").as_ref() == Some(&port)
                && node.info("replication", "master_link_status").as_deref() == Some("up")
        };
        let place = self.nodes().iter().position(|node| node.is_up() && follows(node));
        place.ok_or_else(|| ServerError::new("the primary has no replica"))
    }

    /// Runs a command at the primary whose key it names.
    pub(crate) fn run_at_owner(&self, command: &[&str]) -> Result<redis::Value, ServerError> {
        let mut last = ServerError::new("no primary answers");
        for node in self.up().filter(|node| is_primary(node)) {
            match node.try_run(command) {
                Ok(value) => return Ok(value),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether a place's server is a primary that answers.
    pub(crate) fn leads(&self, place: usize) -> bool {
        self.nodes().get(place).is_some_and(is_primary)
    }

    /// Starts and resumes what does not run.
    pub(crate) fn start_again(&mut self) -> Result<(), ServerError> {
        for place in 0..self.nodes().len() {
            let node = self.node_mut(place)?;
            if !node.is_up() && node.signal(Signal::Continue).is_err() {
                node.spawn()?;
            }
        }
        Ok(())
    }

    /// Whether all are in step.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Single([server]) => is_primary(server),
            Self::Sentinel(group) => group.is_whole(),
            Self::Cluster { nodes, .. } => {
                Cluster::are_whole(&nodes.iter().collect::<Vec<_>>(), nodes.len() - 3)
            }
        }
    }
}

fn user(rule: &str) -> impl Iterator<Item = &str> {
    std::iter::once("--user").chain(rule.split(' '))
}

fn is_primary(node: &Server) -> bool {
    node.is_up() && node.info("replication", "role").as_deref() == Some("master")
}
