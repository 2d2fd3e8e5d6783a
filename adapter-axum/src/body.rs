//! Bodies between axum and the engine.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use cache_core::body::{Frame, Size};
use cache_core::engine::{ServedBody, Spawn};
use http_body::SizeHint;

/// Hands tasks to the current tokio runtime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokioSpawn;

impl<T: Future<Output = ()> + Send + 'static> Spawn<T> for TokioSpawn {
    fn spawn(&self, task: T) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(task);
        }
    }
}

/// A handler's body, as the engine reads it.
#[derive(Debug)]
pub(crate) struct Incoming(pub(crate) Body);

impl cache_core::body::Body for Incoming {
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, axum::Error>>> {
        loop {
            let frame = match Pin::new(&mut self.0).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            match frame.into_data() {
                Ok(data) => return Poll::Ready(Some(Ok(Frame::Data(data)))),
                Err(frame) => {
                    // A frame of a kind that HTTP does not have yet is passed over.
                    if let Ok(trailers) = frame.into_trailers() {
                        return Poll::Ready(Some(Ok(Frame::Trailers(trailers))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size(&self) -> Size {
        let hint = self.0.size_hint();
        Size { lower: hint.lower(), upper: hint.upper() }
    }
}

/// No body, whose length is not to be stated.
#[derive(Debug)]
pub(crate) struct Absent;

impl HttpBody for Absent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// The engine's body, as axum sends it.
#[derive(Debug)]
pub(crate) struct Outgoing(pub(crate) ServedBody<Incoming, TokioSpawn>);

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        self.0.poll_frame(cx).map(|frame| {
            frame.map(|frame| {
                frame.map(|frame| match frame {
                    Frame::Data(data) => http_body::Frame::data(data),
                    Frame::Trailers(trailers) => http_body::Frame::trailers(trailers),
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let size = self.0.size();
        let mut hint = SizeHint::new();
        hint.set_lower(size.lower);
        if let Some(upper) = size.upper {
            hint.set_upper(upper.max(size.lower));
        }
        hint
    }
}

/// Reads a request's body of at most `limit` bytes and without trailers, which no key has. The body
/// that comes back always gives all of it again, an error included.
pub(crate) async fn read(mut body: Body, limit: usize) -> (Option<Bytes>, Body) {
    let mut frames: VecDeque<Result<http_body::Frame<Bytes>, axum::Error>> = VecDeque::new();
    let mut whole = Vec::new();
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => {
                let rest = Replayed { frames, rest: Body::empty() };
                return (Some(whole.into()), Body::new(rest));
            }
            Some(frame) => {
                let fits = match frame.as_ref().map(http_body::Frame::data_ref) {
                    // There may be any number of these.
                    Ok(Some(data)) if data.is_empty() => continue,
                    Ok(Some(data)) => {
                        whole.extend_from_slice(data);
                        whole.len() <= limit
                    }
                    Ok(None) | Err(_) => false,
                };
                frames.push_back(frame);
                if !fits {
                    return (None, Body::new(Replayed { frames, rest: body }));
                }
            }
        }
    }
}

/// Frames that were read already, then the rest.
struct Replayed {
    frames: VecDeque<Result<http_body::Frame<Bytes>, axum::Error>>,
    rest: Body,
}

impl HttpBody for Replayed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.frames.iter().filter_map(|frame| frame.as_ref().ok()?.data_ref());
        let read: u64 = read.map(|data| data.len() as u64).sum();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}
