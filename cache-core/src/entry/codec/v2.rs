//! Layout 2 of the head: one byte of flags, then layout 1. Frozen, as layout 1 is.
//!
//! | bit | of a response |
//! |---|---|
//! | 0 | once stale, it must be validated |
//! | 1 | its entity tag was made here |

use super::{DecodeError, v1};
use crate::entry::Content;

const MUST_VALIDATE: u8 = 1;
const ETAG_IS_OURS: u8 = 2;

/// What layout 1 cannot say; zero if there is nothing.
pub(super) fn flags(content: &Content) -> u8 {
    match content {
        Content::Response(head) => {
            let must_validate = if head.life.must_validate { MUST_VALIDATE } else { 0 };
            must_validate | if head.etag_is_ours { ETAG_IS_OURS } else { 0 }
        }
        Content::Variants(_) | Content::Value(_) => 0,
    }
}

pub(super) fn encode(content: &Content, flags: u8) -> Vec<u8> {
    let mut out = v1::encode(content);
    out.insert(0, flags);
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<Content, DecodeError> {
    let (flags, head) = bytes.split_first().ok_or(DecodeError::Damaged)?;
    if *flags == 0 || flags & !(MUST_VALIDATE | ETAG_IS_OURS) != 0 {
        return Err(DecodeError::Malformed("flags"));
    }
    match v1::decode(head)? {
        Content::Response(mut head) => {
            head.life.must_validate = flags & MUST_VALIDATE != 0;
            head.etag_is_ours = flags & ETAG_IS_OURS != 0;
            Ok(Content::Response(head))
        }
        Content::Variants(_) | Content::Value(_) => Err(DecodeError::Malformed("flags")),
    }
}
