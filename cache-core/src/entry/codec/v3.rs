//! Layout 3 of the head: that of a response, with its fields as they lie in memory. Frozen, and
//! with it how fields are packed (`entry/packed.rs`).
//!
//! | size | content (integers big-endian) |
//! |---|---|
//! | 1 | flags: bit 0 = once stale, it must be validated; bit 1 = its entity tag was made here |
//! | 2 | status |
//! | 8 × 5 | received at, initial age, fresh for, stale while revalidating, stale on errors, all in milliseconds |
//! | 1 | how many fields are nominated |
//! | … | each of them: its name, the number of its lines, the lines |
//! | … | the packed fields |
//!
//! Of the nominated fields all names are spelled; before each name and each line stands its length, in
//! LEB128 as in packed fields, and so is the number of lines. By reading, nothing but these names is
//! copied.

use std::time::Duration;

use bytes::{BufMut as _, Bytes};

use super::v1::{read_name, read_status};
use super::{DecodeError, EncodeError};
use crate::clock::{from_unix_millis, unix_millis};
use crate::entry::packed::{self, length, put_length, put_sized, sized};
use crate::entry::times::millis;
use crate::entry::{Life, StoredFields, StoredHead};
use crate::key::vary::{MAX_NOMINATED, Presented};

const MUST_VALIDATE: u8 = 1;
const ETAG_IS_OURS: u8 = 2;

pub(super) fn encode(head: &StoredHead) -> Result<Vec<u8>, EncodeError> {
    let fields = head.headers.packed();
    let lines = head.headers.len();
    if lines > packed::MOST_LINES {
        return Err(EncodeError::TooManyFields { lines });
    }
    let mut out = Vec::with_capacity(64 + fields.len());
    let life = head.life();
    let must_validate = if life.must_validate { MUST_VALIDATE } else { 0 };
    out.put_u8(must_validate | if head.etag_is_ours { ETAG_IS_OURS } else { 0 });
    out.put_u16(head.status.as_u16());
    out.put_u64(unix_millis(life.stored_at));
    for time in [life.initial_age, life.fresh_for, life.stale_while_revalidate, life.stale_if_error]
    {
        out.put_u64(millis(time));
    }
    put_presented(&head.presented, &mut out);
    out.extend_from_slice(fields);
    Ok(out)
}

fn put_presented(presented: &Presented, out: &mut Vec<u8>) {
    // They are at most MAX_NOMINATED.
    out.put_u8(u8::try_from(presented.lines().count()).unwrap_or(u8::MAX));
    for (name, lines) in presented.lines() {
        put_sized(name.as_str().as_bytes(), out);
        put_length(lines.len(), out);
        for line in lines {
            put_sized(line, out);
        }
    }
}

/// Reads a head; everything in it is checked.
pub(super) fn decode(bytes: &Bytes) -> Result<StoredHead, DecodeError> {
    let (flags, rest) = bytes.split_first().ok_or(DecodeError::Damaged)?;
    if flags & !(MUST_VALIDATE | ETAG_IS_OURS) != 0 {
        return Err(DecodeError::Malformed("flags"));
    }
    let (status, rest) = rest.split_first_chunk().ok_or(DecodeError::Damaged)?;
    let (times, rest) = rest.split_first_chunk().ok_or(DecodeError::Damaged)?;
    let (presented, rest) = read_presented(bytes, rest)?;
    let headers = StoredFields::read(bytes.slice_ref(rest)).map_err(DecodeError::Malformed)?;
    let status = read_status(u16::from_be_bytes(*status))?;
    let life = Life { must_validate: flags & MUST_VALIDATE != 0, ..read_life(times) };
    let mut head = StoredHead::packed(status, headers, life, presented);
    head.etag_is_ours = flags & ETAG_IS_OURS != 0;
    Ok(head)
}

fn read_life(times: &[u8; 40]) -> Life {
    let (times, _) = times.as_chunks::<8>();
    let mut millis = times.iter().map(|time| u64::from_be_bytes(*time));
    let mut next = || millis.next().unwrap_or_default();
    let stored_at = from_unix_millis(next());
    let mut next = || Duration::from_millis(next());
    Life {
        stored_at,
        initial_age: next(),
        fresh_for: next(),
        stale_while_revalidate: next(),
        stale_if_error: next(),
        must_validate: false,
    }
}

/// The nominated fields, and what follows them.
fn read_presented<'b>(bytes: &Bytes, rest: &'b [u8]) -> Result<(Presented, &'b [u8]), DecodeError> {
    let wrong = || DecodeError::Malformed("nominated fields");
    let (count, mut rest) = rest.split_first().ok_or_else(wrong)?;
    let count = usize::from(*count);
    if count > MAX_NOMINATED {
        return Err(DecodeError::Malformed("too many nominated fields"));
    }
    let mut fields = Vec::with_capacity(count);
    for _ in 0..count {
        let (name, after) = sized(rest).ok_or_else(wrong)?;
        let name = std::str::from_utf8(name).map_err(|_| wrong())?;
        let (lines, mut after) = length(after).ok_or_else(wrong)?;
        let mut values = Vec::with_capacity(lines.min(4));
        for _ in 0..lines {
            let (line, behind) = sized(after).ok_or_else(wrong)?;
            values.push(bytes.slice_ref(line));
            after = behind;
        }
        fields.push((read_name(name)?, values));
        rest = after;
    }
    Ok((Presented::from_lines(fields), rest))
}
