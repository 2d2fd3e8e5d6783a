//! One piece of work at a time, shared by all who want its outcome.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::error::Fault;

/// Work that runs detached, so that a caller who gives up does not stop it for the others.
#[derive(Debug)]
pub(crate) struct Flight<T>(Mutex<Option<watch::Receiver<Option<T>>>>);

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone + Send + Sync + 'static> Flight<T> {
    /// Joins the work in flight, or starts `work`.
    pub(crate) async fn join<W>(&self, work: impl FnOnce() -> W) -> Result<T, Fault>
    where
        W: Future<Output = T> + Send + 'static,
    {
        Ok(self.join_known(work).await?.0)
    }

    /// The same, and whether the work was in flight before.
    pub(crate) async fn join_known<W>(&self, work: impl FnOnce() -> W) -> Result<(T, bool), Fault>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let (mut outcome, was_in_flight) = self.board(work)?;
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| Fault::Stopped)?;
        Ok((outcome.clone().ok_or(Fault::Stopped)?, was_in_flight))
    }

    fn board<W>(
        &self,
        work: impl FnOnce() -> W,
    ) -> Result<(watch::Receiver<Option<T>>, bool), Fault>
    where
        W: Future<Output = T> + Send + 'static,
    {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has landed may be known to some before its task has ended.
        if let Some(flying) = current.as_ref()
            && flying.has_changed().is_ok()
            && flying.borrow().is_none()
        {
            return Ok((flying.clone(), true));
        }
        let runtime = Handle::try_current()
            .map_err(|_| Fault::Unsupported("a runtime other than tokio".to_owned()))?;
        let (tell, outcome) = watch::channel(None);
        *current = Some(outcome.clone());
        let work = work();
        // The sender goes with the task: once it has ended, the next caller starts anew.
        runtime.spawn(async move {
            let outcome = work.await;
            let _ = tell.send(Some(outcome));
        });
        Ok((outcome, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_landed_is_not_boarded() {
        let (still_there, outcome) = watch::channel(Some(1));
        let flight = Flight(Mutex::new(Some(outcome)));
        assert_eq!(flight.join_known(|| async { 2 }).await.unwrap(), (2, false));
        drop(still_there);
        let both =
            tokio::join!(flight.join_known(|| async { 3 }), flight.join_known(|| async { 4 }));
        assert_eq!((both.0.unwrap(), both.1.unwrap()), ((3, false), (3, true)));
    }
}
