//! The future of a cached service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use cache_core::engine::{Detached, Lifeline, Spawn as _, Surviving};

use crate::body::TokioSpawn;

type Task<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

type Detach<E> = fn(Detached<Task<E>>);

/// Resolves to the response: at once for a hit in memory, without an allocation of its own; with
/// one for a hit in a store that must be waited for.
pub struct ResponseFuture<E: Send + 'static>(Kind<E>);

enum Kind<E: Send + 'static> {
    Ready(Option<Response>),
    /// The store is asked, which needs nothing that outlives the client.
    Search(Search<E>),
    Task(Surviving<Task<E>, Detach<E>>),
}

type Search<E> = Pin<Box<dyn Future<Output = Searched<E>> + Send>>;

/// What came of asking the store.
pub(crate) enum Searched<E: Send + 'static> {
    Answered(Response),
    Further(ResponseFuture<E>),
}

impl<E: Send + 'static> ResponseFuture<E> {
    pub(crate) const fn ready(response: Response) -> Self {
        Self(Kind::Ready(Some(response)))
    }

    /// A search, and what comes of it.
    pub(crate) fn search(search: impl Future<Output = Searched<E>> + Send + 'static) -> Self {
        Self(Kind::Search(Box::pin(search)))
    }

    /// A task that, if it is wanted, outlives the client.
    pub(crate) fn task(
        life: Lifeline,
        task: impl Future<Output = Result<Response, E>> + Send + 'static,
    ) -> Self {
        let task: Task<E> = Box::pin(task);
        Self(Kind::Task(Surviving::new(task, life, |rest| TokioSpawn.spawn(rest))))
    }

    #[inline(never)]
    fn go_on(
        mut self: Pin<&mut Self>,
        searched: Searched<E>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response, E>> {
        match searched {
            Searched::Answered(response) => {
                self.0 = Kind::Ready(None);
                Poll::Ready(Ok(response))
            }
            Searched::Further(further) => {
                *self = further;
                self.poll(cx)
            }
        }
    }
}

impl<E: Send + 'static> Future for ResponseFuture<E> {
    type Output = Result<Response, E>;

    // For hits: it goes into the futures of the frameworks, the rest does not.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Kind::Ready(response) => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            Kind::Search(search) => {
                let searched = ready!(search.as_mut().poll(cx));
                self.go_on(searched, cx)
            }
            Kind::Task(task) => Pin::new(task).poll(cx),
        }
    }
}

impl<E: Send + 'static> fmt::Debug for ResponseFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
