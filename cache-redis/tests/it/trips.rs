//! Round trips, counted between store and server.

use std::time::Duration;

use cache_core::store::{Lookup, Store};

use crate::gaps::cut::Proxied;
use crate::gaps::deployment::Deployment;
use crate::proxy::Proxy;
use crate::support::Server;
use crate::worker::{Worker, entry, key, patient, tag};

/// A worker behind a proxy, with one connection, warmed up: connected, minted, scripts loaded.
async fn behind(proxy: &Proxy) -> Worker {
    let builder =
        patient(&proxy.url()).with_connections(1).with_breaker(1_000, Duration::from_millis(10));
    let worker = Worker::of(builder).await;
    worker.fill("warm", &["warm"], "warm").await;
    worker.invalidate(&["warm"]).await;
    worker.fill("warm", &["warm"], "warm").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.trips();
    worker
}

/// Once in 32 puts a sweep goes beside the requests. After one, none comes for a while.
async fn swept(proxy: &Proxy, worker: &Worker) {
    for _ in 0..40 {
        worker.fill("warm", &["warm"], "warm").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        // A ticket and a put.
        if proxy.trips() > 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            proxy.trips();
            return;
        }
    }
    panic!("no sweep in 40 puts");
}

#[tokio::test]
async fn one_trip_each() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let worker = behind(&proxy).await;
    swept(&proxy, &worker).await;

    let ticket = worker.ticket("a").await;
    assert_eq!(proxy.trips(), 1, "a miss, with its ticket");
    worker.put(ticket, entry("a", &["t", "u"], &"x".repeat(16 << 10))).await;
    assert_eq!(proxy.trips(), 1, "a put, with its verdict");
    let hints = [tag("t"), tag("u"), tag("superfluous")];
    for _ in 0..3 {
        let found = worker.0.lookup(&key("a"), &hints).await.unwrap();
        assert!(matches!(found, Lookup::Found(_, Some(_))));
        assert_eq!(proxy.trips(), 1, "a hit whose tags are hinted");
    }
    worker.lookup("a").await.unwrap();
    assert_eq!(proxy.trips(), 2, "a hit whose tags are unknown");
    worker.0.begin(&key("a")).await.unwrap();
    assert_eq!(proxy.trips(), 1, "a ticket");
    assert_eq!(worker.invalidate(&["nobody"]).await.removed, 0);
    assert_eq!(proxy.trips(), 1, "an invalidation of nothing");
    worker.invalidate(&["t"]).await;
    assert_eq!(proxy.trips(), 2, "an invalidation, and one step of reclaiming");
}

/// The same on a cluster: each call goes to one node, in one trip.
#[tokio::test]
async fn one_trip_each_on_a_cluster() {
    let proxied = Proxied::before(Deployment::cluster()).await;
    let worker = Worker::of(proxied.builder(16)).await;
    // Every shard is minted, every connection open, every script known.
    for n in 0..64 {
        worker.fill(&format!("warm{n}"), &["warm"], "warm").await;
    }
    worker.invalidate(&["warm"]).await;
    // Proofs and questions to the other nodes are due after a silence; there is none here.
    let hints = [tag("t"), tag("u")];
    let mut trips = Vec::new();
    for n in 0..32 {
        let name = format!("k{n}");
        proxied.trips();
        let ticket = worker.ticket(&name).await;
        let miss = proxied.trips();
        worker.put(ticket, entry(&name, &["t", "u"], &"x".repeat(16 << 10))).await;
        let put = proxied.trips();
        let found = worker.0.lookup(&key(&name), &hints).await.unwrap();
        assert!(matches!(found, Lookup::Found(_, Some(_))));
        trips.push((miss, put, proxied.trips()));
    }
    // Once in 32 puts a sweep goes beside the requests, of three indexes with two trips each.
    let more = trips.iter().filter(|trips| **trips != (1, 1, 1)).count();
    assert!(more <= 6, "miss, put, hit: {trips:?}");
}

/// A proof falls due within a hit and costs no further trip.
#[tokio::test]
async fn a_proof_travels_along() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let worker = behind(&proxy).await;
    worker.fill("a", &[], "a").await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    proxy.trips();
    worker.hit("a", "a").await;
    assert_eq!(proxy.trips(), 1);
}

/// The reply is lost, so the caller cannot know; the invalidation may still be in force.
#[tokio::test]
async fn an_invalidation_without_reply_is_an_error() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let worker = behind(&proxy).await;
    let other = Worker::at(&server.url()).await;
    other.fill("a", &["t"], "old").await;
    proxy.swallow(true);
    assert!(worker.try_invalidate(&["t"]).await.is_err());
    proxy.swallow(false);
    other.miss("a").await;
}
