//! Many requests that nothing is stored for, at once.

use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use cache_memory::MemoryStore;
use tokio::task::JoinSet;

use super::app::{App, Handler, ask, runtime};
use crate::error::Error;
use crate::figures::{median, spread};
use crate::table::Table;

/// How long the handler works that many wait for.
const WORK: Duration = Duration::from_millis(20);

pub(crate) fn measure(smoke: bool) -> Result<Table, Error> {
    let (pairs, requests) = if smoke { (1, 100) } else { (5, 10_000) };
    let mut table =
        Table::new(&["storm", "requests", "bare", "cached", "÷ bare", "spread", "handler runs"]);
    table.row(distinct(pairs, requests)?);
    table.row(one_key(pairs, requests / 10)?);
    Ok(table)
}

/// Each its own key: what a miss costs beside the bare handler.
fn distinct(pairs: usize, requests: usize) -> Result<[String; 7], Error> {
    let runtime = runtime(2)?;
    let handler = Handler::default();
    let (mut bare, mut cached, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut runs = 0;
    for _ in 0..pairs {
        let without = runtime.block_on(all_at_once(&handler.bare(), requests, |n| n))?;
        let before = handler.runs();
        let (_, service) = handler.cached(MemoryStore::new())?;
        let with = runtime.block_on(all_at_once(&service, requests, |n| n))?;
        runs = handler.runs() - before;
        ratios.push(with.as_secs_f64() / without.as_secs_f64());
        bare.push(without.as_secs_f64() * 1e6 / requests as f64);
        cached.push(with.as_secs_f64() * 1e6 / requests as f64);
    }
    let (low, middle, high) = spread(ratios);
    Ok([
        "distinct keys".to_owned(),
        requests.to_string(),
        format!("{:.1} µs each", median(bare)),
        format!("{:.1} µs each", median(cached)),
        format!("{middle:.2}"),
        format!("{low:.2}–{high:.2}"),
        runs.to_string(),
    ])
}

/// All for one key: the handler works once, and nobody waits much longer than it works.
fn one_key(pairs: usize, requests: usize) -> Result<[String; 7], Error> {
    let runtime = runtime(2)?;
    let handler = Handler::taking(WORK);
    let (mut bare, mut cached, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut runs = 0;
    for _ in 0..pairs {
        let without = runtime.block_on(all_at_once(&handler.bare(), requests, |_| 0))?;
        let before = handler.runs();
        let (_, service) = handler.cached(MemoryStore::new())?;
        let with = runtime.block_on(all_at_once(&service, requests, |_| 0))?;
        runs = handler.runs() - before;
        ratios.push(with.as_secs_f64() / without.as_secs_f64());
        bare.push(without.as_secs_f64() * 1e3);
        cached.push(with.as_secs_f64() * 1e3);
    }
    let (low, middle, high) = spread(ratios);
    Ok([
        format!("one key, the handler works {WORK:?}"),
        requests.to_string(),
        format!("{:.1} ms in all", median(bare)),
        format!("{:.1} ms in all", median(cached)),
        format!("{middle:.2}"),
        format!("{low:.2}–{high:.2}"),
        runs.to_string(),
    ])
}

/// How long it takes until all requests are answered.
async fn all_at_once<S: App>(
    service: &S,
    requests: usize,
    key: fn(usize) -> usize,
) -> Result<Duration, Error> {
    let start = SystemClock.monotonic();
    let mut asking = JoinSet::new();
    for number in 0..requests {
        let service = service.clone();
        asking.spawn(async move { ask(&service, key(number)).await });
    }
    while let Some(answered) = asking.join_next().await {
        answered.map_err(|error| Error::other(error.to_string()))??;
    }
    Ok(SystemClock.monotonic().saturating_sub(start))
}
