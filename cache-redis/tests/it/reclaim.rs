//! Freeing what invalidations have killed.

use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::Store;

use crate::support::Server;
use crate::worker::{Worker, entry, entry_for, key, patient};

fn count(server: &Server) -> i64 {
    server.run(&["DBSIZE"])
}

async fn settles(server: &Server, at_most: i64) {
    for _ in 0..300 {
        if count(server) <= at_most {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{} keys are left, expected at most {at_most}", count(server));
}

#[tokio::test]
async fn removed_is_exact() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    for n in 0..200 {
        worker.fill(&format!("k{n}"), &["t", "u"], "body").await;
    }
    // Replaced: once without the tag, once with it.
    for n in 0..10 {
        worker.fill(&format!("k{n}"), &["u"], "body").await;
        worker.fill(&format!("k{}", n + 10), &["t"], "body").await;
    }
    let done = worker.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (190, true));
    let done = worker.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (0, true));
    let done = worker.invalidate(&["t", "u", "v"]).await;
    assert_eq!((done.removed, done.complete), (10, true));
    worker.fill("a", &["t"], "a").await;
    worker.fill("b", &[], "b").await;
    let done = worker.clear().await;
    assert_eq!((done.removed, done.complete), (2, true));
    settles(&server, 2).await;
}

#[tokio::test]
async fn without_budget_it_goes_on_behind() {
    let server = Server::start(&[]);
    let builder = patient(&server.url()).with_reclaim_budget(0, Duration::ZERO);
    let worker = Worker::of(builder).await;
    for n in 0..1_000 {
        worker.fill(&format!("k{n}"), &["t"], "body").await;
    }
    let start = SystemClock.monotonic();
    let done = worker.invalidate(&["t"]).await;
    let took = SystemClock.monotonic().saturating_sub(start);
    assert_eq!((done.removed, done.complete), (0, false));
    assert!(took < Duration::from_millis(500), "{took:?}");
    worker.miss("k0").await;
    // A fresh entry under the same tag is spared, whenever reclaiming comes to it.
    worker.fill("k1", &["t"], "fresh").await;
    // The metadata, the entry, its two indexes.
    settles(&server, 4).await;
    worker.hit("k1", "fresh").await;
}

/// Nobody waits for a count that would not be complete, nor competes with the work behind.
#[tokio::test]
async fn what_the_budget_cannot_do_is_not_begun() {
    let server = Server::start(&[]);
    let budget = || patient(&server.url()).with_reclaim_budget(50, Duration::from_secs(5));
    let worker = Worker::of(budget()).await;
    for n in 0..60 {
        worker.fill(&format!("k{n}"), &["t"], "body").await;
    }
    let done = worker.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (0, false));
    // The metadata and the index of all.
    settles(&server, 2).await;
    // Another process, which surely has nothing left to do.
    let worker = Worker::of(budget()).await;
    for n in 0..50 {
        worker.fill(&format!("k{n}"), &["t"], "body").await;
    }
    let done = worker.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (50, true));
}

/// Steps behind are shared by indexes, each with its own invalidation.
#[tokio::test]
async fn many_small_indexes_behind() {
    let server = Server::start(&[]);
    let builder = patient(&server.url()).with_reclaim_budget(0, Duration::ZERO);
    let worker = Worker::of(builder).await;
    for n in 0..300 {
        worker.fill(&format!("k{n}"), &[&format!("t{}", n % 100)], "body").await;
    }
    for tag in 0..100 {
        worker.invalidate(&[&format!("t{tag}")]).await;
        // One filled anew, one filled anew under a tag whose turn is over or yet to come.
        worker.fill(&format!("k{tag}"), &[&format!("t{tag}")], "fresh").await;
        worker.fill(&format!("k{}", tag + 100), &["other"], "fresh").await;
    }
    // Metadata, entries, the indexes of 100 tags, of `other` and of all.
    settles(&server, 1 + 200 + 102).await;
    for n in 0..200 {
        worker.hit(&format!("k{n}"), "fresh").await;
    }
}

/// An entry's tags are searched as bytes: what looks like a tag inside another one is none.
#[tokio::test]
async fn tags_are_told_apart() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    let nested = "x\0\u{3}t:bz";
    worker.fill("a", &["b"], "old").await;
    worker.fill("a", &[nested], "new").await;
    // More tags than one read of an entry takes.
    let long: Vec<String> = (0..9).map(|n| format!("{n}{}", "l".repeat(100))).collect();
    let long: Vec<&str> = long.iter().map(String::as_str).chain(["z"]).collect();
    for n in 0..3 {
        worker.fill(&format!("long{n}"), &long, "body").await;
    }
    assert_eq!(worker.invalidate(&["b"]).await.removed, 0);
    worker.hit("a", "new").await;
    assert_eq!(worker.invalidate(&["z"]).await.removed, 3);
    worker.fill("long", &long, "body").await;
    // Many at once.
    let many = ["q", "r", "s", "u", nested, "z"];
    let done = worker.invalidate(&many).await;
    assert_eq!((done.removed, done.complete), (2, true));
    settles(&server, 1 + 11).await;
}

#[tokio::test]
async fn everything_goes_by_itself() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    for n in 0..100 {
        let name = format!("k{n}");
        let ticket = worker.0.begin(&key(&name)).await.unwrap();
        let life = Duration::from_millis(300 + n);
        worker.put(ticket, entry_for(&name, &["t"], "body", life)).await;
    }
    let left: i64 = server.run(&["PTTL", "{rc:0}:x:t:t"]);
    assert!(left > 0, "an index has an end: {left}");
    tokio::time::sleep(Duration::from_millis(450)).await;
    // Only the metadata stays.
    settles(&server, 1).await;
    let stays: i64 = server.run(&["PTTL", "{rc:0}:m"]);
    assert_eq!(stays, -1);
}

/// An index that is never invalidated must not remember every key it ever had.
#[tokio::test]
async fn indexes_forget_what_is_gone() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    // One entry keeps the index alive.
    worker.fill("long", &["t"], "body").await;
    for n in 0..4_000 {
        let name = format!("k{n}");
        let ticket = worker.0.begin(&key(&name)).await.unwrap();
        worker.put(ticket, entry_for(&name, &["t"], "body", Duration::from_millis(20))).await;
    }
    for index in ["{rc:0}:x:t:t", "{rc:0}:x:#all"] {
        let members: i64 = server.run(&["SCARD", index]);
        assert!(members < 2_500, "{index}: {members} of 4 001, nearly all gone");
    }
    // The last of them are still alive.
    tokio::time::sleep(Duration::from_millis(40)).await;
    worker.hit("long", "body").await;
    assert_eq!(worker.invalidate(&["t"]).await.removed, 1);
}

#[tokio::test]
async fn large_tag_is_acknowledged_fast() {
    let server = Server::start(&[]);
    let builder = patient(&server.url()).with_reclaim_budget(0, Duration::ZERO);
    let worker = Worker::of(builder).await;
    worker.fill("a", &["t"], "a").await;
    // 200 000 members of the index, as another process would have left them.
    let script = "for i = 1, 200000 do redis.call('SADD', KEYS[1], 'm' .. i) end";
    let _: redis::Value = server.run(&["EVAL", script, "1", "{rc:0}:x:t:t"]);
    let start = SystemClock.monotonic();
    worker.invalidate(&["t"]).await;
    let took = SystemClock.monotonic().saturating_sub(start);
    assert!(took < Duration::from_millis(150), "{took:?}");
    worker.miss("a").await;
    worker.0.close().await;
}

#[tokio::test]
async fn a_dropped_put_and_a_dropped_invalidation() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    for micros in [0, 50, 100, 200, 400, 800, 1_600] {
        let patience = Duration::from_micros(micros);
        let ticket = worker.ticket("a").await;
        let put = worker.0.put(ticket, entry("a", &["t"], "body"));
        let _ = tokio::time::timeout(patience, put).await;
        let _ = tokio::time::timeout(Duration::ZERO, worker.try_invalidate(&["t"])).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        worker.miss("a").await;
    }
}
