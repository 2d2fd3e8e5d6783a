//! Bodies that are complete in memory.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::tee::{Begun, Frames};
use crate::body::{Body, Frame};

/// What a body of known length turned out to be.
pub(crate) enum Gathered<E> {
    /// All of it was there.
    Whole(Bytes),
    /// It must be waited for, or is not what it said.
    Streaming(Begun<E>),
}

/// Takes what a body of `size` bytes gives without waiting. One that goes on beyond its size may do
/// so for ever; one that ends before it must end so for the client too, who is to notice.
///
/// Nobody is woken by what is polled here: what is not ready is polled anew, by whoever sends it.
pub(crate) fn gather<B: Body>(body: &mut B, size: u64) -> Gathered<B::Error> {
    let cx = &mut Context::from_waker(Waker::noop());
    // Most are one piece.
    let mut first = None;
    let mut others: Frames<B::Error> = VecDeque::new();
    let mut left = Some(size);
    let over = loop {
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(frame)) => frame,
            Poll::Ready(None) => break true,
            Poll::Pending => break false,
        };
        left = match &frame {
            Ok(Frame::Data(chunk)) => left.and_then(|left| left.checked_sub(chunk.len() as u64)),
            _ => None,
        };
        match first {
            None => first = Some(frame),
            Some(_) => others.push_back(frame),
        }
        if left.is_none() || others.len() == MAX_GATHERED {
            break false;
        }
        if left == Some(0) && body.is_end_stream() {
            break true;
        }
    };
    match first {
        None if over && left == Some(0) => Gathered::Whole(Bytes::new()),
        Some(Ok(Frame::Data(chunk))) if over && left == Some(0) => {
            Gathered::Whole(joined(chunk, others))
        }
        first => {
            others.extend(first);
            // It came before the others.
            others.rotate_right(1.min(others.len()));
            Gathered::Streaming(Begun { frames: others, over })
        }
    }
}

/// How many pieces of a body are taken at once.
const MAX_GATHERED: usize = 1 << 16;

fn joined<E>(first: Bytes, others: Frames<E>) -> Bytes {
    if others.is_empty() {
        return first;
    }
    let mut whole = BytesMut::from(first);
    for frame in others {
        if let Ok(Frame::Data(chunk)) = frame {
            whole.extend_from_slice(&chunk);
        }
    }
    whole.freeze()
}

/// A body to be stored, and to be sent. It may be a slice, and would keep the buffer that it was cut
/// from, which no store counts; unless it is large, it is copied. A buffer that nobody else holds and
/// that has little room beside the body is shared as it is.
pub(crate) fn apart(body: Bytes) -> (Bytes, Bytes) {
    const LARGE: usize = 64 << 10;
    if body.len() >= LARGE {
        return (body.clone(), body);
    }
    if !body.is_unique() {
        return (Bytes::copy_from_slice(&body), body);
    }
    let buffer = Vec::from(body);
    let is_tight = buffer.capacity() - buffer.len() <= buffer.len() / 8;
    let body = Bytes::from(buffer);
    if is_tight { (body.clone(), body) } else { (Bytes::copy_from_slice(&body), body) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Size;

    /// Gives these pieces, and ends.
    struct Pieces(VecDeque<Poll<&'static str>>);

    impl Body for Pieces {
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame, Self::Error>>> {
            match self.0.pop_front() {
                Some(piece) => piece.map(|piece| Some(Ok(Frame::Data(Bytes::from(piece))))),
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }

        fn size(&self) -> Size {
            Size::default()
        }
    }

    fn of(pieces: &[Poll<&'static str>], size: u64) -> Result<Bytes, (Vec<Bytes>, bool)> {
        match gather(&mut Pieces(pieces.iter().copied().collect()), size) {
            Gathered::Whole(body) => Ok(body),
            Gathered::Streaming(Begun { frames, over }) => {
                let data = frames.into_iter().filter_map(|frame| match frame {
                    Ok(Frame::Data(data)) => Some(data),
                    _ => None,
                });
                Err((data.collect(), over))
            }
        }
    }

    #[test]
    fn what_is_there_at_once_is_whole() {
        let [a, b, c] = ["one", "two", "six"].map(Poll::Ready);
        assert_eq!(of(&[], 0).unwrap(), "");
        assert_eq!(of(&[a], 3).unwrap(), "one");
        assert_eq!(of(&[a, b, c], 9).unwrap(), "onetwosix");
    }

    #[test]
    fn what_is_not_keeps_its_order() {
        let [a, b, c] = ["one", "two", "six"].map(Poll::Ready);
        let read = |pieces: &[&'static str], over| {
            Err((pieces.iter().map(|piece| Bytes::from(*piece)).collect(), over))
        };
        assert_eq!(of(&[a, b, Poll::Pending, c], 9), read(&["one", "two"], false));
        assert_eq!(of(&[Poll::Pending, a], 3), read(&[], false));
        // Less or more than was said.
        assert_eq!(of(&[a, b], 9), read(&["one", "two"], true));
        assert_eq!(of(&[a, b, c], 5), read(&["one", "two"], false));
    }

    #[test]
    fn only_a_buffer_of_its_own_is_shared() {
        let is_shared = |body: Bytes| {
            let (own, sent) = apart(body);
            assert_eq!(own, sent);
            own.as_ptr() == sent.as_ptr()
        };
        assert!(is_shared(Bytes::from(vec![7; 1000])));
        assert!(is_shared(Bytes::from(vec![7; 64 << 10])));
        let mut roomy = Vec::with_capacity(2000);
        roomy.resize(1000, 7);
        assert!(!is_shared(Bytes::from(roomy)), "room that nobody counts");
        let buffer = Bytes::from(vec![7; 2000]);
        assert!(!is_shared(buffer.slice(..1000)), "a part of what others hold");
        let mut part = Bytes::from(vec![7; 2000]);
        part.truncate(1000);
        assert!(!is_shared(part), "the rest of the buffer is there");
    }
}
