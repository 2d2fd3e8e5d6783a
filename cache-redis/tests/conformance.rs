//! The conformance suite over a real server: each case has its own server and prefix, and a
//! second, independent handle.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cache_core::key::Key;
use cache_core::store::Store;
use cache_redis::RedisStore;
use conformance_tests::{Fault, Fixture};

use crate::support::Server;

struct Redis {
    server: Server,
    prefix: String,
    store: RedisStore,
    others: Mutex<Vec<RedisStore>>,
}

impl Redis {
    async fn handle(server: &Server, prefix: &str) -> RedisStore {
        // Patient, since the machine may be busy with other cases.
        let builder = RedisStore::builder(&server.url())
            .expect("a url")
            .with_prefix(prefix)
            .with_response_limit(Duration::from_secs(1))
            .with_connect_limit(Duration::from_secs(1))
            .with_breaker(3, Duration::from_millis(100));
        builder.connect().await.expect("a store")
    }
}

#[async_trait]
impl Fixture for Redis {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    async fn second(&self) -> Arc<dyn Store> {
        let store = Self::handle(&self.server, &self.prefix).await;
        self.others.lock().expect("no panic").push(store.clone());
        Arc::new(store)
    }

    async fn inflict(&self, fault: Fault) -> bool {
        match fault {
            Fault::DamageEntry(key) => {
                let name = entry_name(&self.prefix, &key);
                let done: i64 = self.server.run(&["SETRANGE", &name, "60", "damaged"]);
                assert!(done > 120, "the entry was there");
            }
            Fault::LoseMetadata => {
                let done: i64 = self.server.run(&["DEL", &format!("{{{}:0}}:m", self.prefix)]);
                assert_eq!(done, 1, "the metadata was there");
            }
            Fault::Cut(_) => self.server.signal("STOP"),
            Fault::Mend => {
                self.server.signal("CONT");
                // Mended means that the handles' circuit breakers have closed, too.
                let mut handles = self.others.lock().expect("no panic").clone();
                handles.push(self.store.clone());
                for handle in handles {
                    handle.ready().await.expect("the server answers again");
                }
            }
            _ => return false,
        }
        true
    }
}

fn entry_name(prefix: &str, key: &Key) -> String {
    let variant =
        key.variant().map_or_else(String::new, |variant| format!(".{}", variant.to_hex()));
    format!("{{{prefix}:0}}:e:{}{variant}", key.primary().to_hex())
}

async fn fresh() -> Redis {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = Server::start(&[]);
    let prefix = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let store = Redis::handle(&server, &prefix).await;
    Redis { server, prefix, store, others: Mutex::default() }
}

conformance_tests::store_conformance!(fresh = fresh);
