//! How long an invalidation takes by the number of entries under its tag, and what other clients
//! of the same Redis notice of the reclaiming. Starts a `redis-server` of its own.
//!
//! `cargo bench -p cache-redis --bench invalidation`; a few minutes, the figures of 10⁶ members
//! first. Ratios are medians of pairs taken in turns.
//!
//! The store writes one entry; a script inside Redis copies it and its names in the indexes, as
//! other processes would have left them. No name of the store is spelled here.

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
use std::thread::JoinHandle;
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

/// Pairs of few and many members.
const PAIRS: usize = 5;

/// Few members.
const FEW: u32 = 100;

/// Members that one run of [`MULTIPLY`] adds.
const BATCH: u32 = 1_000;

/// Commands that take longer, in microseconds, are logged by the server.
const SLOW: &str = "500";

/// How long the second client is watched while nothing happens.
const QUIET: Duration = Duration::from_secs(3);

/// Copies the entry KEYS[1] to the names ARGV[1] + member for the members ARGV[2] to ARGV[3], and
/// adds those to the other KEYS, the indexes.
const MULTIPLY: &str = "
local bytes = redis.call('GET', KEYS[1])
local members = {}
for i = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local member = string.format('%064x', i)
  redis.call('SET', ARGV[1] .. member, bytes, 'PX', 3600000)
  members[#members + 1] = member
end
for k = 2, #KEYS do
  redis.call('SADD', KEYS[k], unpack(members))
  redis.call('PEXPIRE', KEYS[k], 3600000)
end";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // A test runner that asks which tests are here: none.
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    // `cargo test --benches` runs it briefly, to see that it works.
    let whole = std::env::args().any(|arg| arg == "--bench");
    let many = if whole { 1_000_000 } else { 2_000 };
    let server = Server::start(&["--slowlog-log-slower-than", SLOW, "--slowlog-max-len", "10000"]);
    quiet(&server, if whole { QUIET } else { QUIET / 30 }).await;
    pause_of_others(&server, many).await;
    in_force(&server, many).await;
    within_budget(&server, many.min(2_000)).await;
    within_budget(&server, many).await;
}

/// What the second client sees while nobody else asks: the machine's own pauses, first with a core
/// to spare, then beside a thread that only keeps one busy, as the store's process will.
async fn quiet(server: &Server, lasts: Duration) {
    let watch = Watch::begin(server);
    tokio::time::sleep(lasts).await;
    println!("others, nothing else going on: {}", watch.end());
    let stop = Arc::new(AtomicBool::new(false));
    let busy = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    });
    let watch = Watch::begin(server);
    tokio::time::sleep(lasts).await;
    println!("others, a core kept busy: {}", watch.end());
    stop.store(true, Ordering::Relaxed);
    busy.join().expect("no panic");
}

/// A second client asks for a small value all the time, while so many entries are reclaimed.
async fn pause_of_others(server: &Server, many: u32) {
    let store = store(server, Some((0, Duration::ZERO))).await;
    fill(server, &store, many).await;
    let _: String = server.run(&["SLOWLOG", "RESET"]);
    let _: String = server.run(&["CONFIG", "RESETSTAT"]);
    let watch = Watch::begin(server);
    let start = SystemClock.monotonic();
    invalidate(&store).await;
    reclaimed(server).await;
    let took = since(start) / 1e6;
    println!("others while {many} entries are reclaimed in {took:.1} s: {}", watch.end());
    println!("  the server's own account of its commands: {}", account(server));
    wiped(server).await;
}

/// Reclaim budget 0: the invalidation returns as soon as it is in force.
async fn in_force(server: &Server, many: u32) {
    let store = store(server, Some((0, Duration::ZERO))).await;
    let (mut large, mut small, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let few = timed(server, &store, FEW).await;
        let lots = timed(server, &store, many).await;
        ratios.push(lots / few);
        small.push(few);
        large.push(lots);
    }
    println!(
        "in force, budget 0: {:.0} µs with {FEW} members, {:.0} µs with {many} = {:.2} ×",
        median(&mut small),
        median(&mut large),
        median(&mut ratios),
    );
}

/// The default budget: 10 000 entries or 20 ms, whichever ends first; with more members, at once.
async fn within_budget(server: &Server, many: u32) {
    let store = store(server, None).await;
    let mut times = Vec::new();
    for _ in 0..PAIRS {
        times.push(timed(server, &store, many).await);
    }
    println!("returned, default budget: {:.1} ms with {many} members", median(&mut times) / 1e3);
}

/// The time, in microseconds, of one invalidation of a tag with so many members.
async fn timed(server: &Server, store: &RedisStore, members: u32) -> f64 {
    fill(server, store, members).await;
    let start = SystemClock.monotonic();
    invalidate(store).await;
    let took = since(start);
    wiped(server).await;
    took
}

async fn invalidate(store: &RedisStore) {
    let tags = Selection::Tags(Tags::user(["t"]).expect("tags"));
    store.invalidate(&tags).await.expect("in force");
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

/// One entry of the store's own, and copies of it: so many members under the tag.
async fn fill(server: &Server, store: &RedisStore, members: u32) {
    let key = Key::new(Digest::of(b"original"));
    let ticket = store.begin(&key).await.expect("a ticket");
    let until = SystemClock.now() + Duration::from_secs(3_600);
    let content = Content::Variants(VariantRecord::default());
    let tags = Tags::user(["t"]).expect("tags");
    let body = Bytes::from_static(&[b'x'; 100]);
    store.put(ticket, Entry::new(key, tags, until, content, body)).await.expect("stored");

    let member = key.primary().to_hex();
    let names = store.keys(100).await.expect("listed");
    let entry = names.iter().find(|name| name.ends_with(&member)).expect("an entry");
    let before = entry.strip_suffix(&member).expect("its name ends so");
    let is_set = |name: &&String| server.run::<String>(&["TYPE", name]) == "set";
    let indexes: Vec<&String> = names.iter().filter(is_set).collect();
    let count = (1 + indexes.len()).to_string();

    let mut connection = server.raw();
    for first in (1..members).step_by(BATCH as usize) {
        let last = (members - 1).min(first + BATCH - 1);
        let mut eval = redis::cmd("EVAL");
        eval.arg(MULTIPLY).arg(&count).arg(entry).arg(&indexes).arg(before).arg(first).arg(last);
        eval.exec(&mut connection).expect("multiplied");
    }
}

/// Until nothing but the metadata and the index of all is left.
async fn reclaimed(server: &Server) {
    for _ in 0..30_000 {
        if server.run::<i64>(&["DBSIZE"]) <= 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("reclaiming does not end");
}

/// Throws away what is left, so that work in the background ends, and waits until it is freed.
async fn wiped(server: &Server) {
    let _: String = server.run(&["FLUSHALL", "ASYNC"]);
    for _ in 0..3_000 {
        let memory: String = server.run(&["INFO", "memory"]);
        if memory.lines().any(|line| line == "lazyfree_pending_objects:0") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("freeing does not end");
}

/// The server's own account: what held others up, if the machine did not. Its time is that of the
/// clock, so a server that was not let run has slow commands, too; the average tells them apart.
fn account(server: &Server) -> String {
    type Logged = (i64, i64, i64, Vec<String>, String, String);
    let log: Vec<Logged> = server.run(&["SLOWLOG", "GET", "-1"]);
    let ours: Vec<&Logged> = log.iter().filter(|logged| logged.3[0] != "SLOWLOG").collect();
    let slowest = ours.iter().max_by_key(|logged| logged.2).map_or_else(
        || "none".to_owned(),
        |(_, _, micros, command, ..)| format!("{} in {:.2} ms", command[0], *micros as f64 / 1e3),
    );
    let stats: String = server.run(&["INFO", "commandstats"]);
    let of = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        let field =
            line.and_then(|line| line.split(',').find_map(|f| f.strip_prefix("usec_per_call=")));
        format!("{name} {} µs", field.unwrap_or("-"))
    };
    format!(
        "on average {}, {}; above {SLOW} µs {}, slowest {slowest}",
        of("evalsha"),
        of("spop"),
        ours.len(),
    )
}

/// A second client, on a thread of its own, that asks for a small value all the time.
struct Watch {
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Vec<f64>>,
}

impl Watch {
    fn begin(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = server.raw();
        let asking = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
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
        Self { stop, asking }
    }

    fn end(self) -> String {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.asking.join().expect("no panic");
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize] / 1e3;
        format!(
            "{} GETs, median {:.3} ms, 99.9 % {:.2} ms, worst {:.2} ms",
            times.len(),
            at(0.5),
            at(0.999),
            at(1.0),
        )
    }
}

fn since(start: Duration) -> f64 {
    SystemClock.monotonic().saturating_sub(start).as_nanos() as f64 / 1e3
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
