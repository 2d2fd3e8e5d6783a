//! Broken stores over real Redis, kept to show that the checker sees.

mod naive;
mod unproven;

use std::sync::Arc;

use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::Entry;
use cache_core::key::Key;
use cache_core::store::{Store, StoreError, StoreErrorKind};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// Which broken store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mutant {
    /// Index sets, `SUNION` and `DEL`, no tickets: what is usually built.
    Naive,
    /// Tickets, stamps and marks as they should be, yet nothing that proves them after a loss:
    /// no epoch, no incarnation. Right until a server forgets or goes back.
    Unproven,
}

impl Mutant {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "naive" => Some(Self::Naive),
            "unproven" => Some(Self::Unproven),
            _ => None,
        }
    }

    pub(crate) async fn open(self, url: &str) -> Result<Arc<dyn Store>, redis::RedisError> {
        let link = Link::open(url).await?;
        Ok(match self {
            Self::Naive => Arc::new(naive::Naive::new(link)),
            Self::Unproven => Arc::new(unproven::Unproven::new(link)),
        })
    }
}

/// A connection that is opened again after a failure.
#[derive(Debug)]
struct Link {
    client: redis::Client,
    open: Mutex<Option<MultiplexedConnection>>,
}

impl Link {
    async fn open(url: &str) -> Result<Self, redis::RedisError> {
        let client = redis::Client::open(url)?;
        let open = client.get_multiplexed_async_connection().await?;
        Ok(Self { client, open: Mutex::new(Some(open)) })
    }

    async fn run<T: redis::FromRedisValue>(
        &self,
        pipe: &redis::Pipeline,
    ) -> Result<T, redis::RedisError> {
        let mut connection = {
            let mut open = self.open.lock().await;
            match open.as_ref() {
                Some(connection) => connection.clone(),
                None => open.insert(self.client.get_multiplexed_async_connection().await?).clone(),
            }
        };
        let done = pipe.query_async(&mut connection).await;
        if let Err(error) = &done
            && error.is_connection_dropped()
        {
            *self.open.lock().await = None;
        }
        done
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the mutant's server").with_source(error)
}

fn name(mutant: &str, key: &Key) -> String {
    format!("{mutant}:e:{}", key.primary().to_hex())
}

/// In milliseconds, at least one.
fn life(entry: &Entry) -> u64 {
    let left = entry.keep_until().duration_since(SystemClock.now()).unwrap_or_default();
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX).clamp(1, 1_000_000_000)
}
