//! Why nothing could be found out.

use conformance_tests::servers::ServerError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("after the fault {fault:?}: {error}")]
    Broken { fault: &'static str, error: ServerError },
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("a message between the processes: {0}")]
    Message(#[from] serde_json::Error),
    #[error("a worker cannot open its store: {0}")]
    Store(#[from] cache_redis::ConnectError),
    #[error("a mutant cannot open its store: {0}")]
    Mutant(#[from] redis::RedisError),
    #[error("worker {0} does not start")]
    Worker(u32),
    #[error("the parent is gone")]
    Orphan,
}
