//! Real threads against the consistency contract, and against leaks. I1: once an invalidation has
//! returned, nothing computed before its call is found. I2: what is computed after it is stored and found.

#![allow(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod kit;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::Clock;
use cache_core::store::{Lookup, PutOutcome, Refusal, Store};
use cache_memory::MemoryStoreBuilder;

use crate::kit::{Kit, entry, key, ready};

const TAGS: usize = 6;
const KEYS: u64 = 24;

/// The application: each tag has a version that is raised before the tag is invalidated.
struct World {
    kit: Kit,
    versions: [AtomicU64; TAGS],
    /// Versions whose invalidation was acknowledged.
    acknowledged: [AtomicU64; TAGS],
    done: AtomicBool,
}

#[derive(Debug, Default)]
struct Tally {
    hits: u64,
    stored: u64,
    superseded: u64,
    removed: u64,
}

impl World {
    fn new(set: impl FnOnce(MemoryStoreBuilder) -> MemoryStoreBuilder) -> Self {
        Self {
            kit: Kit::with(set),
            versions: Default::default(),
            acknowledged: Default::default(),
            done: AtomicBool::new(false),
        }
    }

    /// Looks up, checks, fills on a miss.
    fn serve(&self, random: &mut Random, tally: &mut Tally) {
        let name = format!("k{}", random.below(KEYS));
        let must: Vec<u64> =
            self.acknowledged.iter().map(|version| version.load(Ordering::SeqCst)).collect();
        let ticket = match self.kit.store.try_lookup(&key(&name), &[]).unwrap() {
            Lookup::Found(entry, _) => {
                tally.hits += 1;
                let [first, second, rest @ ..] = &entry.body()[..] else { panic!("a body") };
                let (versions, remainder) = rest.as_chunks::<8>();
                assert!(remainder.is_empty());
                for (tag, seen) in [*first, *second].into_iter().zip(versions) {
                    let (tag, seen) = (usize::from(tag), u64::from_le_bytes(*seen));
                    assert!(seen >= must[tag], "stale: tag {tag}, {seen} before {}", must[tag]);
                }
                return;
            }
            Lookup::Miss(ticket) => ticket,
            other => panic!("{other:?}"),
        };
        // The handler: which tags it touches is known only now.
        let tags = [random.below(TAGS as u64), random.below(TAGS as u64)];
        let mut body: Vec<u8> = tags.iter().map(|tag| u8::try_from(*tag).unwrap()).collect();
        for tag in tags {
            let version = &self.versions[usize::try_from(tag).unwrap()];
            body.extend(version.load(Ordering::SeqCst).to_le_bytes());
        }
        if random.below(4) == 0 {
            thread::yield_now();
        }
        let end = self.kit.clock.now() + Duration::from_secs(3600);
        let names = tags.map(|tag| format!("t{tag}"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let entry = entry(key(&name), &names, end, Bytes::from(body));
        match self.kit.put(ticket, entry) {
            PutOutcome::Stored => tally.stored += 1,
            PutOutcome::Superseded => tally.superseded += 1,
            // The small store has evicted it at once.
            PutOutcome::Refused(Refusal::Capacity) => {}
            other => panic!("{other:?}"),
        }
    }

    /// Changes something, then invalidates.
    fn change(&self, random: &mut Random, tally: &mut Tally) {
        let tag = random.below(TAGS as u64);
        let all = random.below(40) == 0;
        let touched: Vec<usize> = match (all, usize::try_from(tag).unwrap()) {
            (true, _) => (0..TAGS).collect(),
            (false, tag) if random.below(4) == 0 => vec![tag, (tag + 1) % TAGS],
            (false, tag) => vec![tag],
        };
        let raised: Vec<u64> = touched
            .iter()
            .map(|tag| self.versions[*tag].fetch_add(1, Ordering::SeqCst) + 1)
            .collect();
        let done = if all {
            self.kit.clear()
        } else {
            let names: Vec<String> = touched.iter().map(|tag| format!("t{tag}")).collect();
            self.kit.invalidate(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        for (tag, version) in touched.iter().zip(raised) {
            self.acknowledged[*tag].fetch_max(version, Ordering::SeqCst);
        }
        tally.removed += done.removed;
    }

    fn run(&self, rounds: u64) -> Tally {
        let total = thread::scope(|scope| {
            let servers: Vec<_> = (1..=3)
                .map(|seed| {
                    scope.spawn(move || {
                        let (mut random, mut tally) = (Random(seed), Tally::default());
                        (0..rounds).for_each(|_| self.serve(&mut random, &mut tally));
                        tally
                    })
                })
                .collect();
            let changers: Vec<_> = (11..=12)
                .map(|seed| {
                    scope.spawn(move || {
                        let (mut random, mut tally) = (Random(seed), Tally::default());
                        while !self.done.load(Ordering::SeqCst) {
                            self.change(&mut random, &mut tally);
                            thread::yield_now();
                        }
                        tally
                    })
                })
                .collect();
            let sweeper = scope.spawn(|| {
                while !self.done.load(Ordering::SeqCst) {
                    self.kit.store.sweep();
                    thread::yield_now();
                }
            });
            let mut total = Tally::default();
            let served: Vec<_> = servers.into_iter().map(thread::ScopedJoinHandle::join).collect();
            self.done.store(true, Ordering::SeqCst);
            let changed = changers.into_iter().map(thread::ScopedJoinHandle::join);
            for tally in served.into_iter().chain(changed) {
                let tally = tally.unwrap();
                total.hits += tally.hits;
                total.stored += tally.stored;
                total.superseded += tally.superseded;
                total.removed += tally.removed;
            }
            sweeper.join().unwrap();
            total
        });
        self.leaves_nothing();
        total
    }

    fn leaves_nothing(&self) {
        self.kit.clear();
        self.kit.store.sweep();
        let store = &self.kit.store;
        assert_eq!((store.len(), store.weight(), store.tag_cells()), (0, 0, 0));
    }
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }
}

#[test]
fn no_stale_answer_and_no_leak() {
    let world = World::new(|builder| builder);
    let tally = world.run(60_000);
    assert!(tally.hits > 0 && tally.stored > 0 && tally.superseded > 0, "{tally:?}");
}

#[test]
fn no_stale_answer_while_marks_are_dropped_and_work_is_left_over() {
    let world = World::new(|builder| {
        builder
            .mark_cap(2)
            .reclaim_budget(1, Duration::from_secs(1))
            .max_bytes(20_000)
            .max_body(100)
    });
    let tally = world.run(60_000);
    assert!(tally.hits > 0 && tally.stored > 0 && tally.superseded > 0, "{tally:?}");
}

/// Without eviction, replacement and expiry every stored entry is either removed by exactly one
/// invalidation or still there, however the invalidations overlap.
#[test]
fn every_stored_entry_is_counted_once() {
    const THREADS: usize = 4;
    const EACH: usize = 10_000;
    let kit = Kit::new();
    let (stored, removed) = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let kit = &kit;
                scope.spawn(move || {
                    let mut random = Random(thread as u64 + 1);
                    let (mut stored, mut removed) = (0, 0);
                    for n in 0..EACH {
                        let name = format!("{thread}.{n}");
                        let (a, b) = (random.below(4), random.below(4));
                        let (a, b) = (format!("t{a}"), format!("t{b}"));
                        let put = kit.put(kit.begin(&name), kit.entry(&name, &[&a, &b], ""));
                        stored += u64::from(put == PutOutcome::Stored);
                        let done = match random.below(100) {
                            0 => kit.clear(),
                            1..6 => kit.invalidate(&[&a]),
                            6..9 => kit.invalidate(&[&a, &b, "t1"]),
                            _ => continue,
                        };
                        assert!(done.complete);
                        removed += done.removed;
                    }
                    (stored, removed)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    });
    let left = kit.clear();
    assert_eq!(stored, removed + left.removed);
    assert_eq!((kit.store.len(), kit.store.tag_cells()), (0, 0));
}

/// I2: what is computed after the invalidation returned is stored and found, whatever other
/// threads do to other tags.
#[test]
fn a_fill_after_the_invalidation_always_hits() {
    let kit = Kit::new();
    thread::scope(|scope| {
        for thread in 0..4 {
            let kit = &kit;
            scope.spawn(move || {
                let (name, tag) = (format!("k{thread}"), format!("t{thread}"));
                for _ in 0..20_000 {
                    kit.invalidate(&[&tag]);
                    assert!(!kit.finds(&name));
                    let ticket = kit.miss(&name);
                    let put = kit.put(ticket, kit.entry(&name, &[&tag, "shared"], ""));
                    assert_eq!(put, PutOutcome::Stored);
                    assert!(kit.finds(&name));
                }
            });
        }
    });
    assert_eq!(kit.invalidate(&["shared"]).removed, 4);
    kit.store.sweep();
    assert_eq!(kit.store.tag_cells(), 0);
}

/// A ticket that comes and goes on many threads never lets a mark be dropped too early.
#[test]
fn a_held_ticket_is_always_superseded() {
    let kit = Kit::new();
    thread::scope(|scope| {
        for thread in 0..3 {
            let kit = &kit;
            scope.spawn(move || {
                let (name, tag) = (format!("k{thread}"), format!("t{thread}"));
                for n in 0..20_000 {
                    let held = kit.begin(&name);
                    kit.invalidate(&[&tag]);
                    if n % 8 == 0 {
                        kit.store.sweep();
                    }
                    drop(ready(kit.store.begin(&key("another"))));
                    let put = kit.put(held, kit.entry(&name, &[&tag], ""));
                    assert_eq!(put, PutOutcome::Superseded);
                }
            });
        }
    });
    kit.store.sweep();
    assert_eq!((kit.store.len(), kit.store.tag_cells()), (0, 0));
}
