//! Four handles, a small set of hot keys, and a server that keeps losing things: every hit must be
//! at least as new as the last invalidation that was acknowledged before the lookup began.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::{Lookup, PutOutcome, Store};

use crate::support::Server;
use crate::worker::{Worker, entry, key, tag};

const KEYS: u64 = 12;
const TAGS: usize = 4;

#[derive(Default)]
struct World {
    /// The data behind the handlers, and what was acknowledged of it.
    truth: [AtomicU64; TAGS],
    acknowledged: [AtomicU64; TAGS],
    hits: AtomicU64,
    stale: AtomicU64,
    invalidations: AtomicU64,
    stop: AtomicBool,
}

impl World {
    fn runs(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }
}

/// A small generator, so that a run can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn reads(worker: Worker, world: Arc<World>, seed: u64) {
    let mut dice = Dice(seed);
    while world.runs() {
        let number = dice.roll(KEYS);
        let name = format!("k{number}");
        let n = usize::try_from(number).unwrap() % TAGS;
        let tag_name = format!("t{n}");
        let floor = world.acknowledged[n].load(Ordering::SeqCst);
        // Half of the requests know the tag beforehand.
        let hints = [tag(&tag_name)];
        let hints = if dice.roll(2) == 0 { &hints[..] } else { &[] };
        match worker.0.lookup(&key(&name), hints).await {
            Ok(Lookup::Found(found, _)) => {
                let seen: u64 = std::str::from_utf8(found.body()).unwrap().parse().unwrap();
                world.hits.fetch_add(1, Ordering::SeqCst);
                if seen < floor {
                    world.stale.fetch_add(1, Ordering::SeqCst);
                }
            }
            Ok(Lookup::Miss(ticket)) => {
                let body = world.truth[n].load(Ordering::SeqCst).to_string();
                tokio::time::sleep(Duration::from_micros(dice.roll(3_000))).await;
                let put = worker.0.put(ticket, entry(&name, &[&tag_name], &body));
                if dice.roll(20) == 0 {
                    let _ = tokio::time::timeout(Duration::from_micros(dice.roll(500)), put).await;
                } else if let Ok(outcome) = put.await {
                    assert!(
                        matches!(outcome, PutOutcome::Stored | PutOutcome::Superseded),
                        "{outcome:?}"
                    );
                }
            }
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

async fn invalidates(worker: Worker, world: Arc<World>, seed: u64) {
    let mut dice = Dice(seed);
    while world.runs() {
        let n = usize::try_from(dice.roll(TAGS as u64)).unwrap();
        let version = world.truth[n].fetch_add(1, Ordering::SeqCst) + 1;
        let done = if dice.roll(50) == 0 {
            worker.0.invalidate(&cache_core::store::Selection::All).await
        } else {
            worker.try_invalidate(&[&format!("t{n}")]).await
        };
        if done.is_ok() {
            world.acknowledged[n].fetch_max(version, Ordering::SeqCst);
            world.invalidations.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_micros(dice.roll(8_000))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stale_under_faults() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    let server = Server::start(&[]);
    let world = Arc::new(World::default());
    let mut tasks = Vec::new();
    for n in 0..4 {
        let worker = Worker::at(&server.url()).await;
        for m in 0..3 {
            let seed = seed + n * 16 + m;
            tasks.push(tokio::spawn(reads(worker.clone(), Arc::clone(&world), seed)));
        }
        if n < 2 {
            tasks.push(tokio::spawn(invalidates(worker, Arc::clone(&world), seed ^ n)));
        }
    }
    let mut dice = Dice(seed);
    let end = SystemClock.monotonic() + Duration::from_secs(6);
    while SystemClock.monotonic() < end {
        tokio::time::sleep(Duration::from_millis(dice.roll(60))).await;
        let number = dice.roll(KEYS);
        let _ = match dice.roll(6) {
            0 => server.try_run(&["DEL", "{rc:0}:m"]),
            1 => server.try_run(&["FLUSHALL"]),
            2 => server.try_run(&["CLIENT", "KILL", "TYPE", "normal"]),
            3 => server.try_run(&["DEL", &format!("{{rc:0}}:x:t:t{}", number % TAGS as u64)]),
            4 => server.try_run(&["SCRIPT", "FLUSH"]),
            _ => server.try_run(&["SET", "{rc:0}:m", "garbage"]),
        };
    }
    world.stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.unwrap();
    }
    let (hits, stale) = (world.hits.load(Ordering::SeqCst), world.stale.load(Ordering::SeqCst));
    let invalidations = world.invalidations.load(Ordering::SeqCst);
    assert_eq!(stale, 0, "seed {seed:#x}: {stale} of {hits} hits; {invalidations} invalidations");
    assert!(hits > 100 && invalidations > 50, "{hits} hits, {invalidations} invalidations");
    eprintln!("{hits} hits, {invalidations} invalidations, 0 stale");
}
