//! The future of a cached service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::response::Response;
use cache_core::engine::{Detached, Lifeline, Spawn as _, Surviving};

use crate::body::TokioSpawn;

type Task<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

type Detach<E> = fn(Detached<Task<E>>);

/// Resolves to the response: at once for a hit in memory, without an allocation of its own.
pub struct ResponseFuture<E: Send + 'static>(Kind<E>);

enum Kind<E: Send + 'static> {
    Ready(Option<Response>),
    Task(Surviving<Task<E>, Detach<E>>),
}

impl<E: Send + 'static> ResponseFuture<E> {
    pub(crate) const fn ready(response: Response) -> Self {
        Self(Kind::Ready(Some(response)))
    }

    /// A task that, if it is wanted, outlives the client.
    pub(crate) fn task(
        life: Lifeline,
        task: impl Future<Output = Result<Response, E>> + Send + 'static,
    ) -> Self {
        let task: Task<E> = Box::pin(task);
        Self(Kind::Task(Surviving::new(task, life, |rest| TokioSpawn.spawn(rest))))
    }
}

impl<E: Send + 'static> Future for ResponseFuture<E> {
    type Output = Result<Response, E>;

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

impl<E: Send + 'static> fmt::Debug for ResponseFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
