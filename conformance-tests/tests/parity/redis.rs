//! The Redis server that tests share, each under a prefix of its own. Those that do a server harm
//! start another.

use std::sync::{Mutex, PoisonError};

use conformance_tests::servers::Server;

static SHARED: Mutex<Option<Server>> = Mutex::new(None);

/// Its address; it is started when the first test asks.
pub(crate) fn shared() -> String {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.get_or_insert_with(|| Server::start(&[]).expect("a Redis server")).url()
}

/// Ends it; a static is never dropped.
pub(crate) fn stop() {
    drop(SHARED.lock().unwrap_or_else(PoisonError::into_inner).take());
}
