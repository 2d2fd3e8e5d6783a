//! One primary, one replica, three Sentinels.

use std::time::Duration;

use cache_core::store::{Guarantee, Lookup, PutOutcome, Store};
use cache_redis::RedisStore;

use crate::support::Server;
use crate::worker::{Worker, entry, patient};

struct Group {
    primary: Server,
    replica: Server,
    sentinels: Vec<Server>,
}

impl Group {
    async fn start() -> Self {
        let primary = Server::start(&["--repl-timeout", "60"]);
        let port = primary.port.to_string();
        let replica = Server::start(&["--replicaof", "127.0.0.1", &port]);
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let mut sentinel = Server::prepare(&[]);
            sentinel.become_sentinel(&[
                format!("sentinel monitor mine 127.0.0.1 {port} 2"),
                "sentinel down-after-milliseconds mine 500".to_owned(),
                "sentinel failover-timeout mine 3000".to_owned(),
            ]);
            sentinel.spawn();
            sentinels.push(sentinel);
        }
        let group = Self { primary, replica, sentinels };
        for _ in 0..600 {
            if group.knows() {
                return group;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the Sentinels do not find each other");
    }

    fn knows(&self) -> bool {
        let link: String = self.replica.run(&["INFO", "replication"]);
        link.contains("master_link_status:up")
            && self.sentinels.iter().all(|sentinel| {
                let info: String = sentinel.run(&["INFO", "sentinel"]);
                info.contains("slaves=1,sentinels=3")
            })
    }

    fn url(&self) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
        format!("redis-sentinel://{}/mine", hosts.join(","))
    }

    async fn worker(&self) -> Worker {
        let builder = patient(&self.url()).with_breaker(3, Duration::from_millis(100));
        Worker::of(builder).await
    }
}

#[tokio::test]
async fn a_failover_that_lost_an_invalidation() {
    let mut group = Group::start().await;
    let (p1, p2) = (group.worker().await, group.worker().await);
    assert_eq!(p1.0.guarantee(), Guarantee::LinearizableExceptSplitBrain);
    p1.fill("a", &["t"], "old").await;
    p2.hit("a", "old").await;
    let straddling = p1.ticket("b").await;
    let _: i64 = group.primary.run(&["WAIT", "1", "1000"]);

    // The replica is cut off, the primary acknowledges an invalidation and dies.
    group.replica.signal("STOP");
    p2.invalidate(&["t"]).await;
    p1.miss("a").await;
    group.primary.kill();
    group.replica.signal("CONT");

    assert!(!p1.answered("a", Duration::from_secs(20)).await, "stale after a failover");
    assert!(!p2.answered("a", Duration::from_secs(20)).await, "stale after a failover");
    let outcome = p1.put(straddling, entry("b", &["t"], "old")).await;
    assert_eq!(outcome, PutOutcome::Superseded);
    p2.miss("b").await;
    p1.fill("a", &["t"], "new").await;
    p2.hit("a", "new").await;

    // The old primary returns as a replica; all goes on at the new one.
    group.primary.spawn();
    p1.invalidate(&["t"]).await;
    p2.miss("a").await;
}

#[tokio::test]
async fn sentinels_come_and_go() {
    let mut group = Group::start().await;
    group.sentinels[0].kill();
    let worker = group.worker().await;
    worker.fill("a", &["t"], "a").await;
    for sentinel in &mut group.sentinels {
        sentinel.kill();
    }
    // What is connected stays so.
    worker.hit("a", "a").await;
    worker.invalidate(&["t"]).await;
    let unknown = group.url().replace("/mine", "/yours");
    assert!(RedisStore::connect(&unknown).await.is_err());
}

#[tokio::test]
async fn an_unknown_master_is_named() {
    let group = Group::start().await;
    let error = RedisStore::connect(&group.url().replace("/mine", "/yours")).await.unwrap_err();
    assert!(format!("{error:?}").contains("Sentinel does not know"), "{error:?}");
}

/// A paused primary is replaced, and goes on answering for a moment when it is resumed.
#[tokio::test]
async fn a_paused_primary_is_not_believed() {
    let group = Group::start().await;
    let (p1, p2) = (group.worker().await, group.worker().await);
    p1.fill("a", &["t"], "old").await;
    p2.hit("a", "old").await;
    group.primary.signal("STOP");
    for _ in 0..400 {
        if p1.try_invalidate(&["t"]).await.is_ok() {
            break;
        }
        let _ = p1.lookup("a").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    p1.miss("a").await;
    group.primary.signal("CONT");
    if let Ok(Lookup::Found(..)) = p2.lookup("a").await {
        panic!("stale");
    }
    assert!(!p2.answered("a", Duration::from_secs(10)).await, "stale");
}

#[tokio::test]
async fn conformance() {
    let group = Group::start().await;
    crate::suite::passes(&group.url(), None).await;
}
