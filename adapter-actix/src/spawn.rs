//! Work on the arbiter that serves the request.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;

use cache_core::engine::Spawn;

/// Hands tasks to the current arbiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ArbiterSpawn;

impl<T: Future<Output = ()> + 'static> Spawn<T> for ArbiterSpawn {
    fn spawn(&self, task: T) {
        // Where no arbiter is left, spawning panics; as this runs in destructors, the panic must
        // end here. The task is dropped then.
        let spawned = AssertUnwindSafe(|| drop(actix_web::rt::spawn(task)));
        if std::panic::catch_unwind(spawned).is_err() {
            tracing::warn!("no arbiter is left to finish a fill");
        }
    }
}

/// A task that starts when the response whose extensions hold it is gone.
///
/// A refresh needs a clone of the request that was served, and actix panics where a request that
/// has clones is routed. The dispatcher (and a test) drops the served request before it drops the
/// response's head; a task that is spawned then runs later still.
pub(crate) struct Afterwards(Option<Pin<Box<dyn Future<Output = ()>>>>);

impl Afterwards {
    pub(crate) fn new(task: impl Future<Output = ()> + 'static) -> Self {
        Self(Some(Box::pin(task)))
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            ArbiterSpawn.spawn(task);
        }
    }
}
