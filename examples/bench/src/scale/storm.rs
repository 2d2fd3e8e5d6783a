//! Hits beside a storm of invalidations: tags are invalidated in turn, a thousand a second. The
//! first pass meets the members of each tag, the later ones find none.
//!
//! A thousand tags with 10⁵ members each would be 10⁸ entries. Some of the tags have so many; the
//! others have fewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_core::Store;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{PutOutcome, Selection};
use cache_core::tag::Tags;
use cache_memory::MemoryStore;
use cache_redis::RedisStore;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::app::{App, Handler, ask, runtime};
use crate::error::Error;
use crate::figures::percentile;
use crate::servers::Redis;
use crate::table::{Table, grouped};

/// Between two invalidations.
const PACE: Duration = Duration::from_millis(1);

/// Invalidations that may be under way at once. More wait, and come late.
const AT_ONCE: usize = 64;

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
    runtime(2)?.block_on(async {
        fill(&store, size).await?;
        storm(store, size).await
    })
}

/// Smaller: every member is written over the wire. Redis is on the last core.
pub(crate) fn on_redis(smoke: bool) -> Result<Table, Error> {
    let whole = Size {
        tags: 1_000,
        large_every: 500,
        large: 100_000,
        small: 100,
        watched: Duration::from_secs(3),
        askers: 16,
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let redis = Redis::start(cores - 1)?;
    let size = if smoke { SMOKE } else { whole };
    runtime(2)?.block_on(async {
        let failed = |error: &dyn std::fmt::Display| Error::other(error.to_string());
        // What fills may wait as long as it likes; what is measured has the usual limits.
        let patient = RedisStore::builder(&redis.url()).map_err(|error| failed(&error))?;
        let patient = patient.with_response_limit(Duration::from_secs(30)).connect().await;
        fill(&patient.map_err(|error| failed(&error))?, size).await?;
        let store = RedisStore::connect(&redis.url()).await.map_err(|error| failed(&error))?;
        storm(store, size).await
    })
}

async fn storm<S: Store + Clone>(store: S, size: Size) -> Result<Table, Error> {
    let handler = Handler::default();
    let (_, service) = handler.cached(store.clone())?;
    for number in 0..HOT {
        ask(&service, number).await?;
    }
    let ran = || handler.runs();
    let mut runs = vec![ran()];
    let mut quiet = hits(&service, size, &until(size.watched)).await?;
    runs.push(ran());
    let first = beside(&store, &service, size, true).await?;
    runs.push(ran());
    let later = beside(&store, &service, size, false).await?;
    runs.push(ran());
    let mut missed = runs.windows(2).map(|runs| runs.iter().rev().copied().reduce(|a, b| a - b));
    let mut missed = || missed.next().flatten().unwrap_or(0);

    let mut table = Table::new(&[
        "phase",
        "hits/s",
        "p50 µs",
        "p99 µs",
        "÷ quiet",
        "no hits",
        "invalidations/s",
        "p50 µs",
        "p99 µs",
        "failed",
    ]);
    let base = percentile(&mut quiet.nanos, 99.0);
    let members = format!(
        "first pass: {} tags of {}, {} of {}",
        size.tags / size.large_every,
        grouped(size.large as u64),
        size.tags - size.tags / size.large_every,
        grouped(size.small as u64)
    );
    table.row(row("quiet".to_owned(), quiet, missed(), Phase::default(), base));
    table.row(row(members, first.0, missed(), first.1, base));
    table.row(row("later passes".to_owned(), later.0, missed(), later.1, base));
    Ok(table)
}

/// How an invalidation has ended: its time, unless it failed.
type Joined = Result<Result<Option<u32>, Error>, tokio::task::JoinError>;

/// Latencies of one phase.
#[derive(Debug, Default)]
struct Phase {
    nanos: Vec<u32>,
    took: Duration,
    /// Invalidations that gave an error: nothing is promised, and the caller would try again.
    failed: usize,
}

impl Phase {
    fn ended(&mut self, joined: Joined) -> Result<(), Error> {
        match joined.map_err(|error| Error::other(error.to_string()))?? {
            Some(nanos) => self.nanos.push(nanos),
            None => self.failed += 1,
        }
        Ok(())
    }

    fn per_second(&self) -> u64 {
        (self.nanos.len() as f64 / self.took.as_secs_f64().max(1e-9)) as u64
    }

    fn micros(&mut self, percent: f64) -> String {
        format!("{:.1}", f64::from(percentile(&mut self.nanos, percent)) / 1e3)
    }
}

fn row(name: String, mut hits: Phase, missed: usize, mut storm: Phase, base: u32) -> [String; 10] {
    let p99 = percentile(&mut hits.nanos, 99.0);
    let none = storm.nanos.is_empty();
    let or_none = |text: String| if none { "–".to_owned() } else { text };
    [
        name,
        grouped(hits.per_second()),
        hits.micros(50.0),
        hits.micros(99.0),
        format!("{:.2}", f64::from(p99) / f64::from(base.max(1))),
        missed.to_string(),
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
    one_pass: bool,
) -> Result<(Phase, Phase), Error> {
    let over = Arc::new(AtomicBool::new(false));
    let storming = tokio::spawn(invalidate(store.clone(), size, one_pass, Arc::clone(&over)));
    let hits = hits(service, size, &|| over.load(Ordering::Relaxed)).await?;
    let storm = storming.await.map_err(|error| Error::other(error.to_string()))??;
    Ok((hits, storm))
}

/// Invalidates tag after tag, each at its time if it can be.
async fn invalidate<S: Store + Clone>(
    store: S,
    size: Size,
    one_pass: bool,
    over: Arc<AtomicBool>,
) -> Result<Phase, Error> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let start = SystemClock.monotonic();
    let passes = if one_pass { 1 } else { usize::MAX };
    let mut under_way: JoinSet<Result<Option<u32>, Error>> = JoinSet::new();
    let mut phase = Phase::default();
    let mut at = start;
    'storm: for _ in 0..passes {
        for tag in 0..size.tags {
            let now = SystemClock.monotonic();
            if !one_pass && now.saturating_sub(start) >= size.watched {
                break 'storm;
            }
            tokio::time::sleep(at.saturating_sub(now)).await;
            at += PACE;
            let permit = Arc::clone(&room).acquire_owned().await;
            let permit = permit.map_err(|error| Error::other(error.to_string()))?;
            let store = store.clone();
            under_way.spawn(async move {
                let took = timed(&store, tag).await;
                drop(permit);
                took
            });
            while let Some(ended) = under_way.try_join_next() {
                phase.ended(ended)?;
            }
        }
    }
    while let Some(ended) = under_way.join_next().await {
        phase.ended(ended)?;
    }
    phase.took = SystemClock.monotonic().saturating_sub(start);
    over.store(true, Ordering::Relaxed);
    Ok(phase)
}

async fn timed<S: Store>(store: &S, tag: usize) -> Result<Option<u32>, Error> {
    let tags = Tags::user([name(tag)]).map_err(|error| Error::other(error.to_string()))?;
    let start = SystemClock.monotonic();
    let done = store.invalidate(&Selection::Tags(tags)).await;
    Ok(done.is_ok().then(|| since(start)))
}

/// Asks until it is over, by as many at once as wanted.
async fn hits<A: App>(
    service: &A,
    size: Size,
    is_over: &(impl Fn() -> bool + Sync),
) -> Result<Phase, Error> {
    let start = SystemClock.monotonic();
    let asking = (0..size.askers).map(|asker| async move {
        let (mut nanos, mut number) = (Vec::new(), asker * 31);
        while !is_over() {
            let start = SystemClock.monotonic();
            ask(service, number % HOT).await?;
            nanos.push(since(start));
            number += 1;
            // A request that need not wait never gives way to the others here.
            if number % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok::<_, Error>(nanos)
    });
    let nanos = futures_util::future::try_join_all(asking).await?.concat();
    Ok(Phase { nanos, took: SystemClock.monotonic().saturating_sub(start), failed: 0 })
}

fn until(time: Duration) -> impl Fn() -> bool {
    let end = SystemClock.monotonic() + time;
    move || SystemClock.monotonic() >= end
}

/// All members of all tags, each with that tag alone.
async fn fill<S: Store + Clone>(store: &S, size: Size) -> Result<(), Error> {
    let keep_until = SystemClock.now() + Duration::from_secs(3_600);
    for tag in 0..size.tags {
        let members = if tag % size.large_every == 0 { size.large } else { size.small };
        let tags = Tags::user([name(tag)]).map_err(|error| Error::other(error.to_string()))?;
        let numbers: Vec<usize> = (0..members).collect();
        for some in numbers.chunks(AT_ONCE) {
            let puts = some.iter().map(|member| {
                let key = Key::new(Digest::of(format!("{tag}.{member}").as_bytes()));
                let content = Content::Variants(VariantRecord::default());
                put(store, Entry::new(key, tags.clone(), keep_until, content, Bytes::new()))
            });
            futures_util::future::try_join_all(puts).await?;
        }
    }
    Ok(())
}

async fn put<S: Store>(store: &S, entry: Entry) -> Result<(), Error> {
    let ticket = store.begin(&entry.key()).await;
    let ticket = ticket.map_err(|error| Error::other(error.to_string()))?;
    match store.put(ticket, entry).await {
        Ok(PutOutcome::Stored) => Ok(()),
        other => Err(Error::other(format!("put: {other:?}"))),
    }
}

fn name(tag: usize) -> String {
    format!("storm:{tag}")
}

fn since(start: Duration) -> u32 {
    u32::try_from(SystemClock.monotonic().saturating_sub(start).as_nanos()).unwrap_or(u32::MAX)
}
