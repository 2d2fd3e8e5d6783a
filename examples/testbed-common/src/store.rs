//! The store that `--store` names.

use std::error::Error;
use std::time::Duration;

use cache_core::store::StoreError;
use cache_core::{Cache, CacheBuilder};
use cache_memory::MemoryStore;
use cache_redis::RedisStore;

use crate::args::Options;

/// How many keys `/admin/keys` lists at most where the store has a limit.
const KEY_LIMIT: usize = 100_000;

/// What the memory store takes by default, in bytes.
const DEFAULT_MAX_BODY: u64 = 8 << 20;

/// What the memory store takes at most: two of them must fit into its 256 MiB.
const LARGEST_BODY: u64 = 128 << 20;

/// A store, opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Opened {
    /// In this process.
    Memory(MemoryStore),
    /// In Redis.
    Redis(RedisStore),
}

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is none of those that are known. It may hold a password, so only its beginning is
    /// told.
    #[error("--store: {0:?} is neither `memory` nor the beginning of a Redis address")]
    Unknown(String),
    /// The store could not be opened.
    #[error("--store: {0}")]
    Failed(String),
}

impl Opened {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// An unknown name, a bad address, or a server that cannot be used.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let scheme = options.store.split(':').next().unwrap_or_default();
        match scheme {
            "memory" if options.store == "memory" => memory(options).map(Self::Memory),
            "redis" | "rediss" | "unix" | "redis-sentinel" | "rediss-sentinel"
            | "redis-cluster" | "rediss-cluster" => {
                let failed = |error: cache_redis::ConnectError| OpenError::Failed(chain(&error));
                let builder = RedisStore::builder(&options.store).map_err(failed)?;
                // Clients compare the counts of invalidations: there is time to finish counting,
                // within the 250 ms of `store_timeout`.
                let mut builder = builder
                    .with_prefix(&options.prefix)
                    .with_reclaim_budget(10_000, Duration::from_millis(150));
                if let Some(limit) = options.store_timeout {
                    // Below the engine's, so that the circuit breaker sees what fails.
                    builder = builder.with_response_limit(limit * 4 / 5).with_connect_limit(limit);
                }
                let store = builder.connect().await;
                Ok(Self::Redis(store.map_err(failed)?))
            }
            other => Err(OpenError::Unknown(other.to_owned())),
        }
    }

    /// A cache over the store under the application-wide policy, to be configured further.
    pub fn cache(&self, options: &Options) -> CacheBuilder {
        let builder = match self {
            Self::Memory(store) => Cache::builder(store.clone()),
            Self::Redis(store) => Cache::builder(store.clone()),
        };
        let builder = match options.store_timeout {
            Some(limit) => builder.store_timeout(limit),
            None => builder,
        };
        builder.policy(options.policy.clone())
    }

    /// The keys that the store holds, in order.
    ///
    /// # Errors
    ///
    /// The store could not be asked.
    pub async fn keys(&self) -> Result<Vec<String>, StoreError> {
        let mut keys = match self {
            Self::Memory(store) => store.keys().iter().map(ToString::to_string).collect(),
            Self::Redis(store) => store.keys(KEY_LIMIT).await?,
        };
        keys.sort_unstable();
        Ok(keys)
    }
}

/// A memory store with room for what the policy lets in.
fn memory(options: &Options) -> Result<MemoryStore, OpenError> {
    let failed = |error: &dyn Error| OpenError::Failed(chain(error));
    let policy = serde_json::to_value(&options.policy).map_err(|error| failed(&error))?;
    let Some(max_body) = policy.get("max_body").and_then(serde_json::Value::as_u64) else {
        return Ok(MemoryStore::new());
    };
    // Less than its default does a store no good: the engine minds the policy's limit itself.
    let max_body = max_body.clamp(DEFAULT_MAX_BODY, LARGEST_BODY);
    let builder = MemoryStore::builder().max_body(max_body);
    builder.build().map_err(|error| failed(&error))
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
