//! One primary, one replica, three Sentinels.

use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::{Guarantee, Lookup, PutOutcome, Store};
use cache_redis::RedisStore;
use conformance_tests::servers::Sentinels;

use crate::support::{STEADY, Server};
use crate::worker::{Worker, entry, patient};

/// After this silence a primary is replaced.
const GIVEN_UP: Duration = Duration::from_millis(500);

pub(crate) struct Group {
    pub(crate) primary: Server,
    pub(crate) replica: Server,
    pub(crate) sentinels: Vec<Server>,
    pub(crate) url: String,
}

impl Group {
    /// Nobody is replaced before [`replace_soon`](Self::replace_soon).
    pub(crate) fn start() -> Self {
        let group = Sentinels::start(&[], STEADY).unwrap();
        let url = group.url();
        let [primary, replica] = group.data.map(Server::from);
        let sentinels = group.sentinels.map(Server::from).into();
        Self { primary, replica, sentinels, url }
    }

    /// Silence leads to a replacement: for the fault that is to come.
    fn replace_soon(&self) {
        self.replace_after(GIVEN_UP);
    }

    /// Nobody else is replaced, however busy the machine is: for what is to be seen after it.
    fn replace_no_more(&self) {
        self.replace_after(STEADY);
    }

    fn replace_after(&self, down_after: Duration) {
        let down_after = down_after.as_millis().to_string();
        for sentinel in &self.sentinels {
            let set = ["SENTINEL", "SET", "mine", "down-after-milliseconds", &down_after];
            let _: String = sentinel.run(&set);
        }
    }

    async fn worker(&self) -> Worker {
        // Less than the rest: a server that stands still is waited for several times.
        let builder = patient(&self.url)
            .with_response_limit(Duration::from_secs(1))
            .with_breaker(3, Duration::from_millis(100));
        Worker::of(builder).await
    }
}

#[tokio::test]
async fn a_failover_that_lost_an_invalidation() {
    let mut group = Group::start();
    let (p1, p2) = (group.worker().await, group.worker().await);
    assert_eq!(p1.0.guarantee(), Guarantee::LinearizableExceptSplitBrain);
    p1.fill("a", &["t"], "old").await;
    p2.hit("a", "old").await;
    let straddling = p1.ticket("b").await;
    group.replica.catches_up_with(&group.primary);

    // The replica is cut off, the primary acknowledges an invalidation and dies.
    group.replica.signal("STOP");
    p2.invalidate(&["t"]).await;
    p1.miss("a").await;
    group.replace_soon();
    group.primary.kill();
    group.replica.signal("CONT");

    assert!(!p1.answered("a", Duration::from_secs(20)).await, "stale after a failover");
    assert!(!p2.answered("a", Duration::from_secs(20)).await, "stale after a failover");
    group.replace_no_more();
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
    let mut group = Group::start();
    group.sentinels[0].kill();
    let worker = group.worker().await;
    worker.fill("a", &["t"], "a").await;
    for sentinel in &mut group.sentinels {
        sentinel.kill();
    }
    // What is connected stays so.
    worker.hit("a", "a").await;
    worker.invalidate(&["t"]).await;
    let unknown = group.url.replace("/mine", "/yours");
    assert!(RedisStore::connect(&unknown).await.is_err());
}

#[tokio::test]
async fn an_unknown_master_is_named() {
    let group = Group::start();
    let error = RedisStore::connect(&group.url.replace("/mine", "/yours")).await.unwrap_err();
    assert!(format!("{error:?}").contains("Sentinel does not know"), "{error:?}");
}

/// A paused primary is replaced, and goes on answering for a moment when it is resumed.
#[tokio::test]
async fn a_paused_primary_is_not_believed() {
    let group = Group::start();
    let (p1, p2) = (group.worker().await, group.worker().await);
    p1.fill("a", &["t"], "old").await;
    p2.hit("a", "old").await;
    group.replace_soon();
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

/// The Sentinels learn of a promotion one after the other, and demote the old primary last of all: it
/// says that it is one, and answers all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_resumes_during_its_replacement_is_not_believed() {
    let group = Group::start();
    let p1 = group.worker().await;
    p1.fill("a", &["t"], "0").await;
    group.replace_soon();
    group.primary.signal("STOP");
    // The Sentinel that promotes it closes its connections, this one too.
    let promoted = || match group.replica.try_run(&["INFO", "replication"]) {
        Ok(info) => format!("{info:?}").contains("role:master"),
        Err(_) => false,
    };
    let end = SystemClock.monotonic() + Duration::from_secs(20);
    while !promoted() {
        assert!(SystemClock.monotonic() < end, "no failover");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    group.primary.signal("CONT");

    let end = SystemClock.monotonic() + Duration::from_secs(4);
    let (mut truth, mut acknowledged) = (0, 0);
    while SystemClock.monotonic() < end {
        match p1.lookup("a").await {
            Ok(Lookup::Found(found, _)) => {
                let seen: u32 = std::str::from_utf8(found.body()).unwrap().parse().unwrap();
                assert!(seen >= acknowledged, "{seen} is stale, {acknowledged} was acknowledged");
            }
            Ok(Lookup::Miss(ticket)) => {
                let _ = p1.0.put(ticket, entry("a", &["t"], &truth.to_string())).await;
            }
            _ => {}
        }
        // As a process would that has just started.
        let Ok(p2) = RedisStore::connect(&group.url).await else { continue };
        truth += 1;
        if Worker(p2).try_invalidate(&["t"]).await.is_ok() {
            acknowledged = truth;
        }
    }
    assert!(acknowledged > 10, "{acknowledged} invalidations");
}

#[tokio::test]
async fn conformance() {
    let group = Group::start();
    crate::suite::passes(&group.url, None).await;
}
