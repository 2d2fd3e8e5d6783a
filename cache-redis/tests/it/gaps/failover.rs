//! Failovers that lose an acknowledged invalidation: to a replica that was cut off before it, and
//! back to the first primary, which has taken the older data meanwhile.

use std::time::Duration;

use super::deployment::{Deployment, Place};
use super::story::{STEPS, Story};
use crate::cluster::Cluster;
use crate::support::Server;
use crate::worker::Worker;

/// How a replica logs in at its primary, so that one of them can be shut out.
const LOGIN: &str = "repl";

/// A primary, its replica, and how one takes over from the other.
struct Pair(Deployment);

impl Pair {
    fn sentinel() -> Self {
        let pair = Self(Deployment::sentinel());
        pair.let_log_in();
        pair
    }

    fn cluster() -> Self {
        let pair = Self(Deployment::Cluster(Cluster::start(true)));
        pair.let_log_in();
        pair
    }

    fn both(&self) -> [&Server; 2] {
        match &self.0 {
            Deployment::Sentinel(group) => [&group.primary, &group.replica],
            Deployment::Cluster(cluster) => [&cluster.primaries[0], &cluster.replicas[0]],
            Deployment::Single(_) => panic!("a server alone has no replica"),
        }
    }

    fn let_log_in(&self) {
        for server in self.both() {
            let rules = ["ACL", "SETUSER", LOGIN, "on", ">secret", "+psync", "+replconf", "+ping"];
            let _: String = server.run(&rules);
            let _: String = server.run(&["CONFIG", "SET", "masteruser", LOGIN]);
            let _: String = server.run(&["CONFIG", "SET", "masterauth", "secret"]);
        }
    }

    /// From now on the replica misses what its primary does.
    fn shut_replica_out(&self) {
        let [primary, replica] = self.both();
        replica.catches_up_with(primary);
        let _: String = primary.run(&["ACL", "SETUSER", LOGIN, "off"]);
        let _: i64 = primary.run(&["CLIENT", "KILL", "TYPE", "replica"]);
        wait("the link to break", || is_cut(replica));
    }

    /// Makes one of the two the primary and waits until the other follows it.
    async fn promote(&self, one: &Server, other: &Server) {
        // Only now, and only this one: the other must not catch up with what it has missed.
        let _: String = one.run(&["ACL", "SETUSER", LOGIN, "on"]);
        match &self.0 {
            Deployment::Sentinel(group) => {
                let failover = ["SENTINEL", "FAILOVER", "mine"];
                wait("Sentinel to begin", || group.sentinels[0].try_run(&failover).is_ok());
            }
            Deployment::Single(_) | Deployment::Cluster(_) => {
                let _: String = one.run(&["CLUSTER", "FAILOVER", "TAKEOVER"]);
            }
        }
        for _ in 0..1_600 {
            if role(one) == "master" && follows(other) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no failover: {} and {}", role(one), role(other));
    }

    async fn worker(&self) -> Worker {
        self.0.worker("rc", Duration::from_millis(400)).await
    }

    /// Names that the pair serves.
    fn names(&self) -> Vec<String> {
        let place = Place::new(&self.0, "rc".to_owned());
        let first = place.shard(&place.names[0]);
        let names = (0..200).map(|n| format!("k{n}"));
        names.filter(|name| place.shard(name) == first).collect()
    }
}

fn role(server: &Server) -> String {
    match server.try_run(&["ROLE"]) {
        Ok(redis::Value::Array(parts)) => match parts.first() {
            Some(redis::Value::BulkString(name)) => String::from_utf8_lossy(name).into_owned(),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    }
}

fn follows(server: &Server) -> bool {
    let info: String = server.run(&["INFO", "replication"]);
    role(server) == "slave" && info.contains("master_link_status:up")
}

fn is_cut(replica: &Server) -> bool {
    let info: String = replica.run(&["INFO", "replication"]);
    info.contains("master_link_status:down")
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..600 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("waited in vain for {what}");
}

/// Primary → replica → primary, with the invalidation lost on the way. The handles are idle
/// meanwhile and keep their connections: same process, same socket, same run id.
async fn failback_on_the_same_connection(pair: Pair) {
    let (p1, p2) = (pair.worker().await, pair.worker().await);
    let names = pair.names();
    for name in &names {
        p1.fill(name, &["t"], "old").await;
        p2.hit(name, "old").await;
    }
    pair.shut_replica_out();
    p1.invalidate(&["t"]).await;
    for name in &names {
        p1.miss(name).await;
    }
    let [primary, replica] = pair.both();
    pair.promote(replica, primary).await;
    pair.promote(primary, replica).await;
    let held: i64 = primary.run(&["DBSIZE"]);
    assert!(held > 0, "the older data is back");
    for name in &names {
        for worker in [&p1, &p2] {
            assert!(!worker.answered(name, Duration::from_secs(20)).await, "{name} is stale");
        }
    }
    p2.invalidate(&["t"]).await;
    for name in &names {
        p1.fill(name, &["t"], "new").await;
        p2.hit(name, "new").await;
    }
}

/// The same, with the handles at work all the time: whatever is served in between must be new.
async fn failover_at_every_gap(start: fn() -> Pair) {
    for gap in 0..STEPS {
        let mut pair = start();
        let place = Place::new(&pair.0, "rc".to_owned());
        let what = format!("failover, gap {gap}");
        let mut story = Story::begin(what, &pair.0, &place, true).await;
        pair.shut_replica_out();
        for step in 0..STEPS {
            if step == gap {
                pair.0.first().kill();
            }
            story.step(step).await;
        }
        story.end().await;
    }
}

#[tokio::test]
async fn cluster_failback_on_the_same_connection() {
    failback_on_the_same_connection(Pair::cluster()).await;
}

/// Sentinel takes its time to demote the old primary, twice.
#[tokio::test]
async fn sentinel_failback_on_the_same_connection() {
    failback_on_the_same_connection(Pair::sentinel()).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn soak_cluster_failover_at_every_gap() {
    failover_at_every_gap(Pair::cluster).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn soak_sentinel_failover_at_every_gap() {
    failover_at_every_gap(Pair::sentinel).await;
}
