//! Misses one after the other in a store that is full: for each entry that comes in, one goes.
//!
//! What goes was last touched as many entries ago as the part of the store holds that new entries
//! go through: neither it nor what leads to it lies near the processor any more.

use std::ops::Range;

use cache_core::entry::Entry;
use cache_core::key::{Digest, Key};
use cache_core::store::{Lookup, PutOutcome, Store as _};
use cache_memory::MemoryStore;

use super::app::{App, Handler, ask};
use super::memory::entry;
use crate::error::Error;
use crate::figures::spread;
use crate::table::Table;

/// More than the store holds.
const FILL: usize = 250_000;
const ROUND: usize = 20_000;
const ROUNDS: usize = 9;

/// Of whole requests.
pub(crate) fn misses(smoke: bool) -> Result<Table, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("making a runtime"))?;
    let handler = Handler::default();
    let bare = handler.bare();
    let (_cache, cached) = handler.cached(MemoryStore::new())?;
    in_turns(
        smoke,
        ("bare handler", |numbers| runtime.block_on(asked(&bare, numbers))),
        ("miss around it", |numbers| runtime.block_on(asked(&cached, numbers))),
    )
}

/// Of the store's part.
pub(crate) fn puts(smoke: bool) -> Result<Table, Error> {
    let store = MemoryStore::new();
    in_turns(
        smoke,
        ("an entry made and dropped", makes),
        ("looked for in vain, and put", |numbers| put(&store, numbers)),
    )
}

/// Both measure the processor time of one piece of work, in µs.
fn in_turns(
    smoke: bool,
    (base, without): (&str, impl Fn(Range<usize>) -> Result<f64, Error>),
    (name, with): (&str, impl Fn(Range<usize>) -> Result<f64, Error>),
) -> Result<Table, Error> {
    let (fill, round, rounds) = if smoke { (100, 100, 1) } else { (FILL, ROUND, ROUNDS) };
    with(0..fill)?;
    let (mut bases, mut times, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..rounds).map(|number| fill + number * round) {
        let (least, time) = (without(start..start + round)?, with(start..start + round)?);
        bases.push(least);
        times.push(time);
        more.push(time - least);
    }
    let mut table = Table::new(&["", "µs each", "spread", "more", "spread of that"]);
    let row = |name: &str, times, more| {
        let [(low, middle, high), (least, median, most)] = [spread(times), spread(more)];
        [
            name.to_owned(),
            format!("{middle:.2}"),
            format!("{low:.2}–{high:.2}"),
            format!("{median:.2}"),
            format!("{least:.2}–{most:.2}"),
        ]
    };
    table.row(row(base, bases, vec![0.0]));
    table.row(row(name, times, more));
    Ok(table)
}

/// Processor time of one request, in µs.
async fn asked<S: App>(service: &S, numbers: Range<usize>) -> Result<f64, Error> {
    let (count, start) = (numbers.len(), on_cpu()?);
    for number in numbers {
        ask(service, number).await?;
    }
    Ok((on_cpu()? - start) / 1e3 / count as f64)
}

/// The same of a lookup that finds nothing, and of a put.
fn put(store: &MemoryStore, numbers: Range<usize>) -> Result<f64, Error> {
    timed(numbers, |number| {
        let entry = made(number)?;
        let Some(Lookup::Miss(ticket)) = store.try_lookup(&entry.key(), &[]) else {
            return Err(Error::other(format!("entry {number} is there already")));
        };
        match store.try_put(ticket, entry) {
            Ok(PutOutcome::Stored) => Ok(()),
            other => Err(Error::other(format!("entry {number}: {other:?}"))),
        }
    })
}

fn makes(numbers: Range<usize>) -> Result<f64, Error> {
    timed(numbers, |number| made(number).map(drop))
}

fn made(number: usize) -> Result<Entry, Error> {
    entry(Key::new(Digest::of(&number.to_be_bytes())), number)
}

fn timed(
    mut numbers: Range<usize>,
    mut work: impl FnMut(usize) -> Result<(), Error>,
) -> Result<f64, Error> {
    let (count, start) = (numbers.len(), on_cpu()?);
    numbers.try_for_each(&mut work)?;
    Ok((on_cpu()? - start) / 1e3 / count as f64)
}

/// For how many nanoseconds this thread has run.
fn on_cpu() -> Result<f64, Error> {
    // The system counts when it looks at its threads.
    std::thread::yield_now();
    let path = "/proc/thread-self/schedstat";
    let stat = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let first = stat.split_whitespace().next().and_then(|number| number.parse().ok());
    first.ok_or_else(|| Error::other("no number in /proc/thread-self/schedstat"))
}
