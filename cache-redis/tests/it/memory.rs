//! What stores, expiries and invalidations leave behind in Redis: nothing but the metadata.

use std::num::NonZeroU16;
use std::time::Duration;

use cache_core::store::{PutOutcome, Store};

use crate::support::Server;
use crate::worker::{Worker, entry_for, key, patient};

/// Puts at a time.
const ABREAST: usize = 32;

/// Memory for data, in bytes: without the server's own, clients' buffers and cached scripts.
fn dataset(server: &Server) -> u64 {
    let info: String = server.run(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory_dataset:")).unwrap();
    line.parse().unwrap()
}

/// Each entry has a tag of its own and one of a hundred shared ones; a third expires soon.
async fn store(worker: Worker, n: u32, body: String) {
    let name = format!("k{n}");
    let life = match n % 3 {
        0 => Duration::from_millis(500 + u64::from(n % 1_000)),
        _ => Duration::from_secs(3_600),
    };
    let (own, shared) = (format!("own{n}"), format!("shared{}", n % 100));
    let ticket = worker.0.begin(&key(&name)).await.unwrap();
    let entry = entry_for(&name, &[&own, &shared], &body, life);
    assert_eq!(worker.put(ticket, entry).await, PutOutcome::Stored);
}

/// Fills, lets a third expire, invalidates a third by tag and clears the rest. All of it twice:
/// what stays the first time must not grow.
async fn goes_back_to_its_baseline(stores: u32, shards: u16) {
    let server = Server::start(&[]);
    let builder = patient(&server.url()).with_shards(NonZeroU16::new(shards).unwrap());
    let worker = Worker::of(builder.with_max_marks(1_000)).await;
    let body = "x".repeat(500);
    // Scripts and connections are known from here on.
    store(worker.clone(), 1, body.clone()).await;
    worker.clear().await;
    let empty = dataset(&server);
    let mut sizes = Vec::new();
    for _ in 0..2 {
        for first in (0..stores).step_by(ABREAST) {
            let tasks: Vec<_> = (first..stores)
                .take(ABREAST)
                .map(|n| tokio::spawn(store(worker.clone(), n, body.clone())))
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        let full = dataset(&server);
        for tag in (1..100).step_by(3) {
            worker.invalidate(&[&format!("shared{tag}")]).await;
        }
        worker.clear().await;
        // An index outlives its longest entry by a quarter at most, which would be 75 minutes for
        // those of the cleared entries' own tags.
        expire_indexes(&server);
        let metadata = i64::from(shards);
        for _ in 0..1_500 {
            let left: i64 = server.run(&["DBSIZE"]);
            if left <= metadata {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let left = worker.0.keys(100).await.unwrap();
        assert!(left.iter().all(|name| name.ends_with("}:m")), "{left:?}");
        sizes.push((full, dataset(&server)));
    }
    let [(full, first), (_, second)] = sizes[..] else { unreachable!("two rounds") };
    eprintln!(
        "{stores} stores, {shards} shards: {full} B, then {first} B; second round {second} B"
    );
    // The marks stay, up to their cap: about 130 bytes each.
    let marks = 1_000 * 200 * u64::from(shards);
    let allowed = empty + full / 20 + marks + 300_000;
    assert!(first < allowed, "{empty} bytes, then {full}, then {first}");
    assert!(second < first + first / 5 + 200_000, "{first} bytes, then {second}");
}

/// Brings the end of all indexes forward, as waiting for it would.
fn expire_indexes(server: &Server) {
    let script = "local cursor = '0'
        repeat
          local page = redis.call('SCAN', cursor, 'COUNT', 1000, 'TYPE', 'set')
          for _, name in ipairs(page[2]) do
            local left = redis.call('PTTL', name)
            if left > 4500000 or left < 0 then return redis.error_reply(name) end
            -- What was set aside is being reclaimed, and says what is still to go.
            if not string.find(name, '}:r:', 1, true) then redis.call('PEXPIRE', name, 1) end
          end
          cursor = page[1]
        until cursor == '0'
        return 1";
    let _: i64 = server.run(&["EVAL", script, "0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_goes_back_to_its_baseline() {
    goes_back_to_its_baseline(6_000, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn soak_memory_after_a_hundred_thousand_stores() {
    goes_back_to_its_baseline(100_000, 1).await;
    goes_back_to_its_baseline(100_000, 16).await;
}
