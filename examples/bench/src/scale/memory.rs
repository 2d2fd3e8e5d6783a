//! A million entries: what each takes beyond its payload, and what finding one costs.

use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::{Content, Entry, Life, StoredHead};
use cache_core::key::vary::Presented;
use cache_core::key::{Digest, Key};
use cache_core::store::{Lookup, PutOutcome, Store as _};
use cache_core::tag::Tags;
use cache_memory::MemoryStore;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::error::Error;
use crate::table::{Table, grouped};

const BODY: usize = 1 << 10;
const LOOKUPS: usize = 1_000_000;

/// Apart from each other, so that neighbours in time are none in memory: a prime that divides
/// neither number of entries.
const STEP: usize = 7_368_787;

pub(crate) fn measure(smoke: bool) -> Result<Table, Error> {
    let counts = if smoke { [100, 1_000] } else { [1_000, 1_000_000] };
    let runtime = super::app::runtime(1)?;
    let mut table = Table::new(&[
        "entries",
        "µs a put",
        "ns a lookup",
        "resident bytes an entry",
        "payload",
        "beyond",
    ]);
    for count in counts {
        table.row(runtime.block_on(filled(count))?);
    }
    Ok(table)
}

async fn filled(count: usize) -> Result<[String; 6], Error> {
    let store = MemoryStore::builder().max_bytes(64 << 30).max_entries(count * 2).build();
    let store = store.map_err(|error| Error::other(error.to_string()))?;
    let keys: Vec<Key> = (0..count).map(|n| Key::new(Digest::of(&n.to_be_bytes()))).collect();
    let before = resident()?;
    let start = SystemClock.monotonic();
    let mut payload = 0;
    for (number, key) in keys.iter().enumerate() {
        let entry = entry(*key, number)?;
        payload = payload_of(&entry);
        let ticket = store.begin(key).await.map_err(|error| Error::other(error.to_string()))?;
        let put = store.put(ticket, entry).await;
        if !matches!(put, Ok(PutOutcome::Stored)) {
            return Err(Error::other(format!("entry {number}: {put:?}")));
        }
    }
    let put = SystemClock.monotonic().saturating_sub(start);
    let each = resident()?.saturating_sub(before) / count;

    let start = SystemClock.monotonic();
    let asked = (0..LOOKUPS).filter_map(|n| keys.get(n.wrapping_mul(STEP) % count));
    let found = asked.filter(|key| matches!(store.try_lookup(key, &[]), Some(Lookup::Found(..))));
    if found.count() != LOOKUPS {
        return Err(Error::other("an entry was not found again"));
    }
    let lookup = SystemClock.monotonic().saturating_sub(start);
    // Of a few entries the resident memory is not known exactly enough.
    let known = count >= 1_000_000;
    let bytes = |bytes: usize| if known { bytes.to_string() } else { "–".to_owned() };
    Ok([
        grouped(count as u64),
        format!("{:.2}", put.as_secs_f64() * 1e6 / count as f64),
        format!("{:.0}", lookup.as_secs_f64() * 1e9 / LOOKUPS as f64),
        bytes(each),
        payload.to_string(),
        bytes(each.saturating_sub(payload)),
    ])
}

/// An entry as a response of its own makes it: nothing is shared with others.
pub(super) fn entry(key: Key, number: usize) -> Result<Entry, Error> {
    let names: [HeaderName; 8] = [
        header::CONTENT_TYPE,
        header::ETAG,
        header::LAST_MODIFIED,
        header::CACHE_CONTROL,
        header::CONTENT_LANGUAGE,
        header::LINK,
        header::CONTENT_LOCATION,
        header::SERVER,
    ];
    let mut headers = HeaderMap::with_capacity(names.len());
    for name in names {
        let value = HeaderValue::from_str(&format!("value of a field, {number:012}"));
        headers.append(name, value.map_err(|error| Error::other(error.to_string()))?);
    }
    let now = SystemClock.now();
    let hour = Duration::from_secs(3_600);
    let head = StoredHead::new(StatusCode::OK, headers, Life::new(now, hour), Presented::default());
    // One tag of its own, one with a hundred others.
    let tags = Tags::user([format!("user:{number}"), format!("group:{}", number / 100)]);
    let tags = tags.map_err(|error| Error::other(error.to_string()))?;
    let body = Bytes::from(vec![b'x'; BODY]);
    Ok(Entry::new(key, tags, now + hour, Content::Response(head), body))
}

/// Body and text of the fields.
fn payload_of(entry: &Entry) -> usize {
    let fields = entry.response().into_iter().flat_map(|head| head.headers.iter());
    entry.body().len() + fields.map(|(name, value)| name.len() + value.len()).sum::<usize>()
}

/// Bytes of this process in memory.
fn resident() -> Result<usize, Error> {
    let path = "/proc/self/status";
    let status = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| Error::other("no VmRSS in /proc/self/status"))
}
