//! Whether marks, tickets and weights cost hits: the memory store beside the plain cache that it
//! is built on, both with room for the same number of entries.

use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{Lookup, Store as _};
use cache_core::tag::Tags;
use cache_memory::MemoryStore;

use crate::error::Error;
use crate::table::Table;

const EXPONENT: f64 = 0.9;

/// Of all keys there is room for, in percent.
const CAPACITIES: [usize; 3] = [1, 5, 10];

pub(crate) fn measure(smoke: bool) -> Result<Table, Error> {
    let (keys, requests) = if smoke { (2_000, 10_000) } else { (100_000, 3_000_000) };
    let runtime = super::app::runtime(1)?;
    let zipf = zipf(keys, requests);
    let scans = with_scans(&zipf, keys);
    let mut table = Table::new(&["requests", "room", "memory store", "quick_cache", "points"]);
    for (name, trace) in [("Zipf 0.9", &zipf), ("the same with scans", &scans)] {
        for percent in CAPACITIES {
            let room = keys * percent / 100;
            let ours = runtime.block_on(ours(trace, room))?;
            let plain = plain(trace, room);
            table.row([
                name.to_owned(),
                format!("{percent} %"),
                format!("{ours:.2}"),
                format!("{plain:.2}"),
                format!("{:+.2}", ours - plain),
            ]);
        }
    }
    Ok(table)
}

/// Hits of all requests, in percent.
async fn ours(trace: &[u32], room: usize) -> Result<f64, Error> {
    // Each counts its share of the bytes, which is more than it weighs.
    let store = MemoryStore::builder()
        .max_bytes(room as u64 * 8192)
        .max_body(1 << 10)
        .max_entries(room)
        .build()
        .map_err(|error| Error::other(error.to_string()))?;
    let keep_until = SystemClock.now() + Duration::from_secs(3_600);
    let mut hits = 0;
    for number in trace {
        let key = Key::new(Digest::of(&number.to_be_bytes()));
        let looked = store.lookup(&key, &[]).await;
        match looked.map_err(|error| Error::other(error.to_string()))? {
            Lookup::Miss(ticket) => {
                let content = Content::Variants(VariantRecord::default());
                let entry = Entry::new(key, Tags::default(), keep_until, content, Bytes::new());
                let put = store.put(ticket, entry).await;
                put.map_err(|error| Error::other(error.to_string()))?;
            }
            _ => hits += 1,
        }
    }
    Ok(f64::from(hits) * 100.0 / trace.len() as f64)
}

fn plain(trace: &[u32], room: usize) -> f64 {
    let cache = quick_cache::sync::Cache::new(room);
    let mut hits = 0;
    for number in trace {
        if cache.get(number).is_some() {
            hits += 1;
        } else {
            cache.insert(*number, ());
        }
    }
    f64::from(hits) * 100.0 / trace.len() as f64
}

/// Numbers below `keys`, the nth as often as 1 ÷ n to the power of the exponent.
fn zipf(keys: usize, requests: usize) -> Vec<u32> {
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=keys)
        .map(|rank| {
            sum += (rank as f64).powf(-EXPONENT);
            sum
        })
        .collect();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let below = |chosen: f64| sums.partition_point(|reached| *reached < chosen).min(keys - 1);
    (0..requests).map(|_| below(random.next() * sum) as u32).collect()
}

/// After every twenty times as many requests, a twentieth of all keys is asked for that nobody
/// asks for again.
fn with_scans(trace: &[u32], keys: usize) -> Vec<u32> {
    let length = keys / 20;
    let mut next = keys as u32;
    let mut mixed = Vec::with_capacity(trace.len() + trace.len() / 20);
    for part in trace.chunks(length * 20) {
        mixed.extend_from_slice(part);
        mixed.extend(next..next + length as u32);
        next += length as u32;
    }
    mixed
}

/// Xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    /// At least 0, below 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_is_asked_for_most() {
        let trace = zipf(1_000, 50_000);
        let times = |key: u32| trace.iter().filter(|asked| **asked == key).count() as f64;
        let expected = 2_f64.powf(EXPONENT);
        assert!((times(0) / times(1) - expected).abs() < 0.2, "{} {}", times(0), times(1));
        assert!(trace.iter().all(|key| *key < 1_000));
    }

    #[test]
    fn a_scan_asks_for_what_nobody_asked_for() {
        let mixed = with_scans(&[1; 40], 20);
        assert_eq!(mixed.len(), 42);
        assert_eq!(mixed.iter().filter(|key| **key >= 20).copied().collect::<Vec<_>>(), [20, 21]);
    }
}
