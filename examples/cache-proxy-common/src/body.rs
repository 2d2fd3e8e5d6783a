//! The origin's answer, read from its connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// A body whose reader drives the connection that it comes from. `B` is the request's body, the
/// rest of which may still be on its way. Dropping it closes the connection.
pub struct OriginBody<B>
where
    B: Body + 'static,
{
    body: Incoming,
    /// Absent once it has ended.
    connection: Option<Connection<TokioIo<TcpStream>, B>>,
    patience: Duration,
    /// Set while a frame is waited for.
    waiting: Option<Pin<Box<Sleep>>>,
}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenOff {
    /// By the origin.
    #[error("the origin broke off: {0}")]
    Failed(#[from] hyper::Error),
    /// Nothing more came.
    #[error("the origin is silent for {0:?}")]
    Silent(Duration),
}

impl<B> OriginBody<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) fn new(
        body: Incoming,
        connection: Connection<TokioIo<TcpStream>, B>,
        patience: Duration,
    ) -> Self {
        let connection = Some(connection).filter(|_| !body.is_end_stream());
        Self { body, connection, patience, waiting: None }
    }

    /// Whether the origin has been silent for too long.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        waiting.as_mut().poll(cx).is_ready()
    }
}

impl<B> Body for OriginBody<B>
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        // The body first: it asks the connection for more.
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if polled.is_pending()
            && let Some(connection) = &mut this.connection
        {
            // Its failure is told by the body.
            if Pin::new(connection).poll(cx).is_ready() {
                this.connection = None;
            }
            polled = Pin::new(&mut this.body).poll_frame(cx);
        }
        match polled {
            Poll::Ready(frame) => {
                this.waiting = None;
                Poll::Ready(frame.map(|frame| frame.map_err(BrokenOff::Failed)))
            }
            Poll::Pending if this.is_overdue(cx) => {
                this.connection = None;
                Poll::Ready(Some(Err(BrokenOff::Silent(this.patience))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> fmt::Debug for OriginBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginBody").field("body", &self.body).finish_non_exhaustive()
    }
}
