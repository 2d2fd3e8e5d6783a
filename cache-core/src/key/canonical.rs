//! The bytes that are digested into a key.
//!
//! Layout: a version byte, then parts. A part is a type byte, a 32-bit big-endian length and that
//! many bytes; a part that occurs per name carries the name first, length-prefixed too. Absent
//! differs from empty because an absent part is not written at all (or, for fields, is written
//! with a count of zero). Changing anything here changes every key of every deployment: the
//! golden vectors in `tests/it/golden.rs` must then move with a changelog entry.

use smallvec::SmallVec;

use super::Digest;
use crate::tag::template::Expanded;

/// The version byte of the layout.
pub const VERSION: u8 = 1;

/// What a part means. The numbers are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Part {
    /// The effective namespace.
    Namespace = 1,
    /// The method class: `GET`, `HEAD`, or the opted-in method.
    Method = 2,
    /// The URI scheme.
    Scheme = 3,
    /// The authority, lower-case.
    Authority = 4,
    /// The path, exactly as sent.
    Path = 5,
    /// One segment of the query, exactly as sent.
    QuerySegment = 6,
    /// A request field chosen by `vary`.
    Field = 7,
    /// A cookie chosen by `cookies`.
    Cookie = 8,
    /// A value taken from a guard.
    Extracted = 9,
    /// The digest of the request body.
    Body = 10,
    /// The text of a custom key, in place of scheme, authority, path and query.
    Custom = 11,
    /// The length of one placeholder's value inside a custom key of several.
    CustomBoundary = 12,
    /// A nominated field of a variant.
    Nominated = 13,
    /// A query that was parsed into a declared type and written out again.
    DeclaredQuery = 14,
    /// Arguments of a cached function.
    Arguments = 15,
    /// The target as a middleware has rewritten it.
    Rewritten = 16,
    /// The types of a cached function.
    Types = 17,
    /// A cache group of the origin.
    Group = 18,
}

/// Writes parts into one buffer.
#[derive(Debug)]
pub struct Canonical {
    /// Long enough for most requests without an allocation.
    buffer: SmallVec<[u8; 256]>,
}

impl Default for Canonical {
    fn default() -> Self {
        let mut buffer = SmallVec::new();
        buffer.push(VERSION);
        Self { buffer }
    }
}

impl Canonical {
    /// An empty canonical form.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a part.
    pub fn part(&mut self, part: Part, bytes: &[u8]) {
        let [a, b, c, d] = length(bytes.len());
        self.buffer.extend_from_slice(&[part as u8, a, b, c, d]);
        self.buffer.extend_from_slice(bytes);
    }

    /// Appends a part whose ASCII letters do not differ by case.
    pub fn part_lowercase(&mut self, part: Part, bytes: &[u8]) {
        self.part(part, bytes);
        let start = self.buffer.len() - bytes.len();
        if let Some(written) = self.buffer.get_mut(start..) {
            written.make_ascii_lowercase();
        }
    }

    /// Appends a part with a name and any number of values, in order. No value at all is another
    /// thing than one empty value.
    pub fn named<'v, I: Iterator<Item = &'v [u8]>>(&mut self, part: Part, name: &[u8], values: I) {
        self.part(part, name);
        let count_at = self.buffer.len();
        self.buffer.extend_from_slice(&length(0));
        let mut count = 0_u32;
        for value in values {
            self.buffer.extend_from_slice(&length(value.len()));
            self.buffer.extend_from_slice(value);
            count += 1;
        }
        if let Some(slot) = self.buffer.get_mut(count_at..count_at + 4) {
            slot.copy_from_slice(&count.to_be_bytes());
        }
    }

    /// Appends a custom key's text, and where the values in it begin and end: `{a}:{b}` must not
    /// be spelled two ways.
    pub fn custom(&mut self, key: &Expanded) {
        self.part(Part::Custom, key.text.as_bytes());
        if key.lengths.len() > 1 {
            for length in &key.lengths {
                self.part(Part::CustomBoundary, &(*length as u64).to_be_bytes());
            }
        }
    }

    /// The digest of all parts.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.buffer)
    }

    /// The canonical bytes, for golden vectors.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }
}

fn length(length: usize) -> [u8; 4] {
    // Heads are bounded far below 4 GiB by every HTTP server; a saturated length would still be
    // followed by different bytes.
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
