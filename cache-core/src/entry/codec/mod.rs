//! The stored form of an entry, for stores that keep bytes.
//!
//! An *envelope* of fixed layout comes first, so that a store (or a script inside one) can read
//! stamp and tags without knowing the rest; then the tags, the head in the codec that the
//! envelope names, and the body as the raw tail, which decoding slices without a copy.
//!
//! | offset | size | content (integers big-endian) |
//! |---|---|---|
//! | 0 | 4 | magic `RCE\x01`, the last byte being the version of the envelope |
//! | 4 | 1 | codec of the head: 1 = bincode 2, layout [`v1`]; 2 = the same with flags, [`v2`]; 3 = packed, [`v3`] |
//! | 5 | 1 | flags: bit 0 = has a variant |
//! | 6 | 2 | zero |
//! | 8 | 8 | epoch of the stamp |
//! | 16 | 8 | clock of the stamp |
//! | 24 | 32 | primary key |
//! | 56 | 32 | variant, or zeros |
//! | 88 | 8 | `keep_until`, milliseconds since 1970 |
//! | 96 | 4 | length of the tags |
//! | 100 | 4 | length of the head |
//! | 104 | 8 | length of the body |
//! | 112 | 8 | the first 8 bytes of the SHA-256 of everything above, the tags and the head |
//! | 120 | … | the tags: each a 16-bit length and its encoded text |
//! | … | … | the head, then the body |
//!
//! Responses are written in [`v3`], all else in [`v1`], and all three are read. A layout that a
//! process does not know is a miss to it: while processes with and without layout 3 share a store,
//! the older ones miss what the newer ones have stored, and replace it.
//!
//! bincode is confined to [`v1`]. It is no longer maintained (RUSTSEC-2025-0141) and is pinned to
//! 2.0; the codec byte exists so that a successor needs no flush. Reading never panics, allocates
//! at most what the input's own length justifies, and refuses anything that does not add up,
//! CR and LF in fields included: to a store, unreadable bytes are a miss.

mod known;
mod tags;
pub mod v1;
pub mod v2;
pub mod v3;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Content, Entry};
use crate::clock::{from_unix_millis, unix_millis};
use crate::key::{Digest, Key};
use crate::store::Stamp;

/// The first four bytes of every stored entry.
pub const MAGIC: [u8; 4] = *b"RCE\x01";

/// The length of the envelope.
pub const ENVELOPE: usize = 120;

/// The codec byte of [`v1`].
pub const BINCODE_V1: u8 = 1;

/// The codec byte of [`v2`].
pub const BINCODE_V2: u8 = 2;

/// The codec byte of [`v3`].
pub const PACKED_V3: u8 = 3;

/// The largest head that is read or written, in bytes.
pub const MAX_HEAD: usize = 1 << 20;

const CHECKSUM_AT: usize = 112;
const HAS_VARIANT: u8 = 1;

/// Why stored bytes are not an entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The magic, version or codec is not one of ours.
    #[error("not an entry of a known format")]
    Foreign,
    /// The lengths do not add up, or the checksum does not match.
    #[error("truncated or damaged")]
    Damaged,
    /// It is an entry, but of another key.
    #[error("an entry of another key")]
    OtherKey,
    /// The head says something that no response can be.
    #[error("malformed head: {0}")]
    Malformed(&'static str),
}

/// Why an entry has no stored form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The head is longer than [`MAX_HEAD`].
    #[error("a head of {bytes} bytes is longer than {MAX_HEAD}")]
    HeadTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The head has more lines than are read back.
    #[error("{lines} lines of fields are too many")]
    TooManyFields {
        /// Their number.
        lines: usize,
    },
}

/// Writes an entry with its stamp.
///
/// # Errors
///
/// A head that is too large, in bytes or in lines.
pub fn encode(entry: &Entry, stamp: Stamp) -> Result<Bytes, EncodeError> {
    let (codec, head) = match entry.content() {
        Content::Response(head) => (PACKED_V3, v3::encode(head)?),
        Content::Variants(record) => (BINCODE_V1, v1::encode_variants(record)),
        Content::Value(value) => (BINCODE_V1, v1::encode_value(value)),
    };
    if head.len() > MAX_HEAD {
        return Err(EncodeError::HeadTooLarge { bytes: head.len() });
    }
    let tags_length: usize = entry.tags().iter().map(|tag| tag.as_str().len() + 2).sum();
    let body = entry.body();
    let mut out = BytesMut::with_capacity(ENVELOPE + tags_length + head.len() + body.len());
    out.put_slice(&MAGIC);
    out.put_u8(codec);
    let key = entry.key();
    out.put_u8(if key.variant().is_some() { HAS_VARIANT } else { 0 });
    out.put_u16(0);
    out.put_u64(stamp.epoch);
    out.put_u64(stamp.clock);
    out.put_slice(key.primary().as_bytes());
    out.put_slice(key.variant().map_or(&[0; 32], |variant| variant.as_bytes()));
    out.put_u64(unix_millis(entry.keep_until()));
    out.put_u32(saturating(tags_length));
    out.put_u32(saturating(head.len()));
    out.put_u64(body.len() as u64);
    out.put_u64(0);
    for tag in entry.tags().iter() {
        // A tag's text is at most MAX_TAG_BYTES + 2 long.
        out.put_u16(u16::try_from(tag.as_str().len()).unwrap_or(u16::MAX));
        out.put_slice(tag.as_str().as_bytes());
    }
    out.put_slice(&head);
    let sum = checksum(&out);
    if let Some(slot) = out.get_mut(CHECKSUM_AT..ENVELOPE) {
        slot.copy_from_slice(&sum);
    }
    out.put_slice(body);
    Ok(out.freeze())
}

/// Reads an entry that was stored under `key`. The body shares `bytes`.
///
/// A thread remembers what it has read: where everything before the body is, byte by byte, as it
/// was, it is neither summed nor checked again.
///
/// # Errors
///
/// Anything that was not written by [`encode`] for this very key.
pub fn decode(bytes: &Bytes, key: &Key) -> Result<(Entry, Stamp), DecodeError> {
    let envelope = Envelope::read(bytes)?;
    if envelope.key != *key {
        return Err(DecodeError::OtherKey);
    }
    let body_at = ENVELOPE + envelope.tags + envelope.head;
    let variant = key.variant().map_or(0, Digest::fold);
    let place = (key.primary().fold() ^ variant, u64::from_be_bytes(envelope.checksum));
    let (tags, content) = known::read(bytes, body_at, place, |bytes| envelope.decode(bytes))?;
    let keep_until = from_unix_millis(envelope.keep_until);
    let entry = Entry::new(*key, tags, keep_until, content, bytes.slice(body_at..));
    Ok((entry, envelope.stamp))
}

struct Envelope {
    codec: u8,
    stamp: Stamp,
    key: Key,
    keep_until: u64,
    tags: usize,
    head: usize,
    checksum: [u8; 8],
}

impl Envelope {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let codec = match bytes.strip_prefix(&MAGIC).and_then(<[u8]>::first) {
            Some(codec @ (&BINCODE_V1 | &BINCODE_V2 | &PACKED_V3)) => *codec,
            _ => return Err(DecodeError::Foreign),
        };
        let variant = match bytes.get(5..8) {
            Some([HAS_VARIANT, 0, 0]) => true,
            Some([0, 0, 0]) => false,
            _ => return Err(DecodeError::Damaged),
        };
        let primary = Digest::from_bytes(array(bytes, 24)?);
        let mut key = Key::new(primary);
        if variant {
            key = key.variant_of(Digest::from_bytes(array(bytes, 56)?));
        }
        let envelope = Self {
            codec,
            stamp: Stamp { epoch: number(bytes, 8)?, clock: number(bytes, 16)? },
            key,
            keep_until: number(bytes, 88)?,
            tags: u32::from_be_bytes(array(bytes, 96)?) as usize,
            head: u32::from_be_bytes(array(bytes, 100)?) as usize,
            checksum: array(bytes, CHECKSUM_AT)?,
        };
        let body = usize::try_from(number(bytes, 104)?).map_err(|_| DecodeError::Damaged)?;
        let total = [envelope.tags, envelope.head, body]
            .into_iter()
            .try_fold(ENVELOPE, usize::checked_add)
            .ok_or(DecodeError::Damaged)?;
        if total != bytes.len() || envelope.head > MAX_HEAD {
            return Err(DecodeError::Damaged);
        }
        Ok(envelope)
    }

    /// The tags and the head behind the envelope.
    fn decode(&self, bytes: &Bytes) -> Result<known::Read, DecodeError> {
        let head_at = ENVELOPE + self.tags;
        let body_at = head_at + self.head;
        let region = bytes.get(..body_at).ok_or(DecodeError::Damaged)?;
        if checksum(region) != self.checksum {
            return Err(DecodeError::Damaged);
        }
        let tags = tags::read(region.get(ENVELOPE..head_at).ok_or(DecodeError::Damaged)?)?;
        let head = bytes.slice(head_at..body_at);
        let content = match self.codec {
            BINCODE_V1 => v1::decode(&head)?,
            BINCODE_V2 => v2::decode(&head)?,
            _ => Content::Response(v3::decode(&head)?),
        };
        Ok((tags, content))
    }
}

fn checksum(region: &[u8]) -> [u8; 8] {
    use sha2::Digest as _;
    let mut hasher = sha2::Sha256::new();
    hasher.update(region.get(..CHECKSUM_AT).unwrap_or_default());
    hasher.update(region.get(ENVELOPE..).unwrap_or_default());
    let sum: [u8; 32] = hasher.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = sum;
    [a, b, c, d, e, f, g, h]
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], DecodeError> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(DecodeError::Damaged)
}

fn number(bytes: &[u8], at: usize) -> Result<u64, DecodeError> {
    array(bytes, at).map(u64::from_be_bytes)
}

fn saturating(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
