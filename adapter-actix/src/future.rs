//! The future of a cached service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::Error;
use actix_web::dev::ServiceResponse;
use cache_core::engine::{Detached, Lifeline, Spawn as _, Surviving};

use crate::spawn::ArbiterSpawn;

type Task = Pin<Box<dyn Future<Output = Result<ServiceResponse, Error>>>>;

/// Resolves to the response: at once for a hit in memory, without an allocation of its own.
pub struct ResponseFuture(Kind);

enum Kind {
    Ready(Option<ServiceResponse>),
    Task(Surviving<Task, fn(Detached<Task>)>),
}

impl ResponseFuture {
    pub(crate) const fn ready(response: ServiceResponse) -> Self {
        Self(Kind::Ready(Some(response)))
    }

    /// A task that, if it is wanted, outlives the client.
    pub(crate) fn task(
        life: Lifeline,
        task: impl Future<Output = Result<ServiceResponse, Error>> + 'static,
    ) -> Self {
        let task: Task = Box::pin(task);
        Self(Kind::Task(Surviving::new(task, life, |rest| ArbiterSpawn.spawn(rest))))
    }
}

impl Future for ResponseFuture {
    type Output = Result<ServiceResponse, Error>;

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

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
