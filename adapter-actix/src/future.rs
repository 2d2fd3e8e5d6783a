//! The future of a cached service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::dev::ServiceResponse;
use cache_core::engine::{Detached, Lifeline, Spawn as _, Surviving};

use crate::spawn::ArbiterSpawn;

type Task<T> = Pin<Box<dyn Future<Output = Result<T, Error>>>>;
type Lasting<T> = Surviving<Task<T>, fn(Detached<Task<T>>)>;

/// Resolves to the response: at once for a hit in memory, without an allocation of its own.
pub struct ResponseFuture<T: 'static = ServiceResponse>(Kind<T>);

enum Kind<T: 'static> {
    Ready(Option<T>),
    Task(Lasting<T>),
}

impl<T> ResponseFuture<T> {
    pub(crate) const fn ready(response: T) -> Self {
        Self(Kind::Ready(Some(response)))
    }

    /// A task that, if it is wanted, outlives the client.
    pub(crate) fn task(
        life: Lifeline,
        task: impl Future<Output = Result<T, Error>> + 'static,
    ) -> Self {
        let task: Task<T> = Box::pin(task);
        Self(Kind::Task(Surviving::new(task, life, |rest| ArbiterSpawn.spawn(rest))))
    }
}

impl<T: Unpin> Future for ResponseFuture<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Ready(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                None => Poll::Pending,
            },
            Kind::Task(task) => Pin::new(task).poll(cx),
        }
    }
}

impl<T> fmt::Debug for ResponseFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
