//! The reference store with a clock that the tests move, and with faults.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cache_core::clock::{Clock, ManualClock};
use cache_core::store::Store;
use conformance_tests::{Fault, Fixture, Promise};

use super::{Bug, Reclaim, Reference, of};

pub(crate) struct ReferenceFixture {
    clock: Arc<ManualClock>,
    store: Arc<Reference>,
}

impl ReferenceFixture {
    pub(crate) fn new(reclaim: Reclaim, bug: Option<Bug>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        Self { store: Arc::new(Reference::new(shared, reclaim, bug)), clock }
    }
}

#[async_trait]
impl Fixture for ReferenceFixture {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<Reference>::clone(&self.store)
    }

    async fn second(&self) -> Arc<dyn Store> {
        Arc::new(self.store.second_handle())
    }

    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    fn promise(&self) -> Promise {
        Promise::default().with_entries(usize::MAX)
    }

    async fn inflict(&self, fault: Fault) -> bool {
        let mut shards = self.store.lock();
        match fault {
            Fault::DamageEntry(key) => {
                let held = of(&mut shards, &key).entries.get_mut(&key);
                held.unwrap().damaged = true;
            }
            Fault::LoseMetadata => {
                shards.iter_mut().for_each(|shard| shard.lose_metadata(self.store.bug));
            }
            Fault::Cut(key) => of(&mut shards, &key).cut = true,
            Fault::Mend => shards.iter_mut().for_each(|shard| shard.cut = false),
            _ => return false,
        }
        true
    }
}
