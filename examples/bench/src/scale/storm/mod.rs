//! Hits beside a storm of invalidations: tags are invalidated in turn, a thousand a second. The
//! first pass meets the members of each tag, the later ones find none.
//!
//! A thousand tags with 10⁵ members each would be 10⁸ entries. Some of the tags have so many; the
//! others have fewer.

mod hits;
mod phase;
mod tags;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_core::Store;
use cache_core::clock::{Clock as _, SystemClock};
use cache_memory::MemoryStore;
use cache_redis::RedisStore;

use self::hits::{Load, hits};
use self::phase::{Busy, Phase};
use self::tags::{fill, invalidate};
use super::app::{App, Handler, ask, runtime};
use crate::error::Error;
use crate::servers::{Redis, pin_this_thread};
use crate::table::{Table, grouped};

/// Entries that hits ask for in turn.
const HOT: usize = 1_000;

#[derive(Clone, Copy, Debug)]
struct Size {
    tags: usize,
    /// Every so manieth tag is a large one.
    large_every: usize,
    large: usize,
    small: usize,
    /// How long each of the three phases is watched, the first pass at least.
    watched: Duration,
    /// Requests under way at once.
    askers: usize,
}

const SMOKE: Size = Size {
    tags: 20,
    large_every: 10,
    large: 200,
    small: 20,
    watched: Duration::from_millis(100),
    askers: 2,
};

pub(crate) fn in_memory(smoke: bool) -> Result<Table, Error> {
    let whole = Size {
        tags: 1_000,
        large_every: 50,
        large: 100_000,
        small: 1_000,
        watched: Duration::from_secs(3),
        askers: 1,
    };
    let store = MemoryStore::builder().max_bytes(64 << 30).build();
    let store = store.map_err(|error| Error::other(error.to_string()))?;
    let size = if smoke { SMOKE } else { whole };
    let mut table = table();
    runtime(2)?.block_on(async {
        fill(&store, size).await?;
        storm(store, size, Load::AtOnce(size.askers), None, &mut table).await
    })?;
    Ok(table)
}

/// Smaller: every member is written over the wire. Redis has the last core to itself.
///
/// Twice: with the server as busy as can be, where anything else that it does is time that hits
/// wait; then at a quarter of that rate, which leaves the load something of its core.
pub(crate) fn on_redis(smoke: bool) -> Result<Table, Error> {
    let whole = Size {
        tags: 1_000,
        large_every: 500,
        large: 100_000,
        small: 100,
        watched: Duration::from_secs(3),
        askers: 16,
    };
    let size = if smoke { SMOKE } else { whole };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let others = (cores - 1).max(1);
    // A thread of its own: what it starts stays on its cores, and only that.
    let measured = std::thread::scope(|scope| {
        let measuring = scope.spawn(|| {
            pin_this_thread(&format!("0-{}", others - 1))?;
            let mut table = table();
            let quiet =
                beside_redis(cores - 1, others, size, Load::AtOnce(size.askers), &mut table)?;
            beside_redis(cores - 1, others, size, Load::Paced(quiet / 4), &mut table)?;
            Ok(table)
        });
        measuring.join()
    });
    measured.unwrap_or_else(|_| Err(Error::other("measuring panicked")))
}

/// Gives the hits a second while nothing else goes on.
fn beside_redis(
    core: usize,
    threads: usize,
    size: Size,
    load: Load,
    table: &mut Table,
) -> Result<u64, Error> {
    let redis = Redis::start(core)?;
    runtime(threads)?.block_on(async {
        let failed = |error: &dyn std::fmt::Display| Error::other(error.to_string());
        // What fills may wait as long as it likes; what is measured has the usual limits.
        let patient = RedisStore::builder(&redis.url()).map_err(|error| failed(&error))?;
        let patient = patient.with_response_limit(Duration::from_secs(30)).connect().await;
        fill(&patient.map_err(|error| failed(&error))?, size).await?;
        let store = RedisStore::connect(&redis.url()).await.map_err(|error| failed(&error))?;
        storm(store, size, load, Some(&redis), table).await
    })
}

/// Measures the phases, a row of the table each. Gives the hits a second of the first.
async fn storm<S: Store + Clone>(
    store: S,
    size: Size,
    load: Load,
    redis: Option<&Redis>,
    table: &mut Table,
) -> Result<u64, Error> {
    let handler = Handler::default();
    let (_, service) = handler.cached(store.clone())?;
    for number in 0..HOT {
        ask(&service, number).await?;
    }
    let members = format!(
        "first pass: {} tags of {}, {} of {}",
        size.tags / size.large_every,
        grouped(size.large as u64),
        size.tags - size.tags / size.large_every,
        grouped(size.small as u64)
    );
    let quiet = match load {
        Load::AtOnce(askers) => format!("{askers} at once, quiet"),
        Load::Paced(rate) => format!("{} a second, quiet", grouped(rate)),
    };
    let (mut base, mut rate) = (None, 0);
    for (name, passes) in [
        (quiet, None),
        (members, Some(true)),
        ("later passes".to_owned(), Some(false)),
        ("quiet again".to_owned(), None),
    ] {
        let (ran, busy) = (handler.runs(), Busy::now(redis)?);
        let (mut hits, storm) = match passes {
            Some(one_pass) => beside(&store, &service, size, load, one_pass).await?,
            None => (hits(&service, load, &until(size.watched)).await?, Phase::default()),
        };
        let shares = Busy::now(redis)?.since(busy);
        let base = *base.get_or_insert_with(|| {
            rate = hits.per_second();
            hits.percentile(99.0)
        });
        table.row(row(name, hits, handler.runs() - ran, shares, storm, base));
    }
    Ok(rate)
}

fn table() -> Table {
    Table::new(&[
        "phase",
        "hits/s",
        "p50 µs",
        "p99 µs",
        "÷ quiet",
        "no hits",
        "own CPU %",
        "Redis CPU %",
        "invalidations/s",
        "p50 µs",
        "p99 µs",
        "failed",
    ])
}

fn row(
    name: String,
    mut hits: Phase,
    missed: usize,
    [own, redis]: [String; 2],
    mut storm: Phase,
    base: u32,
) -> [String; 12] {
    let p99 = hits.percentile(99.0);
    let none = storm.nanos.is_empty();
    let or_none = |text: String| if none { "–".to_owned() } else { text };
    [
        name,
        grouped(hits.per_second()),
        hits.micros(50.0),
        hits.micros(99.0),
        format!("{:.2}", f64::from(p99) / f64::from(base.max(1))),
        missed.to_string(),
        own,
        redis,
        or_none(grouped(storm.per_second())),
        or_none(storm.micros(50.0)),
        or_none(storm.micros(99.0)),
        or_none(storm.failed.to_string()),
    ]
}

/// Hits and invalidations beside each other: one pass, or as long as is watched.
async fn beside<S: Store + Clone, A: App>(
    store: &S,
    service: &A,
    size: Size,
    load: Load,
    one_pass: bool,
) -> Result<(Phase, Phase), Error> {
    let over = Arc::new(AtomicBool::new(false));
    let storming = tokio::spawn(invalidate(store.clone(), size, one_pass, Arc::clone(&over)));
    let hits = hits(service, load, &|| over.load(Ordering::Relaxed)).await?;
    let storm = storming.await.map_err(|error| Error::other(error.to_string()))??;
    Ok((hits, storm))
}

fn until(time: Duration) -> impl Fn() -> bool {
    let end = SystemClock.monotonic() + time;
    move || SystemClock.monotonic() >= end
}
