//! Connections cut in the middle of a put and of an invalidation, in every topology: a proxy
//! stands before each server and is the address that the others announce for it.

use std::num::NonZeroU16;
use std::time::Duration;

use cache_core::store::{Lookup, Store};
use cache_redis::RedisStoreBuilder;

use super::deployment::{Deployment, Place};
use crate::proxy::Proxy;
use crate::support::Server;
use crate::worker::{Worker, entry, patient};

/// A deployment that is reached through proxies, one for each primary.
pub(crate) struct Proxied {
    pub(crate) deployment: Deployment,
    pub(crate) proxies: Vec<Proxy>,
    url: String,
}

impl Proxied {
    pub(crate) async fn before(deployment: Deployment) -> Self {
        let mut proxies = Vec::new();
        for server in deployment.primaries() {
            proxies.push(Proxy::before(server.port).await);
        }
        let url = match &deployment {
            Deployment::Single(_) => proxies[0].url(),
            Deployment::Sentinel(group) => {
                let port = proxies[0].port.to_string();
                for sentinel in &group.sentinels {
                    let _: String = sentinel.run(&["SENTINEL", "REMOVE", "mine"]);
                    let monitor = ["SENTINEL", "MONITOR", "mine", "127.0.0.1", &port, "2"];
                    let _: String = sentinel.run(&monitor);
                }
                group.url.clone()
            }
            Deployment::Cluster(cluster) => {
                for (server, proxy) in cluster.primaries.iter().zip(&proxies) {
                    let port = proxy.port.to_string();
                    let _: String = server.run(&["CONFIG", "SET", "cluster-announce-port", &port]);
                }
                announced(&cluster.primaries, &proxies).await;
                format!("redis-cluster://127.0.0.1:{}", proxies[1].port)
            }
        };
        // Sentinels and nodes have their connections by now; only later ones are watched.
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxies.iter().for_each(Proxy::watch_new);
        Self { deployment, proxies, url }
    }

    /// A handle with one connection, and a breaker that never opens.
    pub(crate) fn builder(&self, shards: u16) -> RedisStoreBuilder {
        patient(&self.url)
            .with_connections(1)
            .with_shards(NonZeroU16::new(shards).unwrap())
            .with_breaker(100_000, Duration::from_millis(10))
    }

    /// Round trips since the last call, of all proxies.
    pub(crate) fn trips(&self) -> usize {
        self.proxies.iter().map(Proxy::trips).sum()
    }
}

async fn announced(primaries: &[Server], proxies: &[Proxy]) {
    for _ in 0..400 {
        let known = primaries.iter().all(|server| {
            let nodes: String = server.run(&["CLUSTER", "NODES"]);
            proxies.iter().all(|proxy| nodes.contains(&format!(":{}@", proxy.port)))
        });
        if known {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the nodes do not know each other's announced ports");
}

/// A put is a `SET` and a script, on one connection. Whatever part of it arrives, the entry is
/// there or not there, and the next invalidation reaches it.
async fn a_put_cut_at_any_byte(deployment: Deployment, every: usize) {
    let proxied = Proxied::before(deployment).await;
    let shards = proxied.deployment.shards();
    let place = Place::new(&proxied.deployment, "rc".to_owned());
    let worker = Worker::of(proxied.builder(shards)).await;
    let other = Worker::of(proxied.builder(shards)).await;
    let name = &place.names[0];
    worker.fill(name, &["t"], "body").await;
    worker.invalidate(&["t"]).await;
    let ticket = worker.ticket(name).await;
    let proxy = &proxied.proxies[0];
    proxy.sent();
    worker.put(ticket, entry(name, &["t"], "body")).await;
    let length = proxy.sent();
    assert!(length > 300, "{length}");
    let (mut stored, mut errors) = (0, 0);
    for (n, cut) in (1..=length).step_by(every).chain([length]).enumerate() {
        other.invalidate(&["t"]).await;
        let ticket = worker.ticket(name).await;
        // Every other time nobody answers after the cut, so that it cannot be sent once more.
        proxy.cut_after(cut, n % 2 == 0);
        let outcome = worker.0.put(ticket, entry(name, &["t"], "body")).await;
        proxy.mend();
        match other.lookup(name).await {
            Ok(Lookup::Found(found, _)) => {
                assert_eq!(&found.body()[..], b"body", "cut {cut}");
                stored += 1;
            }
            Ok(Lookup::Miss(_)) => assert!(outcome.is_err(), "cut {cut}: {outcome:?}"),
            other => panic!("cut {cut}: {other:?}"),
        }
        errors += u32::from(outcome.is_err());
        other.invalidate(&["t"]).await;
        worker.miss(name).await;
        other.miss(name).await;
    }
    assert!(stored > 0 && errors > 0, "{stored} stored, {errors} errors");
    // Drafts that were cut off do not stay.
    let names = other.0.keys(100_000).await.unwrap();
    for draft in names.iter().filter(|name| name.contains(":d:")) {
        let left = proxied.deployment.primaries().into_iter().find_map(|server| {
            match server.try_run(&["PTTL", draft]) {
                Ok(redis::Value::Int(left)) => Some(left),
                _ => None,
            }
        });
        assert!(left.is_some_and(|left| left <= 10_000 && left != -1), "{draft}: {left:?}");
    }
}

/// The marks of 16 shards are 16 scripts. The connection to the first server is cut after some of
/// them and does not come back: an error, that names shards; and once it is back, trying again
/// makes all of them misses.
async fn an_invalidation_cut_after_some_shards(deployment: Deployment, every: usize) {
    const SHARDS: u16 = 16;
    let proxied = Proxied::before(deployment).await;
    let worker = Worker::of(proxied.builder(SHARDS)).await;
    let other = Worker::of(proxied.builder(SHARDS)).await;
    let names: Vec<String> = (0..48).map(|n| format!("k{n}")).collect();
    worker.invalidate(&["t"]).await;
    let proxy = &proxied.proxies[0];
    // The shortest of some: now and then one carries a proof along.
    let mut length = usize::MAX;
    for _ in 0..5 {
        proxy.sent();
        worker.invalidate(&["t"]).await;
        length = length.min(proxy.sent());
    }
    let mut partly = 0;
    for cut in (1..length).step_by(every) {
        for name in &names {
            other.fill(name, &["t"], "old").await;
        }
        proxy.cut_after(cut, true);
        let outcome = worker.try_invalidate(&["t"]).await;
        let is_cut = proxy.is_cut();
        proxy.mend();
        match outcome {
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("not done in shards") && error.contains("of 16"), "{error}");
            }
            // What was measured had a call of the store's own in it.
            Ok(_) => assert!(!is_cut, "cut {cut} of {length}: its replies were lost"),
        }
        let mut found = 0;
        for name in &names {
            found += usize::from(matches!(other.lookup(name).await, Ok(Lookup::Found(..))));
        }
        partly += usize::from(found > 0 && found < names.len());
        worker.invalidate(&["t"]).await;
        for name in &names {
            worker.miss(name).await;
            other.miss(name).await;
        }
    }
    assert!(partly > 0, "no cut fell between two shards");
}

#[tokio::test]
async fn single_put_cut() {
    a_put_cut_at_any_byte(Deployment::single(), 17).await;
}

#[tokio::test]
async fn sentinel_put_cut() {
    a_put_cut_at_any_byte(Deployment::sentinel(), 61).await;
}

#[tokio::test]
async fn cluster_put_cut() {
    a_put_cut_at_any_byte(Deployment::cluster(), 61).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn soak_put_cut_at_every_byte() {
    a_put_cut_at_any_byte(Deployment::single(), 1).await;
    a_put_cut_at_any_byte(Deployment::sentinel(), 1).await;
    a_put_cut_at_any_byte(Deployment::cluster(), 1).await;
}

#[tokio::test]
async fn single_invalidation_cut() {
    an_invalidation_cut_after_some_shards(Deployment::single(), 450).await;
}

#[tokio::test]
async fn sentinel_invalidation_cut() {
    an_invalidation_cut_after_some_shards(Deployment::sentinel(), 450).await;
}

#[tokio::test]
async fn cluster_invalidation_cut() {
    an_invalidation_cut_after_some_shards(Deployment::cluster(), 250).await;
}

#[tokio::test]
#[ignore = "soak"]
async fn soak_invalidation_cut_at_many_bytes() {
    an_invalidation_cut_after_some_shards(Deployment::single(), 7).await;
    an_invalidation_cut_after_some_shards(Deployment::sentinel(), 7).await;
    an_invalidation_cut_after_some_shards(Deployment::cluster(), 7).await;
}
