//! What many of something does: entries, invalidations, misses, threads; in the process.
//!
//! Times depend on what else the machine does; each part says which of its figures are ratios of
//! neighbouring rounds.

mod app;
mod churn;
mod cores;
mod memory;
mod misses;
mod ratio;
mod storm;

use crate::args::Scale;
use crate::error::Error;
use crate::say::{complain, say};
use crate::table::Table;

/// What a part measures, whether in small numbers only.
type Measure = fn(bool) -> Result<Table, Error>;

/// Names, titles and what is measured. Memory comes first, while the allocator has nothing to
/// give out again.
const PARTS: [(&str, &str, Measure); 8] = [
    ("memory", "10⁶ entries in memory: 1 KiB of body, 8 fields and 2 tags each", memory::measure),
    ("cores", "Hits in the process by one thread and by two", cores::measure),
    ("misses", "Storms of misses in the process", misses::measure),
    ("churn-misses", "Misses in a full store, one after the other", churn::misses),
    ("churn-puts", "What the full store does of it", churn::puts),
    ("ratio", "Hit ratios (%) beside plain quick_cache of the same capacity", ratio::measure),
    ("storm-memory", "Hits beside 1 000 invalidations a second, in memory", storm::in_memory),
    ("storm-redis", "The same on Redis", storm::on_redis),
];

/// Measures, and prints the tables.
pub(crate) fn run(options: &Scale) -> Result<(), Error> {
    measure(options, |title, table| say(format_args!("### {title}\n\n{table}")))
}

/// Measures; gives each table as soon as it is known.
pub(crate) fn measure(
    options: &Scale,
    mut give: impl FnMut(&'static str, Table),
) -> Result<(), Error> {
    let only = options.only.as_deref().unwrap_or_default();
    let mut parts = PARTS.iter().filter(|(name, ..)| name.contains(only)).peekable();
    if parts.peek().is_none() {
        return Err(Error::other(format!("no part of scale is named '{only}'")));
    }
    for (name, title, part) in parts {
        complain(format_args!("scale: {name}"));
        give(title, part(options.smoke)?);
    }
    Ok(())
}
