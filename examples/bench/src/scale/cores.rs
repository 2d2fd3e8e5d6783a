//! One thread beside two, each with a runtime of its own, as a server per core has it.

use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use cache_memory::MemoryStore;

use super::app::{App, Handler, ask};
use crate::error::Error;
use crate::figures::{median, spread};
use crate::table::{Table, grouped};

/// Entries that are asked for in turn.
const ENTRIES: usize = 1_000;

/// Between two looks at the clock.
const BATCH: usize = 100;

pub(crate) fn measure(smoke: bool) -> Result<Table, Error> {
    let (pairs, time) =
        if smoke { (1, Duration::from_millis(20)) } else { (5, Duration::from_secs(1)) };
    let handler = Handler::default();
    let (_, cached) = handler.cached(MemoryStore::new())?;
    let mut table =
        Table::new(&["application", "req/s by one", "req/s by two", "two ÷ one", "spread"]);
    table.row(row("bare handler", &handler.bare(), pairs, time)?);
    table.row(row("hit around it", &cached, pairs, time)?);
    Ok(table)
}

fn row<S: App>(
    name: &str,
    service: &S,
    pairs: usize,
    time: Duration,
) -> Result<[String; 5], Error> {
    let (mut ones, mut twos, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    per_second(service, 1, time / 10)?;
    for _ in 0..pairs {
        let (one, two) = (per_second(service, 1, time)?, per_second(service, 2, time)?);
        ones.push(one);
        twos.push(two);
        ratios.push(two / one);
    }
    let (low, middle, high) = spread(ratios);
    Ok([
        name.to_owned(),
        grouped(median(ones) as u64),
        grouped(median(twos) as u64),
        format!("{middle:.2}"),
        format!("{low:.2}–{high:.2}"),
    ])
}

fn per_second<S: App>(service: &S, threads: usize, time: Duration) -> Result<f64, Error> {
    let until = SystemClock.monotonic() + time;
    let counts: Result<Vec<usize>, Error> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| one(service, until))).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended.map(|count| count.map_err(|_| Error::other("a thread has panicked"))?).collect()
    });
    Ok(counts?.iter().sum::<usize>() as f64 / time.as_secs_f64())
}

/// How many requests one thread makes.
fn one<S: App>(service: &S, until: Duration) -> Result<usize, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("making a runtime"))?.block_on(async {
        let mut count = 0;
        while SystemClock.monotonic() < until {
            for _ in 0..BATCH {
                ask(service, count % ENTRIES).await?;
                count += 1;
            }
        }
        Ok(count)
    })
}
