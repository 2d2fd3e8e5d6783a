//! Bodies, as far as the engine needs to know them.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

/// A piece of a body.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "HTTP has no third kind")]
pub enum Frame {
    /// Content.
    Data(Bytes),
    /// The trailer section. Passed on to this client, never stored (RFC 9110 §6.5.1).
    Trailers(HeaderMap),
}

/// A response body of some framework, read frame by frame.
pub trait Body: Unpin {
    /// Why reading failed.
    type Error;

    /// The next frame; `None` at the clean end.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Self::Error>>>;

    /// Whether nothing more will come. A body that cannot tell says `false`.
    fn is_end_stream(&self) -> bool;

    /// What is left, in bytes.
    fn size(&self) -> Size;
}

/// The body of an answer made of a stored response: slices of what is stored, never a copy.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_enums, reason = "adapters must handle all, and there is no fourth")]
pub enum ReplyBody {
    /// None, which is another thing than an empty one: its length is not to be stated.
    #[default]
    Absent,
    /// One piece.
    Whole(Bytes),
    /// Several, one after the other.
    Pieces(Pieces),
}

/// Pieces of known length that make one body.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    waiting: VecDeque<Bytes>,
    left: u64,
}

impl Pieces {
    /// The next piece; `None` at the end. None is empty.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        let piece = self.waiting.pop_front()?;
        self.left = self.left.saturating_sub(piece.len() as u64);
        Some(piece)
    }

    /// How many bytes are left.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }
}

impl FromIterator<Bytes> for Pieces {
    fn from_iter<I: IntoIterator<Item = Bytes>>(iter: I) -> Self {
        let waiting: VecDeque<_> = iter.into_iter().filter(|piece| !piece.is_empty()).collect();
        let left = waiting.iter().map(|piece| piece.len() as u64).sum();
        Self { waiting, left }
    }
}

/// How many bytes a body will still give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "two bounds, complete")]
pub struct Size {
    /// At least.
    pub lower: u64,
    /// At most, if known.
    pub upper: Option<u64>,
}

impl Size {
    /// Exactly so many.
    #[must_use]
    pub const fn exact(bytes: u64) -> Self {
        Self { lower: bytes, upper: Some(bytes) }
    }

    /// The exact number, if both bounds agree.
    #[must_use]
    pub fn known(&self) -> Option<u64> {
        self.upper.filter(|upper| *upper == self.lower)
    }

    pub(crate) fn plus(self, bytes: u64) -> Self {
        Self {
            lower: self.lower.saturating_add(bytes),
            upper: self.upper.and_then(|upper| upper.checked_add(bytes)),
        }
    }
}
