//! What the store's calls cost. `cargo bench -p cache-memory`; add `-- --test` to run each once.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "a bench may fail")]

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::key::Key;
use cache_core::store::{Lookup, Store};
use cache_memory::MemoryStoreBuilder;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

use crate::kit::{Kit, key};

fn main() {
    divan::main();
}

const THREADS: [usize; 2] = [1, 2];
const ENTRIES: usize = 1_000;

/// A thousand entries with two tags each, and their keys.
fn filled() -> (Kit, Vec<Key>) {
    let kit = Kit::new();
    let names: Vec<String> = (0..ENTRIES).map(|n| format!("k{n}")).collect();
    for name in &names {
        kit.fill(name, &["shared", name]);
    }
    let keys = names.iter().map(|name| key(name)).collect();
    (kit, keys)
}

/// Goes round; each thread from its own place would need thread-locals, and this is cheap enough.
struct Round(AtomicUsize);

impl Round {
    fn next<'a, T>(&self, all: &'a [T]) -> &'a T {
        &all[self.0.fetch_add(1, Ordering::Relaxed) % all.len()]
    }
}

#[divan::bench(threads = THREADS)]
fn lookup_hit(bencher: Bencher<'_, '_>) {
    let (kit, keys) = filled();
    let round = Round(AtomicUsize::new(0));
    bencher.bench(|| match kit.store.try_lookup(black_box(round.next(&keys)), &[]) {
        Some(Lookup::Found(entry, None)) => entry,
        other => panic!("{other:?}"),
    });
}

#[divan::bench(threads = THREADS)]
fn lookup_hit_of_one_key(bencher: Bencher<'_, '_>) {
    let (kit, keys) = filled();
    bencher.bench(|| kit.store.try_lookup(black_box(&keys[0]), &[]));
}

#[divan::bench(threads = THREADS)]
fn lookup_miss(bencher: Bencher<'_, '_>) {
    let (kit, _) = filled();
    let key = key("absent");
    bencher.bench(|| kit.store.try_lookup(black_box(&key), &[]));
}

#[divan::bench(threads = THREADS)]
fn put(bencher: Bencher<'_, '_>) {
    let (kit, _) = filled();
    let entries: Vec<_> = (0..ENTRIES)
        .map(|n| {
            let name = format!("k{n}");
            (name.clone(), kit.entry(&name, &["shared", &name], "body"))
        })
        .collect();
    let round = Round(AtomicUsize::new(0));
    bencher
        .with_inputs(|| {
            let (name, entry) = round.next(&entries);
            (kit.begin(name), entry.clone())
        })
        .bench_values(|(ticket, entry)| kit.put(ticket, entry));
}

#[divan::bench(threads = THREADS)]
fn invalidate_an_unknown_tag(bencher: Bencher<'_, '_>) {
    let (kit, _) = filled();
    bencher.bench(|| kit.invalidate(&["unknown"]));
}

/// With a fill in progress the mark has to be kept.
#[divan::bench(threads = THREADS)]
fn invalidate_beside_a_ticket(bencher: Bencher<'_, '_>) {
    let (kit, _) = filled();
    let _ticket = kit.begin("k");
    bencher.bench(|| kit.invalidate(&["unknown"]));
}

const MEMBERS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// Puts an entry under a tag that has so many already.
#[divan::bench(threads = THREADS, args = MEMBERS, sample_size = 100)]
fn put_beside_members(bencher: Bencher<'_, '_>, members: usize) {
    let kit = one_tag(members);
    let round = AtomicUsize::new(0);
    bencher
        .with_inputs(|| {
            let name = format!("new.{}", round.fetch_add(1, Ordering::Relaxed) % ENTRIES);
            (kit.begin(&name), kit.entry(&name, &["t0"], "body"))
        })
        .bench_values(|(ticket, entry)| kit.put(ticket, entry));
}

/// Until the invalidation is in force; the members go behind the return.
#[divan::bench(args = MEMBERS, sample_count = 10, sample_size = 1)]
fn invalidate_in_force(bencher: Bencher<'_, '_>, members: usize) {
    bencher.with_inputs(|| unhurried(members)).bench_refs(|kit| kit.invalidate(&["t0"]));
}

/// With all members removed before the return.
#[divan::bench(threads = THREADS, args = MEMBERS, sample_count = 10, sample_size = 1)]
fn invalidate_and_remove(bencher: Bencher<'_, '_>, members: usize) {
    let within = |builder: MemoryStoreBuilder| {
        builder.max_bytes(64 << 30).reclaim_budget(usize::MAX, Duration::MAX)
    };
    let kit = Kit::with(within);
    let round = AtomicUsize::new(0);
    bencher
        .counter(ItemsCount::new(members))
        .with_inputs(|| {
            let tag = format!("t{}", round.fetch_add(1, Ordering::Relaxed));
            fill(&kit, &tag, members);
            tag
        })
        .bench_values(|tag| {
            let done = kit.invalidate(&[&tag]);
            assert!(done.removed > 0);
            done
        });
}

/// A store with one tag, `t0`.
fn one_tag(members: usize) -> Kit {
    let kit = Kit::with(|builder| builder.max_bytes(64 << 30));
    fill(&kit, "t0", members);
    kit
}

/// The same, and nothing is removed before an invalidation returns.
fn unhurried(members: usize) -> Kit {
    let kit = Kit::with(|builder| builder.max_bytes(64 << 30).reclaim_budget(0, Duration::ZERO));
    fill(&kit, "t0", members);
    kit
}

fn fill(kit: &Kit, tag: &str, members: usize) {
    for n in 0..members {
        kit.fill(&format!("{tag}.{n}"), &[tag]);
    }
}
