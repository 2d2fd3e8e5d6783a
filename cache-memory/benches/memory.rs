//! What an entry takes beyond its body and the text of its fields, and what a tag takes, counted by
//! the allocator. `cargo bench -p cache-memory --bench memory`.
//!
//! The entries are as a server makes them: no value is shared with another entry.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and fails by panicking"
)]

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::alloc::System;

use bytes::Bytes;
use cache_core::clock::Clock as _;
use cache_core::entry::{Content, Entry, Life, StoredHead};
use cache_core::key::vary::Presented;
use cache_core::store::PutOutcome;
use cache_core::tag::Tags;
use cap::Cap;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::kit::{Kit, key};

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

const BODY: usize = 1 << 10;

/// Entries that share a tag.
const GROUP: usize = 100;

fn main() {
    // A test runner that asks which tests are here: none.
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    // `cargo test --benches` runs it briefly, to see that it works.
    let entries = if std::env::args().any(|arg| arg == "--bench") { 100_000 } else { 1_000 };
    let whole = per_entry(entries, 8, 2);
    println!("{entries} entries: 8 fields, 2 tags (one of its own, one with {GROUP} entries)");
    println!("beyond body and text of fields and tags: {whole:.0} bytes an entry");
    println!("of it without fields and tags: {:.0}", per_entry(entries, 0, 0));
    println!("a field: {:.0}", (whole - per_entry(entries, 0, 2)) / 8.0);
    println!("a tag of its own: {:.0}", per_entry(entries, 8, 1) - per_entry(entries, 8, 0));
    println!("a tag that {GROUP} entries share: {:.0}", whole - per_entry(entries, 8, 1));
    let nominated = |names| per_entry_with(entries, 8, 2, names) - whole;
    println!("nominated fields, one: {:.0}, four: {:.0}", nominated(1), nominated(4));
}

/// Bytes of one entry beyond its payload.
fn per_entry(entries: usize, fields: usize, tags: usize) -> f64 {
    per_entry_with(entries, fields, tags, 0)
}

/// The same of an entry that is one of several variants by so many nominated fields.
fn per_entry_with(entries: usize, fields: usize, tags: usize, nominated: usize) -> f64 {
    let kit = Kit::with(|builder| builder.max_bytes(64 << 30).max_entries(entries * 2));
    // What the store takes for any entries at all is no entry's.
    let empty = ALLOCATED.allocated();
    let mut payload = 0;
    for number in 0..entries {
        let entry = entry(&kit, number, (fields, tags, nominated));
        payload += entry.weight();
        let ticket = kit.begin(&name(number));
        assert_eq!(kit.put(ticket, entry), PutOutcome::Stored);
    }
    (ALLOCATED.allocated() - empty - payload) as f64 / entries as f64
}

fn entry(kit: &Kit, number: usize, (fields, tags, nominated): (usize, usize, usize)) -> Entry {
    let mut headers = HeaderMap::with_capacity(fields);
    for field in ["content-type", "etag", "last-modified", "cache-control", "link", "server"]
        .into_iter()
        .chain(["content-language", "content-location"])
        .take(fields)
    {
        let value = HeaderValue::from_str(&format!("value of a field, {number:012}")).unwrap();
        headers.insert(HeaderName::from_static(field), value);
    }
    let own = [format!("user:{number}"), format!("group:{}", number / GROUP)];
    let tags = Tags::user(own.into_iter().take(tags)).unwrap();
    let (now, hour) = (kit.clock.now(), std::time::Duration::from_secs(3_600));
    let life = Life::new(now, hour);
    let names = [ACCEPT_LANGUAGE, ACCEPT_ENCODING, ACCEPT, ORIGIN];
    let names = names.get(..nominated).unwrap();
    let request = names.iter().map(|name| (name.clone(), HeaderValue::from_static("one of them")));
    let presented = Presented::take(names, &request.collect::<HeaderMap>());
    let head = StoredHead::new(StatusCode::OK, headers, life, presented);
    let body = Bytes::from(vec![b'x'; BODY]);
    Entry::new(key(&name(number)), tags, now + hour, Content::Response(head), body)
}

fn name(number: usize) -> String {
    format!("k{number}")
}
