//! A real cluster: 3 primaries, each with a replica where a case needs one.

use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::{Guarantee, Lookup, PutOutcome, Store, StoreErrorKind};
use conformance_tests::servers;

use crate::support::{STEADY, Server};
use crate::worker::{Worker, entry, key, patient};

const SLOTS: u16 = 16_384;

/// After this silence a node is replaced.
const GIVEN_UP: Duration = Duration::from_secs(1);

pub(crate) struct Cluster {
    pub(crate) primaries: Vec<Server>,
    pub(crate) replicas: Vec<Server>,
    pub(crate) url: String,
}

impl Cluster {
    /// Nobody is replaced before [`replace_soon`](Self::replace_soon).
    pub(crate) fn start(with_replicas: bool) -> Self {
        let cluster = servers::Cluster::start(&[], STEADY, with_replicas).unwrap();
        Self {
            url: cluster.url(),
            primaries: cluster.primaries.into_iter().map(Server::from).collect(),
            replicas: cluster.replicas.into_iter().map(Server::from).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Server> {
        self.primaries.iter().chain(&self.replicas)
    }

    /// Whether all nodes hold one map.
    pub(crate) fn agrees(&self) -> bool {
        let nodes: Vec<&servers::Server> = self.all().map(Server::inner).collect();
        servers::Cluster::agree(&nodes)
    }

    /// Silence leads to a replacement: for the fault that is to come.
    fn replace_soon(&self) {
        let timeout = GIVEN_UP.as_millis().to_string();
        for node in self.all() {
            let _: String = node.run(&["CONFIG", "SET", "cluster-node-timeout", &timeout]);
        }
    }

    async fn worker(&self) -> Worker {
        let builder = patient(&self.url)
            .with_response_limit(Duration::from_millis(400))
            .with_reclaim_budget(100_000, Duration::from_secs(5))
            .with_breaker(3, Duration::from_millis(100));
        Worker::of(builder).await
    }
}

impl Server {
    fn id(&self) -> String {
        self.run(&["CLUSTER", "MYID"])
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("k{n}")).collect()
}

async fn fill_all(worker: &Worker, names: &[String]) {
    for name in names {
        worker.fill(name, &["t"], "old").await;
    }
}

#[tokio::test]
async fn sixteen_shards() {
    let cluster = Cluster::start(false);
    let (p1, p2) = (cluster.worker().await, cluster.worker().await);
    let names = names(200);
    fill_all(&p1, &names).await;
    for name in &names {
        p2.hit(name, "old").await;
    }
    let straddling = p1.ticket("late").await;
    let done = p2.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (200, true));
    for name in &names {
        p1.miss(name).await;
    }
    let outcome = p1.put(straddling, entry("late", &["t"], "old")).await;
    assert_eq!(outcome, PutOutcome::Superseded);
    fill_all(&p2, &names).await;
    assert_eq!(p1.0.guarantee(), Guarantee::Linearizable, "no replicas, no failover");
    let listed = p1.0.keys(10_000).await.unwrap();
    // Entries; metadata and two indexes for each of 16 shards.
    assert_eq!(listed.len(), 200 + 3 * 16, "{listed:?}");
    assert_eq!(p1.clear().await.removed, 200);
    for name in &names {
        p2.miss(name).await;
    }
}

#[tokio::test]
async fn a_node_that_is_gone_is_named_and_the_others_are_done() {
    let mut cluster = Cluster::start(false);
    let (p1, p2) = (cluster.worker().await, cluster.worker().await);
    let names = names(60);
    fill_all(&p1, &names).await;
    cluster.primaries[2].kill();
    let error = p1.try_invalidate(&["t"]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains("not done in shards") && text.contains("of 16"), "{text}");
    let mut errors = 0;
    for name in &names {
        match p2.lookup(name).await {
            Ok(Lookup::Miss(_)) => {}
            Ok(other) => panic!("{name}: {other:?}"),
            Err(_) => errors += 1,
        }
    }
    assert!((1..60).contains(&errors), "{errors}");
    // It comes back, empty: all of it is a miss, and invalidating works again.
    cluster.primaries[2].spawn();
    for name in &names {
        assert!(!p2.answered(name, Duration::from_secs(10)).await);
    }
    p1.invalidate(&["t"]).await;
    fill_all(&p1, &names).await;
    p2.hit("k0", "old").await;
}

/// Every shard's slot moves to another node, step by step, with calls between the steps.
#[tokio::test]
async fn slots_on_the_move() {
    let cluster = Cluster::start(false);
    let (p1, p2) = (cluster.worker().await, cluster.worker().await);
    let names = names(48);
    fill_all(&p1, &names).await;
    let (from, to) = (&cluster.primaries[0], &cluster.primaries[1]);
    let (from_id, to_id) = (from.id(), to.id());
    let to_port = to.port.to_string();
    let mut moved = 0;
    for shard in 0..16 {
        let slot: i64 = from.run(&["CLUSTER", "KEYSLOT", &format!("rc:{shard}")]);
        if slot >= i64::from(SLOTS / 3) {
            continue;
        }
        moved += 1;
        let slot = slot.to_string();
        let _: String = to.run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
        let _: String = from.run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
        check_all(&p1, &p2, &names).await;
        loop {
            let keys: Vec<String> = from.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "3"]);
            if keys.is_empty() {
                break;
            }
            for name in &keys {
                // It may have been reclaimed meanwhile.
                let _ = from.try_run(&["MIGRATE", "127.0.0.1", &to_port, name, "0", "1000"]);
            }
            check_all(&p1, &p2, &names).await;
        }
        for server in cluster.all() {
            let _: String = server.run(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
        }
        check_all(&p1, &p2, &names).await;
    }
    assert!(moved >= 2, "{moved} shards were on the first node");
    fill_all(&p1, &names).await;
    for name in &names {
        p2.hit(name, "old").await;
    }
}

/// Invalidates; nothing older may be seen after that. Then fills what can be filled.
async fn check_all(p1: &Worker, p2: &Worker, names: &[String]) {
    let mut straddling = Vec::new();
    for name in names.iter().take(16) {
        if let Ok(ticket) = p2.0.begin(&key(name)).await {
            straddling.push((name, ticket));
        }
    }
    p1.invalidate(&["t"]).await;
    for name in names {
        if let Ok(Lookup::Found(..)) = p2.lookup(name).await {
            panic!("{name} is stale");
        }
    }
    for (name, ticket) in straddling {
        let outcome = p2.0.put(ticket, entry(name, &["t"], "stale")).await;
        assert!(!matches!(outcome, Ok(PutOutcome::Stored)), "{name}: {outcome:?}");
    }
    for name in names {
        if let Ok(ticket) = p1.0.begin(&key(name)).await {
            let _ = p1.0.put(ticket, entry(name, &["t"], "old")).await;
        }
    }
}

/// The replica never got the invalidation, and is promoted.
#[tokio::test]
async fn a_failover_that_lost_an_invalidation() {
    let mut cluster = Cluster::start(true);
    let (p1, p2) = (cluster.worker().await, cluster.worker().await);
    assert_eq!(p1.0.guarantee(), Guarantee::LinearizableExceptSplitBrain);
    let names = names(60);
    fill_all(&p1, &names).await;
    cluster.replace_soon();
    for (primary, replica) in cluster.primaries.iter().zip(&cluster.replicas) {
        replica.catches_up_with(primary);
        replica.signal("STOP");
    }
    // Acknowledged by the primaries only.
    p1.invalidate(&["t"]).await;
    cluster.primaries[0].kill();
    for replica in &cluster.replicas {
        replica.signal("CONT");
    }
    let start = SystemClock.monotonic();
    for name in &names {
        assert!(!p2.answered(name, Duration::from_secs(20)).await, "{name} is stale");
        assert!(!p1.answered(name, Duration::from_secs(20)).await, "{name} is stale");
    }
    let took = SystemClock.monotonic().saturating_sub(start);
    assert!(took < Duration::from_secs(20), "{took:?}");
    p1.invalidate(&["t"]).await;
    fill_all(&p1, &names).await;
    for name in &names {
        p2.hit(name, "old").await;
    }
}

/// A paused primary is replaced, and goes on answering for a moment when it is resumed.
#[tokio::test]
async fn a_paused_primary_is_not_believed() {
    let cluster = Cluster::start(true);
    let (p1, p2) = (cluster.worker().await, cluster.worker().await);
    let names = names(60);
    fill_all(&p1, &names).await;
    for name in &names {
        p2.hit(name, "old").await;
    }
    cluster.replace_soon();
    cluster.primaries[0].signal("STOP");
    // p2 is idle meanwhile; p1 finds the promoted replica.
    let end = SystemClock.monotonic() + Duration::from_secs(20);
    while let Err(error) = p1.try_invalidate(&["t"]).await {
        assert!(SystemClock.monotonic() < end, "{error}");
        p1.0.ready().await.ok();
        for name in &names {
            let _ = p1.lookup(name).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.primaries[0].signal("CONT");
    for name in &names {
        if let Ok(Lookup::Found(..)) = p2.lookup(name).await {
            panic!("{name} is stale");
        }
    }
    for name in &names {
        assert!(!p2.answered(name, Duration::from_secs(10)).await, "{name} is stale");
    }
}

#[tokio::test]
async fn conformance() {
    let cluster = Cluster::start(true);
    crate::suite::passes(&cluster.url, None).await;
}
