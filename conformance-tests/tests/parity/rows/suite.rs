//! The suite that any store can run.

use std::time::Duration;

use cache_memory::MemoryStore;
use cache_redis::RedisStore;
use conformance_tests::Report;
use conformance_tests::http::Failure;
use tokio::sync::OnceCell;

use crate::column::{Column, Store};
use crate::redis;

pub(crate) async fn c088_the_store_passes_the_public_suite(column: Column) -> Result<(), Failure> {
    // It knows no framework: one run serves both columns.
    static MEMORY: OnceCell<Report> = OnceCell::const_new();
    static REDIS: OnceCell<Report> = OnceCell::const_new();
    let report = match column.store {
        Store::Memory => {
            let run = async || conformance_tests::run_all(async || MemoryStore::new()).await;
            MEMORY.get_or_init(run).await
        }
        Store::Redis => REDIS.get_or_init(redis_report).await,
    };
    if report.passed() { Ok(()) } else { Err(Failure::new("a store that passes", report)) }
}

async fn redis_report() -> Report {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let url = redis::shared();
    conformance_tests::run_all(move || {
        let url = url.clone();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        async move {
            let prefix = format!("suite-{}-{number}", std::process::id());
            let builder = RedisStore::builder(&url).expect("an address").with_prefix(prefix);
            // Patient, since the machine may be busy with other tests.
            let limit = Duration::from_secs(4);
            let patient = builder.with_response_limit(limit).with_connect_limit(limit);
            patient.connect().await.expect("a store")
        }
    })
    .await
}
