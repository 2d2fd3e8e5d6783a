//! How long an invalidation takes by the number of entries under its tag, and what other clients
//! of the same Redis notice of the reclaiming. Starts `redis-server`s of its own.
//!
//! `cargo bench -p cache-redis --bench invalidation`; ratios are medians of pairs taken in turns.
//!
//! The entries are written by a script inside Redis: real envelopes with this tag, as other
//! processes would have left them.

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

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{Selection, Store};
use cache_core::tag::Tags;
use cache_redis::RedisStore;
use support::Server;

const PAIRS: usize = 5;

/// Copies the entry `KEYS[1]` to the names ARGV[1] to ARGV[2] and registers them under the tag.
const MULTIPLY: &str = "
local bytes = redis.call('GET', KEYS[1])
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local member = string.format('%064x', i)
  redis.call('SET', '{rc:0}:e:' .. member, bytes, 'PX', 3600000)
  redis.call('SADD', KEYS[2], member)
  redis.call('SADD', KEYS[3], member)
end
redis.call('PEXPIRE', KEYS[2], 3600000)
redis.call('PEXPIRE', KEYS[3], 3600000)";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // A test runner that asks which tests are here: none.
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    // `cargo test --benches` runs it briefly, to see that it works.
    let whole = std::env::args().any(|arg| arg == "--bench");
    let many = if whole { 1_000_000 } else { 2_000 };
    in_force(many).await;
    within_budget(many).await;
    pause_of_others(many).await;
}

/// Reclaim budget 0: the invalidation returns as soon as it is in force.
async fn in_force(many: u32) {
    let server = Server::start(&["--lazyfree-lazy-user-del", "yes"]);
    let store = store(&server, Some((0, Duration::ZERO))).await;
    let (mut large, mut small, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let few = timed(&server, &store, 100).await;
        let lots = timed(&server, &store, many).await;
        ratios.push(lots / few);
        small.push(few);
        large.push(lots);
    }
    println!(
        "in force, budget 0: {:.0} µs with 100 members, {:.0} µs with {many} = {:.2} ×",
        median(&mut small),
        median(&mut large),
        median(&mut ratios),
    );
}

/// The default budget: 10 000 entries or 20 ms, whichever ends first.
async fn within_budget(many: u32) {
    let server = Server::start(&[]);
    let store = store(&server, None).await;
    let mut times = Vec::new();
    for _ in 0..PAIRS {
        times.push(timed(&server, &store, many).await);
    }
    println!("returned, default budget: {:.1} ms with {many} members", median(&mut times) / 1e3);
}

/// The time of one invalidation of a tag with so many members. Its background work ends before
/// the next is made.
async fn timed(server: &Server, store: &RedisStore, members: u32) -> f64 {
    fill(server, store, members).await;
    let tags = Selection::Tags(Tags::user(["t"]).expect("tags"));
    let start = SystemClock.monotonic();
    store.invalidate(&tags).await.expect("in force");
    let took = since(start);
    settled(server).await;
    took
}

/// A second client asks for a small value all the time, while 10⁶ entries are reclaimed.
async fn pause_of_others(many: u32) {
    let server = Server::start(&[]);
    let store = store(&server, Some((0, Duration::ZERO))).await;
    fill(&server, &store, many).await;
    let stop = Arc::new(AtomicBool::new(false));
    let client = redis::Client::open(server.url()).expect("a url");
    let other = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut connection = client.get_connection().expect("a connection");
            let mut times = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = SystemClock.monotonic();
                let _: Option<String> =
                    redis::cmd("GET").arg("small").query(&mut connection).expect("an answer");
                times.push(since(start));
            }
            times
        }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = SystemClock.monotonic();
    let tags = Selection::Tags(Tags::user(["t"]).expect("tags"));
    store.invalidate(&tags).await.expect("in force");
    settled(&server).await;
    let reclaimed = since(start) / 1e6;
    stop.store(true, Ordering::Relaxed);
    let mut times = other.join().expect("no panic");
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] / 1e3;
    println!(
        "others while {many} entries are reclaimed in {reclaimed:.2} s: {} GETs, median {:.3} ms, \
         99.9 % {:.2} ms, worst {:.2} ms",
        times.len(),
        at(0.5),
        at(0.999),
        at(1.0),
    );
}

async fn store(server: &Server, budget: Option<(usize, Duration)>) -> RedisStore {
    let mut builder = RedisStore::builder(&server.url())
        .expect("a url")
        .with_response_limit(Duration::from_secs(2));
    if let Some((entries, time)) = budget {
        builder = builder.with_reclaim_budget(entries, time);
    }
    builder.connect().await.expect("a store")
}

async fn fill(server: &Server, store: &RedisStore, members: u32) {
    let key = Key::new(Digest::of(b"original"));
    let ticket = store.begin(&key).await.expect("a ticket");
    let until = SystemClock.now() + Duration::from_secs(3_600);
    let content = Content::Variants(VariantRecord::default());
    let tags = Tags::user(["t"]).expect("tags");
    let body = Bytes::from_static(&[b'x'; 100]);
    store.put(ticket, Entry::new(key, tags, until, content, body)).await.expect("stored");
    let original = format!("{{rc:0}}:e:{}", key.primary().to_hex());
    for first in (1..=members).step_by(10_000) {
        let last = members.min(first + 9_999).to_string();
        let (first, indexes) = (first.to_string(), ["{rc:0}:x:t:t", "{rc:0}:x:#all"]);
        let _: redis::Value =
            server.run(&["EVAL", MULTIPLY, "3", &original, indexes[0], indexes[1], &first, &last]);
    }
}

/// Until nothing but the metadata and the index of all is left.
async fn settled(server: &Server) {
    for _ in 0..6_000 {
        let left: i64 = server.run(&["DBSIZE"]);
        if left <= 2 {
            let _: i64 = server.run(&["UNLINK", "{rc:0}:x:#all"]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("reclaiming does not end");
}

fn since(start: Duration) -> f64 {
    SystemClock.monotonic().saturating_sub(start).as_nanos() as f64 / 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
