//! Bodies, as far as the engine needs to know them.

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
