//! A hit against a bare `GET` of the same bytes through the same client, a put against a bare
//! `SET`, and invalidations of tags of different size. Starts a `redis-server` of its own.
//!
//! `cargo bench -p cache-redis --bench latency`; ratios are medians of pairs taken in turns.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints, and fails by panicking"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{Lookup, PutOutcome, Selection, Store};
use cache_core::tag::Tags;
use cache_redis::RedisStore;
use support::Server;

const PAIRS: usize = 7;
const CALLS: u32 = 2_000;

fn main() {
    // A test runner that asks which tests are here: none.
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run());
}

async fn run() {
    // `cargo test --benches` runs it briefly, to see that it works.
    let calls = if std::env::args().any(|arg| arg == "--bench") { CALLS } else { 20 };
    let server = Server::start(&[]);
    let builder = RedisStore::builder(&server.url()).expect("a url").with_connections(1);
    let store = builder.connect().await.expect("a store");
    let client = redis::Client::open(server.url()).expect("a url");
    let bare = client.get_multiplexed_async_connection().await.expect("a connection");
    for size in [1 << 10, 16 << 10, 128 << 10] {
        hit_and_put(&store, &bare, size, calls).await;
    }
    for members in [100, 10_000] {
        invalidation(&server, members).await;
    }
}

async fn hit_and_put(
    store: &RedisStore,
    bare: &redis::aio::MultiplexedConnection,
    size: usize,
    calls: u32,
) {
    let key = Key::new(Digest::of(&size.to_be_bytes()));
    let tags = Tags::user(["user:7", "list"]).expect("tags");
    let name = format!("{{rc:0}}:e:{}", key.primary().to_hex());
    let (mut hits, mut puts) = (Vec::new(), Vec::new());
    let (mut hit_micros, mut put_micros) = (0.0, 0.0);
    for _ in 0..PAIRS {
        let start = SystemClock.monotonic();
        for _ in 0..calls {
            let ticket = store.begin(&key).await.expect("a ticket");
            let outcome = store.put(ticket, entry(key, &tags, size)).await;
            assert_eq!(outcome.ok(), Some(PutOutcome::Stored));
        }
        let with_begin = since(start);
        let start = SystemClock.monotonic();
        for _ in 0..calls {
            store.begin(&key).await.expect("a ticket");
        }
        let put = with_begin - since(start);
        let start = SystemClock.monotonic();
        for _ in 0..calls {
            let found = store.lookup(&key, &tags).await;
            assert!(matches!(found, Ok(Lookup::Found(..))));
        }
        let hit = since(start);

        let mut bare = bare.clone();
        let start = SystemClock.monotonic();
        let mut value: Vec<u8> = Vec::new();
        for _ in 0..calls {
            value = redis::cmd("GET").arg(&name).query_async(&mut bare).await.expect("a value");
        }
        let get = since(start);
        assert!(value.len() > size);
        let start = SystemClock.monotonic();
        for _ in 0..calls {
            let mut set = redis::cmd("SET");
            set.arg("bare").arg(&value).arg("PX").arg(600_000);
            set.exec_async(&mut bare).await.expect("stored");
        }
        let set = since(start);
        hits.push(hit / get);
        puts.push(put / set);
        hit_micros = hit / f64::from(calls);
        put_micros = put / f64::from(calls);
    }
    println!(
        "{size:>7} B: hit {hit_micros:.0} µs = {:.2} × GET; put {put_micros:.0} µs = {:.2} × SET",
        median(&mut hits),
        median(&mut puts)
    );
}

async fn invalidation(server: &Server, members: u32) {
    let builder = RedisStore::builder(&server.url()).expect("a url");
    let store = builder
        .with_prefix(format!("inv{members}"))
        .with_reclaim_budget(0, Duration::ZERO)
        .connect()
        .await
        .expect("a store");
    let tags = Tags::user(["t"]).expect("tags");
    let mut times = Vec::new();
    for _ in 0..PAIRS {
        for member in 0..members {
            let key = Key::new(Digest::of(&member.to_be_bytes()));
            let ticket = store.begin(&key).await.expect("a ticket");
            let _ = store.put(ticket, entry(key, &tags, 100)).await;
        }
        let start = SystemClock.monotonic();
        store.invalidate(&Selection::Tags(tags.clone())).await.expect("in force");
        times.push(since(start));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{members:>7} members: in force after {:.0} µs", median(&mut times));
}

fn entry(key: Key, tags: &Tags, size: usize) -> Entry {
    let until = SystemClock.now() + Duration::from_secs(600);
    let content = Content::Variants(VariantRecord::default());
    Entry::new(key, tags.clone(), until, content, Bytes::from(vec![b'x'; size]))
}

fn since(start: Duration) -> f64 {
    SystemClock.monotonic().saturating_sub(start).as_micros() as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
