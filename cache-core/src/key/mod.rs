//! Cache keys: which requests may share a stored response.
//!
//! A [`Key`] is a SHA-256 over length-prefixed, typed parts ([`canonical`]), so that no two
//! different requests can be spelled into the same key. What goes into it is the policy's
//! business ([`derive`]); which variant of a negotiated response is meant is [`vary`]'s.

pub mod canonical;
mod list_value;
pub(crate) mod memo;
pub mod query;
pub mod vary;

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Takes the bytes of a digest made elsewhere.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(data).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal characters.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// The same as [`to_hex`](Self::to_hex), digit by digit.
    pub(crate) fn hex_digits(&self) -> [[u8; 2]; 32] {
        self.0.map(digits)
    }

    /// Eight of the bytes as a number, for shards and tables.
    #[must_use]
    pub const fn fold(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The first 16 hexadecimal characters, enough to find a key in a log.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, _) = self.0.split_at(8);
        f.write_str(&hex(head))
    }
}

/// Lower-case hexadecimal text of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<[u8; 2]> = bytes.iter().copied().map(digits).collect();
    // Digits are ASCII.
    String::from_utf8(digits.into_flattened()).unwrap_or_default()
}

const fn digits(byte: u8) -> [u8; 2] {
    const fn digit(nibble: u8) -> u8 {
        nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
    }
    [digit(byte >> 4), digit(byte & 0xf)]
}

/// Names one stored response.
///
/// `primary` selects by everything the policy keys on and decides the shard. `variant` selects
/// among the responses to one primary key that a handler's own `Vary` told apart; the record of
/// the nominated field names lies under the primary key alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    primary: Digest,
    variant: Option<Digest>,
}

/// The digests are as good as random already: a table needs no more than a few of their bytes.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let variant = self.variant.as_ref().map_or(0, Digest::fold);
        state.write_u64(self.primary.fold() ^ variant);
    }
}

impl Key {
    /// A key without a variant.
    #[must_use]
    pub const fn new(primary: Digest) -> Self {
        Self { primary, variant: None }
    }

    /// The same primary key, narrowed to one variant.
    #[must_use]
    pub const fn variant_of(self, variant: Digest) -> Self {
        Self { primary: self.primary, variant: Some(variant) }
    }

    /// The part that decides the shard.
    #[must_use]
    pub const fn primary(&self) -> &Digest {
        &self.primary
    }

    /// The variant, if any.
    #[must_use]
    pub const fn variant(&self) -> Option<&Digest> {
        self.variant.as_ref()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variant {
            None => write!(f, "{}", self.primary),
            Some(variant) => write!(f, "{}.{variant}", self.primary),
        }
    }
}
