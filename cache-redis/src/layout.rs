//! Which key holds what. Pure.
//!
//! Every name begins with `{prefix:shard}`, a hash tag, so that all keys of a shard share a slot:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `{p:s}:m` | sorted set | the shard's clock, epoch, incarnation, floor, and all marks |
//! | `{p:s}:e:<key>` | string | an entry in the form of [`cache_core::entry::codec`] |
//! | `{p:s}:d:<nonce>` | string | an entry that waits for its verdict, within one pipeline |
//! | `{p:s}:x:<tag>` | set | keys that were put with this tag: for reclaiming only |
//! | `{p:s}:x:#all` | set | keys of the shard: for reclaiming after a clear |
//! | `{p:s}:r:<nonce>:<n>` | set | an index that an invalidation has set aside |
//!
//! Tags are part of names byte by byte and are never patterns or script text. No tag's encoded
//! form begins with `#`, so no tag can spell a reserved member or index.

use cache_core::key::{Digest, Key};
use cache_core::tag::{Tag, TagKind};

/// The number of hash slots of a Redis Cluster.
pub(crate) const SLOTS: u16 = 16_384;

/// The longest prefix, in bytes.
pub(crate) const MAX_PREFIX: usize = 64;

/// The largest number of shards.
pub(crate) const MAX_SHARDS: u16 = 1024;

/// The names of all keys of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    prefix: Box<str>,
    shards: u16,
    /// Each shard's metadata key: every lookup names it.
    metas: Box<[Box<str>]>,
}

impl Layout {
    pub(crate) fn new(prefix: &str, shards: u16) -> Self {
        let shards = shards.max(1);
        let metas = (0..shards).map(|shard| format!("{{{prefix}:{shard}}}:m").into()).collect();
        Self { prefix: prefix.into(), shards, metas }
    }

    /// Why `prefix` cannot be used, if so.
    pub(crate) fn refuse_prefix(prefix: &str) -> Option<&'static str> {
        if prefix.is_empty() || prefix.len() > MAX_PREFIX {
            Some("must have 1 to 64 bytes")
        } else if prefix.contains(['{', '}']) {
            Some("must not contain braces, which mark the hash tag of a Redis Cluster")
        } else if prefix.chars().any(|char| char.is_control() || char.is_whitespace()) {
            Some("must not contain blanks or control characters")
        } else {
            None
        }
    }

    pub(crate) const fn shards(&self) -> u16 {
        self.shards
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The primary key decides, so all variants share a shard.
    pub(crate) fn shard(&self, key: &Key) -> u16 {
        u16::try_from(key.primary().fold() % u64::from(self.shards)).unwrap_or(0)
    }

    pub(crate) fn meta(&self, shard: u16) -> &str {
        self.metas.get(usize::from(shard)).map_or("", |name| name)
    }

    pub(crate) fn entry(&self, shard: u16, member: &str) -> String {
        format!("{{{}:{shard}}}:e:{member}", self.prefix)
    }

    /// Appends what [`Self::entry`] says of the [`member`] for `key`.
    pub(crate) fn put_entry(&self, shard: u16, key: &Key, out: &mut Vec<u8>) {
        out.extend_from_slice(self.lead(shard).as_bytes());
        out.extend_from_slice(b"e:");
        put_hex(key.primary(), out);
        if let Some(variant) = key.variant() {
            out.push(b'.');
            put_hex(variant, out);
        }
    }

    /// How long that is.
    pub(crate) fn entry_length(&self, shard: u16, key: &Key) -> usize {
        const HEX: usize = 64;
        let variant = if key.variant().is_some() { 1 + HEX } else { 0 };
        self.lead(shard).len() + "e:".len() + HEX + variant
    }

    /// What all names of a shard begin with.
    fn lead(&self, shard: u16) -> &str {
        let meta = self.meta(shard);
        meta.strip_suffix('m').unwrap_or(meta)
    }

    /// The index of `tag`, if it has one.
    pub(crate) fn index(&self, shard: u16, tag: &Tag) -> Option<String> {
        is_indexed(tag).then(|| format!("{{{}:{shard}}}:x:{tag}", self.prefix))
    }

    pub(crate) fn index_of_all(&self, shard: u16) -> String {
        format!("{{{}:{shard}}}:x:#all", self.prefix)
    }

    /// Where a body waits for its verdict.
    pub(crate) fn draft(&self, shard: u16, nonce: u64) -> String {
        format!("{{{}:{shard}}}:d:{nonce:013x}", self.prefix)
    }

    pub(crate) fn aside(&self, shard: u16, nonce: u64, n: usize) -> String {
        format!("{{{}:{shard}}}:r:{nonce:013x}:{n}", self.prefix)
    }

    /// The slot of a shard.
    pub(crate) fn slot(&self, shard: u16) -> u16 {
        crc16(format!("{}:{shard}", self.prefix).as_bytes()) % SLOTS
    }

    /// A `SCAN` pattern for our keys; other prefixes that look alike are told apart by
    /// [`Self::owns`].
    pub(crate) fn pattern(&self) -> String {
        let mut pattern = String::from("{");
        for char in self.prefix.chars() {
            if matches!(char, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
                pattern.push('\\');
            }
            pattern.push(char);
        }
        pattern.push_str(":*}:*");
        pattern
    }

    /// Whether a name is of this store.
    pub(crate) fn owns(&self, name: &[u8]) -> bool {
        name.strip_prefix(b"{")
            .and_then(|rest| rest.strip_prefix(self.prefix.as_bytes()))
            .and_then(|rest| rest.strip_prefix(b":"))
            .is_some_and(|rest| {
                let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(b"}:"))
            })
    }
}

/// The name of a key inside an index.
pub(crate) fn member(key: &Key) -> String {
    match key.variant() {
        None => key.primary().to_hex(),
        Some(variant) => format!("{}.{}", key.primary().to_hex(), variant.to_hex()),
    }
}

fn put_hex(digest: &Digest, out: &mut Vec<u8>) {
    let digit = |number: u8| if number < 10 { b'0' + number } else { b'a' + number - 10 };
    let mut digits = [[0; 2]; 32];
    for (place, byte) in digits.iter_mut().zip(digest.as_bytes()) {
        *place = [digit(byte >> 4), digit(byte & 0xf)];
    }
    out.extend_from_slice(digits.as_flattened());
}

/// CRC-16/XMODEM, which Redis Cluster hashes keys with.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Whether an index says which entries carry `tag`; URI tags have marks only.
pub(crate) fn is_indexed(tag: &Tag) -> bool {
    tag.kind() != TagKind::Uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis_cluster() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        // As `CLUSTER KEYSLOT foo` says.
        assert_eq!(crc16(b"foo") % SLOTS, 12_182);
        assert_eq!(Layout::new("rc", 16).slot(3), crc16(b"rc:3") % SLOTS);
    }

    #[test]
    fn names() {
        let layout = Layout::new("rc", 16);
        let key = Key::new(Digest::from_bytes([0xab; 32]));
        let variant = key.variant_of(Digest::from_bytes([1; 32]));
        assert_eq!(layout.meta(3), "{rc:3}:m");
        assert_eq!(layout.entry(3, &member(&key)), format!("{{rc:3}}:e:{}", "ab".repeat(32)));
        assert!(member(&variant).ends_with(&format!(".{}", "01".repeat(32))));
        assert_eq!(layout.shard(&key), layout.shard(&variant));
        assert_eq!(layout.index(0, &Tag::new("#all").unwrap()).unwrap(), "{rc:0}:x:t:#all");
        assert!(layout.index(0, &Tag::key(None, "a")).is_some());
        assert_eq!(layout.index(0, &Tag::uri(&Digest::of(b"a"))), None);
    }

    #[test]
    fn a_prefix_is_data_not_a_pattern() {
        let layout = Layout::new("a*[b]?\\", 1);
        assert_eq!(layout.pattern(), "{a\\*\\[b\\]\\?\\\\:*}:*");
        assert!(layout.owns(layout.meta(0).as_bytes()));
        for foreign in ["{axb:0}:m", "{a*[b]?\\:x:0}:m", "a*[b]?\\:0}:m", "{a*[b]?\\:}:m"] {
            assert!(!layout.owns(foreign.as_bytes()), "{foreign}");
        }
    }

    #[test]
    fn prefixes_that_cannot_be() {
        for prefix in ["", "a{b", "}", "a b", "a\n", &"x".repeat(65)] {
            assert!(Layout::refuse_prefix(prefix).is_some(), "{prefix:?}");
        }
        assert_eq!(Layout::refuse_prefix("my-app:v1*"), None);
    }
}
