//! Request bodies that are read and given again.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

type Chunk = Result<Bytes, PayloadError>;

/// Reads a payload of at most `limit` bytes. The one that comes back always gives all of it again,
/// an error included.
pub(crate) async fn read(mut payload: Payload, limit: usize) -> (Option<Bytes>, Payload) {
    let mut chunks = VecDeque::new();
    let mut whole = BytesMut::new();
    loop {
        match std::future::poll_fn(|cx| Pin::new(&mut payload).poll_next(cx)).await {
            None => return (Some(whole.freeze()), replayed(chunks, Payload::None)),
            Some(chunk) => {
                let fits = match &chunk {
                    // There may be any number of these.
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => {
                        whole.extend_from_slice(data);
                        whole.len() <= limit
                    }
                    Err(_) => false,
                };
                chunks.push_back(chunk);
                if !fits {
                    return (None, replayed(chunks, payload));
                }
            }
        }
    }
}

/// A payload that extractors may read although the handler will want it too.
pub(crate) struct Shared(Rc<RefCell<Replayed>>);

impl Shared {
    pub(crate) fn new(payload: Payload) -> Self {
        Self(Rc::new(RefCell::new(Replayed { chunks: VecDeque::new(), rest: payload })))
    }

    /// One reader's view, from the beginning.
    pub(crate) fn reader(&self) -> Payload {
        let payload: Pin<Box<dyn Stream<Item = Chunk>>> =
            Box::pin(Reader { shared: Rc::clone(&self.0), next: 0 });
        Payload::from(payload)
    }

    /// All of it.
    pub(crate) fn into_payload(self) -> Payload {
        let empty = Replayed { chunks: VecDeque::new(), rest: Payload::None };
        let Replayed { chunks, rest } = self.0.replace(empty);
        replayed(chunks, rest)
    }
}

struct Reader {
    shared: Rc<RefCell<Replayed>>,
    next: usize,
}

impl Stream for Reader {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let shared = Rc::clone(&self.shared);
        let mut shared = shared.borrow_mut();
        if self.next == shared.chunks.len() {
            match ready!(Pin::new(&mut shared.rest).poll_next(cx)) {
                Some(chunk) => shared.chunks.push_back(chunk),
                None => return Poll::Ready(None),
            }
        }
        let chunk = shared.chunks.get(self.next).map(|chunk| match chunk {
            Ok(data) => Ok(data.clone()),
            // Errors cannot be cloned; each reader learns that the rest is missing.
            Err(_) => Err(PayloadError::Incomplete(None)),
        });
        self.next += 1;
        Poll::Ready(chunk)
    }
}

/// Chunks that were read already, then the rest.
struct Replayed {
    chunks: VecDeque<Chunk>,
    rest: Payload,
}

fn replayed(chunks: VecDeque<Chunk>, rest: Payload) -> Payload {
    if chunks.is_empty() {
        return rest;
    }
    let payload: Pin<Box<dyn Stream<Item = Chunk>>> = Box::pin(Replayed { chunks, rest });
    Payload::from(payload)
}

impl Stream for Replayed {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        match self.chunks.pop_front() {
            Some(chunk) => Poll::Ready(Some(chunk)),
            None => Pin::new(&mut self.rest).poll_next(cx),
        }
    }
}
