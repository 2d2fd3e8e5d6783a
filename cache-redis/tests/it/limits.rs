//! A server that hangs, is full, or is not there: errors within bounds, and recovery by itself.

use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::{PutOutcome, Refusal, Store, StoreErrorKind};
use cache_redis::{RedisStore, Start};

use crate::support::Server;
use crate::worker::{Worker, entry, key, patient};

fn now() -> Duration {
    SystemClock.monotonic()
}

#[tokio::test]
async fn hanging_server_fails_within_the_limit_and_then_at_once() {
    let server = Server::start(&[]);
    let builder = patient(&server.url())
        .with_response_limit(Duration::from_millis(100))
        .with_connect_limit(Duration::from_millis(200))
        .with_breaker(3, Duration::from_millis(100));
    let worker = Worker::of(builder).await;
    worker.fill("a", &["t"], "a").await;
    server.signal("STOP");

    let start = now();
    let error = worker.lookup("a").await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    assert!(error.is_transient());
    let took = now().saturating_sub(start);
    assert!(took < Duration::from_millis(600), "{took:?}");

    // Two more failures open the breaker; then nobody pays.
    for _ in 0..2 {
        worker.lookup("a").await.unwrap_err();
    }
    let start = now();
    for _ in 0..100 {
        assert_eq!(worker.lookup("a").await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    }
    let took = now().saturating_sub(start);
    assert!(took < Duration::from_millis(300), "100 lookups took {took:?}");

    // An invalidation tries all the same, within a bound, and does not lie.
    let start = now();
    let error = worker.try_invalidate(&["t"]).await.unwrap_err();
    assert!(error.to_string().contains("shards 0 of 1"), "{error}");
    let took = now().saturating_sub(start);
    assert!(took < Duration::from_secs(2), "{took:?}");

    server.signal("CONT");
    let start = now();
    worker.answered("a", Duration::from_secs(5)).await;
    let took = now().saturating_sub(start);
    assert!(took < Duration::from_secs(2), "recovery took {took:?}");
    worker.invalidate(&["t"]).await;
    worker.miss("a").await;
}

/// Callers that give up before the store's own limit count as failures, too.
#[tokio::test]
async fn dropped_calls_open_the_breaker() {
    let server = Server::start(&[]);
    let builder = patient(&server.url())
        .with_response_limit(Duration::from_millis(200))
        .with_breaker(2, Duration::from_secs(60));
    let worker = Worker::of(builder).await;
    worker.miss("a").await;
    server.signal("STOP");
    for _ in 0..2 {
        let patience = Duration::from_millis(150);
        assert!(tokio::time::timeout(patience, worker.lookup("a")).await.is_err());
    }
    let start = now();
    assert!(worker.lookup("a").await.is_err());
    assert!(now().saturating_sub(start) < Duration::from_millis(100));
    server.signal("CONT");
}

#[tokio::test]
async fn stopped_and_started_server() {
    let mut server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    worker.fill("a", &["t"], "a").await;
    server.kill();
    for _ in 0..20 {
        let start = now();
        assert!(worker.lookup("a").await.is_err());
        assert!(now().saturating_sub(start) < Duration::from_millis(1_500));
    }
    assert!(worker.try_invalidate(&["t"]).await.is_err());
    assert!(worker.0.ready().await.is_err());
    server.spawn();
    worker.answered("a", Duration::from_secs(5)).await;
    worker.fill("a", &["t"], "new").await;
    worker.hit("a", "new").await;
}

#[tokio::test]
async fn fail_fast_and_lenient_start() {
    let mut server = Server::prepare(&[]);
    let error = RedisStore::connect(&server.url()).await.unwrap_err();
    assert!(matches!(error, cache_redis::ConnectError::Store(_)), "{error:?}");

    let builder = patient(&server.url())
        .with_start(Start::Lenient)
        .with_breaker(5, Duration::from_millis(100));
    let worker = Worker::of(builder).await;
    assert!(worker.lookup("a").await.is_err());
    server.spawn();
    worker.answered("a", Duration::from_secs(5)).await;
    worker.fill("a", &[], "a").await;
    worker.hit("a", "a").await;
}

#[tokio::test]
async fn full_memory_refuses_puts_but_not_invalidations() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let worker = Worker::at(&server.url()).await;
    for n in 0..50 {
        worker.fill(&format!("k{n}"), &["t"], "body").await;
    }
    let ticket = worker.ticket("late").await;
    let _: String = server.run(&["CONFIG", "SET", "maxmemory", "1mb"]);
    assert!(server.try_run(&["SET", "x", "y"]).is_err(), "the server is full");
    let outcome = worker.put(ticket, entry("late", &["t"], "body")).await;
    assert_eq!(outcome, PutOutcome::Refused(Refusal::Capacity));
    worker.hit("k0", "body").await;
    let done = worker.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (50, true));
    for n in 0..50 {
        worker.miss(&format!("k{n}")).await;
    }
    // Metadata lost while full: minted all the same, and nothing old comes back.
    let _: i64 = server.run(&["DEL", "{rc:0}:m"]);
    worker.miss("k0").await;
    assert_eq!(worker.clear().await.removed, 0);
}

#[tokio::test]
async fn eviction_of_anything_is_never_stale() {
    for policy in ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        let worker = Worker::at(&server.url()).await;
        for n in 0..300 {
            worker.fill(&format!("hot{n}"), &[&format!("t{}", n % 30)], "old").await;
        }
        let used: String = server.run(&["INFO", "memory"]);
        let used: u64 =
            used.lines().find_map(|l| l.strip_prefix("used_memory:")).unwrap().parse().unwrap();
        let limit = (used + 300_000).to_string();
        let _: String = server.run(&["CONFIG", "SET", "maxmemory", &limit]);
        let body = "x".repeat(4_000);
        for n in 0..200 {
            let name = format!("cold{n}");
            let ticket = worker.0.begin(&key(&name)).await.unwrap();
            worker.put(ticket, entry(&name, &["cold"], &body)).await;
        }
        let tags: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        worker.invalidate(&tags).await;
        for n in 0..300 {
            worker.miss(&format!("hot{n}")).await;
        }
    }
}

#[tokio::test]
async fn read_only_and_loading_are_unavailable() {
    let server = Server::start(&["--min-replicas-to-write", "1"]);
    let worker = Worker::of(patient(&server.url()).with_start(Start::Lenient)).await;
    let error = worker.try_invalidate(&["t"]).await.unwrap_err();
    assert_eq!(
        error.kind(),
        StoreErrorKind::Unavailable,
        "{:?}",
        std::error::Error::source(&error)
    );
    assert!(worker.lookup("a").await.is_err(), "nothing can be minted");
    let _: String = server.run(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    worker.answered("a", Duration::from_secs(5)).await;
    worker.fill("a", &["t"], "a").await;
    worker.hit("a", "a").await;
}

#[tokio::test]
async fn closed_store_errs() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    worker.fill("a", &["t"], "a").await;
    worker.0.close().await;
    assert!(worker.lookup("a").await.is_err());
    assert!(worker.try_invalidate(&["t"]).await.is_err());
}
