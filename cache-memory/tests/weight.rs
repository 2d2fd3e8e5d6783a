//! What a store says that it holds, and what it holds, counted by the allocator.

#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test fails by panicking")]

mod kit;

use std::alloc::System;
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::Clock as _;
use cache_core::entry::{Content, Entry, Life, StoredHead};
use cache_core::key::Digest;
use cache_core::key::vary::Presented;
use cache_core::store::{PutOutcome, Store as _};
use cache_core::tag::{Tag, Tags};
use cap::Cap;
use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::kit::{Kit, key, ready};

#[global_allocator]
static ALLOCATED: Cap<System> = Cap::new(System, usize::MAX);

/// What kind of entries a store is filled with. None shares anything with another; each has the tag
/// of its key.
#[derive(Clone, Copy, Debug, Default)]
struct Entries {
    fields: usize,
    tags: usize,
    /// How long the text of one of the application's is.
    letters: usize,
    nominated: usize,
    variants: bool,
    stale: bool,
    /// Each is put a second time.
    twice: bool,
}

/// A single test: what others ask for beside it would be counted.
#[test]
fn no_entry_counts_less_than_it_holds() {
    let plain = Entries { letters: 8, ..Entries::default() };
    for tags in [0, 1, 3, 8, 127] {
        for letters in [8, 14, 300] {
            for twice in [false, true] {
                check(Entries { tags, letters, twice, ..plain });
            }
        }
    }
    let full = Entries { fields: 8, tags: 3, nominated: 3, variants: true, stale: true, ..plain };
    for twice in [false, true] {
        check(Entries { nominated: 0, ..full });
        check(Entries { fields: 0, twice, ..full });
        check(Entries { tags: 0, twice, ..full });
        check(Entries { variants: false, stale: false, tags: 0, ..full });
        check(full);
    }
}

fn check(kind: Entries) {
    // Tables of a few places are as full as they happen to be.
    let count = if kind.tags > 8 { 100 } else { 500 };
    let kit = Kit::with(|builder| builder.max_bytes(1 << 30));
    let empty = ALLOCATED.allocated();
    for number in 0..count {
        for _ in 0..=usize::from(kind.twice) {
            let entry = entry(&kit, number, kind);
            let ticket = ready(kit.store.begin(&entry.key())).unwrap();
            assert_eq!(kit.put(ticket, entry), PutOutcome::Stored);
        }
    }
    let held = ALLOCATED.allocated() - empty;
    let weight = usize::try_from(kit.store.weight()).unwrap();
    let each = |bytes: usize| bytes as f64 / count as f64;
    assert!(weight >= held, "{kind:?}: each counts {}, holds {}", each(weight), each(held));
}

fn entry(kit: &Kit, number: usize, kind: Entries) -> Entry {
    let mut headers = HeaderMap::new();
    for field in 0..kind.fields {
        let name = HeaderName::try_from(format!("x-field-{field}")).unwrap();
        headers.insert(name, HeaderValue::from(number));
    }
    let names = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE];
    let request: HeaderMap = names.iter().map(|name| (name.clone(), number.into())).collect();
    let presented = Presented::take(names.get(..kind.nominated).unwrap(), &request);
    let (now, hour) = (kit.clock.now(), Duration::from_secs(3_600));
    let mut life = Life::new(now, hour);
    if kind.stale {
        life.stale_if_error = hour;
    }
    let head = StoredHead::new(StatusCode::OK, headers, life, presented);
    let name = |tag| format!("{:0>1$}", number * 128 + tag, kind.letters);
    let users = (0..kind.tags).map(|tag| Tag::new(&name(tag)).unwrap());
    let tags = Tags::new(users.chain([Tag::key(None, &name(0))]).collect());
    let primary = key(&number.to_string());
    let variant = || primary.variant_of(Digest::of(&number.to_be_bytes()));
    let key = if kind.variants { variant() } else { primary };
    // Some bytes more than the allocator rounds up to.
    Entry::new(key, tags, now + hour, Content::Response(head), Bytes::from(vec![b'x'; 105]))
}
