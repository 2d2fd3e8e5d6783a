//! Layout 2 of the head: one byte of flags, then layout 1. Frozen, as layout 1 is, and only read:
//! responses are written in layout 3.
//!
//! | bit | of a response |
//! |---|---|
//! | 0 | once stale, it must be validated |
//! | 1 | its entity tag was made here |

use super::{DecodeError, v1};
use crate::entry::{Content, Life};

const MUST_VALIDATE: u8 = 1;
const ETAG_IS_OURS: u8 = 2;

pub(super) fn decode(bytes: &[u8]) -> Result<Content, DecodeError> {
    let (flags, head) = bytes.split_first().ok_or(DecodeError::Damaged)?;
    if *flags == 0 || flags & !(MUST_VALIDATE | ETAG_IS_OURS) != 0 {
        return Err(DecodeError::Malformed("flags"));
    }
    match v1::decode(head)? {
        Content::Response(mut head) => {
            let must_validate = flags & MUST_VALIDATE != 0;
            head.etag_is_ours = flags & ETAG_IS_OURS != 0;
            let life = Life { must_validate, ..head.life() };
            Ok(Content::Response(head.with_life(life)))
        }
        Content::Variants(_) | Content::Value(_) => Err(DecodeError::Malformed("flags")),
    }
}
