//! The store that `--store` names.

use std::error::Error;
use std::time::Duration;

use cache_core::{Cache, CacheBuilder};
use cache_memory::MemoryStore;
use cache_redis::{ConnectError, RedisStore};

use crate::args::Options;

/// A cache over the store.
///
/// # Errors
///
/// An unknown name, a bad address, or a server that cannot be used. The address, which may hold a
/// password, is not in the text.
pub async fn cache(options: &Options) -> Result<Cache, String> {
    let builder = open(options).await?.store_timeout(options.store_timeout);
    builder.build().map_err(|error| error.to_string())
}

async fn open(options: &Options) -> Result<CacheBuilder, String> {
    let scheme = options.store.split(':').next().unwrap_or_default();
    match scheme {
        "memory" if options.store == "memory" => Ok(Cache::builder(MemoryStore::new())),
        "redis" | "rediss" | "unix" | "redis-sentinel" | "rediss-sentinel" | "redis-cluster"
        | "rediss-cluster" => {
            let connected = redis(options).await.map_err(|error| chain(&error))?;
            Ok(Cache::builder(connected))
        }
        other => Err(format!(
            "--store: {other:?} is neither `memory` nor the beginning of a Redis address"
        )),
    }
}

async fn redis(options: &Options) -> Result<RedisStore, ConnectError> {
    // The store itself gives up a little before it is given up.
    let limit = options.store_timeout.mul_f64(0.8);
    let builder = RedisStore::builder(&options.store)?.with_prefix(&options.prefix);
    let builder = builder.with_connect_limit(limit.max(Duration::from_millis(500)));
    builder.with_response_limit(limit).connect().await
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = format!("--store: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
