//! The conformance suite over what takes long to start: one deployment for all cases, a prefix
//! for each.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cache_core::store::Store;
use cache_redis::RedisStore;
use conformance_tests::Fixture;

use crate::worker::patient;

#[derive(Clone)]
struct Deployment {
    url: String,
    shards: Option<NonZeroU16>,
}

struct Case {
    deployment: Deployment,
    prefix: String,
    store: RedisStore,
}

impl Deployment {
    async fn connect(&self, prefix: &str) -> RedisStore {
        let mut builder = patient(&self.url).with_prefix(prefix);
        if let Some(shards) = self.shards {
            builder = builder.with_shards(shards);
        }
        builder.connect().await.unwrap()
    }

    async fn case(self) -> Case {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let store = self.connect(&prefix).await;
        Case { deployment: self, prefix, store }
    }
}

#[async_trait]
impl Fixture for Case {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    async fn second(&self) -> Arc<dyn Store> {
        Arc::new(self.deployment.connect(&self.prefix).await)
    }
}

/// Runs all cases.
pub(crate) async fn passes(url: &str, shards: Option<u16>) {
    let shards = shards.and_then(NonZeroU16::new);
    let deployment = Deployment { url: url.to_owned(), shards };
    let report = conformance_tests::run_all(move || deployment.clone().case()).await;
    report.assert_passed();
}

#[tokio::test]
async fn sixteen_shards_on_one_server() {
    let server = crate::support::Server::start(&[]);
    passes(&server.url(), Some(16)).await;
}
