//! Round trips, counted between store and server, and connections cut at every byte of a put.

use std::time::Duration;

use cache_core::store::{Lookup, Store};

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

#[tokio::test]
async fn one_trip_each() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let worker = behind(&proxy).await;

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
    assert_eq!(proxy.trips(), 3, "an invalidation, and one step of reclaiming");
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

#[tokio::test]
async fn a_put_cut_at_any_byte_leaves_what_obeys_the_rule() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let worker = behind(&proxy).await;
    let other = Worker::at(&server.url()).await;
    // How long a put is, in bytes on the wire.
    let ticket = worker.ticket("a").await;
    proxy.sent();
    worker.put(ticket, entry("a", &["t"], "body")).await;
    let length = proxy.sent();
    assert!(length > 300, "{length}");
    for cut in (1..=length).step_by(17).chain([length]) {
        let name = format!("k{cut}");
        let ticket = worker.ticket(&name).await;
        proxy.cut_after(cut);
        // It is tried again on a new connection: stored once more, or an error.
        let outcome = worker.0.put(ticket, entry(&name, &["t"], "body")).await;
        match other.lookup(&name).await.unwrap() {
            Lookup::Found(found, _) => assert_eq!(&found.body()[..], b"body", "cut {cut}"),
            Lookup::Miss(_) => assert!(outcome.is_err(), "cut {cut}: {outcome:?}"),
            other => panic!("{other:?}"),
        }
        other.invalidate(&["t"]).await;
        worker.miss(&name).await;
        other.miss(&name).await;
    }
    // Drafts that were cut off do not stay.
    for draft in other.0.keys(100_000).await.unwrap().iter().filter(|name| name.contains(":d:")) {
        let left: i64 = server.run(&["PTTL", draft]);
        assert!((0..=10_000).contains(&left), "{draft}: {left}");
    }
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
