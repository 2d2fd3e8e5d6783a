//! The contract of `Store`, by the suite that every store runs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cache_core::clock::{Clock, ManualClock};
use cache_core::store::Store;
use cache_memory::MemoryStore;
use conformance_tests::{Fixture, store_conformance};

/// As users have it, on the system's clock.
async fn fresh() -> MemoryStore {
    MemoryStore::new()
}

store_conformance!(fresh = fresh);

/// A store that leaves nearly all reclaiming to its thread, on a clock that only the cases move.
struct Lazy {
    store: MemoryStore,
    clock: Arc<ManualClock>,
}

#[async_trait]
impl Fixture for Lazy {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[expect(clippy::unwrap_used, reason = "a test's own store")]
async fn lazy() -> Lazy {
    let clock = Arc::new(ManualClock::default());
    let builder = MemoryStore::builder().clock(Arc::<ManualClock>::clone(&clock));
    Lazy { store: builder.reclaim_budget(2, Duration::ZERO).build().unwrap(), clock }
}

store_conformance!(name = with_little_budget, fresh = lazy);
