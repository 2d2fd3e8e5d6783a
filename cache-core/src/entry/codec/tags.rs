//! The tags of a stored entry: each a 16-bit length and its encoded text.

use super::DecodeError;
use crate::tag::{MAX_TAGS, Tag, Tags};

/// Reads them; everything is checked.
pub(super) fn read(mut rest: &[u8]) -> Result<Tags, DecodeError> {
    let mut tags = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (text, after) = after.split_at_checked(length).ok_or(DecodeError::Damaged)?;
        let text = std::str::from_utf8(text).map_err(|_| DecodeError::Malformed("tag"))?;
        tags.push(Tag::from_encoded(text).ok_or(DecodeError::Malformed("tag"))?);
        if tags.len() > MAX_TAGS {
            return Err(DecodeError::Malformed("too many tags"));
        }
        rest = after;
    }
    if rest.is_empty() { Ok(Tags::new(tags)) } else { Err(DecodeError::Damaged) }
}
