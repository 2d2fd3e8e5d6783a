//! The three topologies under one face, for faults that are the same in all of them.

use std::num::NonZeroU16;
use std::time::Duration;

use cache_core::key::Digest;
use cache_redis::Start;

use crate::cluster::Cluster;
use crate::sentinel::Group;
use crate::support::Server;
use crate::worker::{Worker, key, patient};

/// A running deployment. Dropping it stops its servers.
pub(crate) enum Deployment {
    Single(Server),
    Sentinel(Group),
    Cluster(Cluster),
}

impl Deployment {
    pub(crate) fn single() -> Self {
        Self::Single(Server::start(&[]))
    }

    pub(crate) fn sentinel() -> Self {
        Self::Sentinel(Group::start())
    }

    pub(crate) fn cluster() -> Self {
        Self::Cluster(Cluster::start(false))
    }

    /// The servers that hold data and are written to.
    pub(crate) fn primaries(&self) -> Vec<&Server> {
        match self {
            Self::Single(server) => vec![server],
            Self::Sentinel(group) => vec![&group.primary],
            Self::Cluster(cluster) => cluster.primaries.iter().collect(),
        }
    }

    /// The one that serves the keys of [`Place::names`].
    pub(crate) fn first(&mut self) -> &mut Server {
        match self {
            Self::Single(server) => server,
            Self::Sentinel(group) => &mut group.primary,
            Self::Cluster(cluster) => &mut cluster.primaries[0],
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Single(server) => server.url(),
            Self::Sentinel(group) => group.url.clone(),
            Self::Cluster(cluster) => cluster.url.clone(),
        }
    }

    pub(crate) const fn shards(&self) -> u16 {
        match self {
            Self::Single(_) | Self::Sentinel(_) => 1,
            Self::Cluster(_) => 16,
        }
    }

    pub(crate) async fn worker(&self, prefix: &str, patience: Duration) -> Worker {
        let builder = patient(&self.url())
            .with_prefix(prefix)
            .with_response_limit(patience)
            .with_shards(NonZeroU16::new(self.shards()).unwrap())
            .with_breaker(3, Duration::from_millis(50))
            // A short patience may be too short for a start on a busy machine.
            .with_start(Start::Lenient);
        Worker::of(builder).await
    }

    /// How many keys have been evicted.
    pub(crate) fn evicted(&self) -> u64 {
        let of = |server: &Server| {
            let info: String = server.run(&["INFO", "stats"]);
            let count = info.lines().find_map(|line| line.strip_prefix("evicted_keys:")).unwrap();
            count.parse::<u64>().unwrap()
        };
        self.primaries().into_iter().map(of).sum()
    }

    /// Runs a command at every primary; what one of them refuses is no matter.
    pub(crate) fn everywhere(&self, command: &[&str]) {
        for server in self.primaries() {
            let _ = server.try_run(command);
        }
    }

    /// Cuts the stores' connections to every primary, and only theirs: Sentinels whose connections
    /// are cut again and again replace the primary.
    pub(crate) fn hang_up(&self) {
        for server in self.primaries() {
            let clients: String = server.run(&["CLIENT", "LIST", "TYPE", "normal"]);
            for client in clients.lines().filter(|line| line.contains("name=cache-redis ")) {
                let id = client.split(' ').find_map(|field| field.strip_prefix("id="));
                let _ = server.try_run(&["CLIENT", "KILL", "ID", id.unwrap_or_default()]);
            }
        }
    }
}

/// Where one run keeps its keys: a prefix of its own, and names that the first primary serves.
pub(crate) struct Place {
    pub(crate) prefix: String,
    pub(crate) shards: u16,
    /// The first two share a shard.
    pub(crate) names: [String; 3],
}

impl Place {
    pub(crate) fn new(deployment: &Deployment, prefix: String) -> Self {
        let shards = deployment.shards();
        let mut served = (0..shards).filter(|shard| match deployment {
            Deployment::Single(_) | Deployment::Sentinel(_) => true,
            Deployment::Cluster(cluster) => {
                let name = format!("{{{prefix}:{shard}}}");
                let slot: i64 = cluster.primaries[0].run(&["CLUSTER", "KEYSLOT", &name]);
                slot < 16_384 / 3
            }
        });
        let one = served.next().expect("16 shards, a third of the slots");
        let other = served.next().unwrap_or(one);
        let of = |shard: u16, skip: usize| {
            let names = (0..).map(|n| format!("k{n}"));
            names.filter(|name| shard_of(name, shards) == shard).nth(skip).unwrap()
        };
        let names = [of(one, 0), of(one, 1), of(other, 2)];
        Self { prefix, shards, names }
    }

    pub(crate) fn shard(&self, name: &str) -> u16 {
        shard_of(name, self.shards)
    }

    pub(crate) fn meta(&self, shard: u16) -> String {
        format!("{{{}:{shard}}}:m", self.prefix)
    }

    pub(crate) fn entry(&self, name: &str) -> String {
        let digest = Digest::of(name.as_bytes()).to_hex();
        format!("{{{}:{}}}:e:{digest}", self.prefix, self.shard(name))
    }

    pub(crate) fn index(&self, shard: u16, index: &str) -> String {
        format!("{{{}:{shard}}}:x:{index}", self.prefix)
    }
}

fn shard_of(name: &str, shards: u16) -> u16 {
    u16::try_from(key(name).primary().fold() % u64::from(shards)).unwrap()
}
