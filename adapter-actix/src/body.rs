//! Bodies between actix and the engine.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use cache_core::body::{Body, Frame, Size};
use cache_core::engine::ServedBody;

use crate::spawn::ArbiterSpawn;

/// A handler's body, as the engine reads it.
///
/// What actix calls a size is the whole one, also when some was read; the engine wants what is
/// left. As in actix's encoder, the size is binding.
#[derive(Debug)]
pub(crate) struct Incoming {
    body: BoxBody,
    left: Option<u64>,
    ended: bool,
}

impl Incoming {
    pub(crate) fn new(body: BoxBody) -> Self {
        let left = match body.size() {
            BodySize::None => Some(0),
            BodySize::Sized(size) => Some(size),
            BodySize::Stream => None,
        };
        Self { body, left, ended: left == Some(0) }
    }

    /// The body as it came.
    pub(crate) fn into_inner(self) -> BoxBody {
        self.body
    }
}

impl Body for Incoming {
    type Error = Box<dyn Error>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let polled = ready!(self.body.as_pin_mut().poll_next(cx));
        self.ended = !matches!(polled, Some(Ok(_)));
        Poll::Ready(match (polled, self.left) {
            (Some(Ok(mut chunk)), Some(left)) => {
                chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left.saturating_sub(chunk.len() as u64);
                self.left = Some(left);
                self.ended = left == 0;
                Some(Ok(Frame::Data(chunk)))
            }
            (Some(Ok(chunk)), None) => Some(Ok(Frame::Data(chunk))),
            (Some(Err(error)), _) => Some(Err(error)),
            (None, Some(left)) if left > 0 => Some(Err(Box::new(TooShort { left }))),
            (None, _) => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size(&self) -> Size {
        self.left.map_or(Size { lower: 0, upper: None }, Size::exact)
    }
}

/// A body ended before its stated size.
#[derive(Debug)]
struct TooShort {
    left: u64,
}

impl fmt::Display for TooShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the body ended {} bytes before its stated size", self.left)
    }
}

impl Error for TooShort {}

/// The engine's body, as actix sends it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    body: ServedBody<Incoming, ArbiterSpawn>,
    size: BodySize,
}

impl Outgoing {
    /// A body for actix. `stated` is the length that an answer without a body states; `silent`
    /// says that the handler's own empty body states none.
    pub(crate) fn boxed(
        body: ServedBody<Incoming, ArbiterSpawn>,
        stated: Option<u64>,
        silent: bool,
    ) -> BoxBody {
        let size = match body.size().known() {
            Some(0) if silent => BodySize::None,
            Some(size) => BodySize::Sized(size),
            // No body is another thing than an empty one.
            None if body.is_end_stream() => stated.map_or(BodySize::None, BodySize::Sized),
            None => BodySize::Stream,
        };
        BoxBody::new(Self { body, size })
    }
}

impl MessageBody for Outgoing {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        loop {
            match ready!(self.body.poll_frame(cx)) {
                // To actix an empty chunk is the end.
                Some(Ok(Frame::Data(data))) if data.is_empty() => {}
                Some(Ok(Frame::Data(data))) => return Poll::Ready(Some(Ok(data))),
                // No handler of actix makes trailers.
                Some(Ok(Frame::Trailers(_))) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// A body that is not sent, of the length that the answer states.
#[derive(Debug)]
pub(crate) struct Unsent(u64);

impl Unsent {
    /// A body for actix. Without a length it is none, which is another thing than an empty one.
    pub(crate) fn boxed(stated: Option<u64>) -> BoxBody {
        stated.map_or_else(|| BoxBody::new(body::None::new()), |size| BoxBody::new(Self(size)))
    }
}

impl MessageBody for Unsent {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
