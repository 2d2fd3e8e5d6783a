//! Where cached answers are kept.

use std::error::Error;

use adapter_axum::Cache;
use cache_memory::MemoryStore;
use cache_redis::RedisStore;

use crate::args::StoreKind;

/// The store, held so that it can be closed.
pub(crate) enum Answers {
    /// For this process alone.
    Memory(MemoryStore),
    /// For all processes on the same database and Redis.
    Redis(RedisStore),
}

impl Answers {
    /// `database` is its identity. Answers are shared by processes on one database and by no
    /// others: a new database must not meet what an older one has left in Redis.
    pub(crate) async fn open(kind: &StoreKind, database: u32) -> Result<Self, Box<dyn Error>> {
        match kind {
            StoreKind::Memory => Ok(Self::Memory(MemoryStore::new())),
            StoreKind::Redis(url) => {
                let store = RedisStore::builder(url)
                    .map_err(explained)?
                    .with_prefix(format!("quickstart-{database:08x}"))
                    .connect()
                    .await
                    .map_err(explained)?;
                Ok(Self::Redis(store))
            }
        }
    }

    pub(crate) fn cache(&self) -> Cache {
        match self {
            Self::Memory(store) => Cache::new(store.clone()),
            Self::Redis(store) => Cache::new(store.clone()),
        }
    }

    /// Hangs up. What Redis holds stays there for the other processes, and goes by its expiry.
    pub(crate) async fn close(self) {
        use adapter_axum::Store as _;

        match self {
            Self::Memory(store) => store.close().await,
            Self::Redis(store) => store.close().await,
        }
    }
}

/// An error and what it came from, in one line. Neither repeats the URL, which may hold a password.
fn explained(error: impl Error) -> String {
    let mut text = format!("cannot use the store: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
