//! The store that most will use: the suite, and histories.
//!
//! `SOAK_SECONDS` and `SOAK_SEEDS` make the histories longer and more; a soak is 5 and 20.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use cache_core::store::Store;
use cache_memory::MemoryStore;
use conformance_tests::history::{self, Config};
use conformance_tests::{run_one, store_conformance};

async fn fresh() -> MemoryStore {
    MemoryStore::new()
}

store_conformance!(fresh = fresh);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn histories_are_safe_and_useful() {
    for seed in 1..=setting("SOAK_SEEDS", 3) {
        let config =
            Config::new(seed).with_duration(Duration::from_secs(setting("SOAK_SECONDS", 3)));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let handles = vec![Arc::clone(&store), Arc::clone(&store), store];
        let verdict = history::run(handles, config).await.check();
        println!("{verdict}");
        verdict.assert_safe();
        verdict.assert_useful();
    }
}

#[test]
fn a_fixture_comes_in_several_forms() {
    run_one("stored_is_found", || async { Arc::new(MemoryStore::new()) });
    run_one("stored_is_found", || async {
        let erased: Arc<dyn Store> = Arc::new(MemoryStore::new());
        erased
    });
    run_one("stored_is_found", || async { ("a guard", MemoryStore::new()) });
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}
