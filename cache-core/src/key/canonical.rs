//! The bytes that are digested into a key.
//!
//! Layout: a version byte, then parts. A part is a type byte, a 32-bit big-endian length and that
//! many bytes; a part that occurs per name carries the name first, length-prefixed too. Absent
//! differs from empty because an absent part is not written at all (or, for fields, is written
//! with a count of zero). Changing anything here changes every key of every deployment: the
//! golden vectors in `tests/it/golden.rs` must then move with a changelog entry.

use std::convert::Infallible;

use super::Digest;
use super::memo::{self, Purpose};
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

/// How many bytes fit without an allocation: those of most requests.
const INLINE: usize = 256;

/// Writes parts into one buffer.
#[derive(Debug)]
pub struct Canonical {
    /// The bytes while they fit.
    inline: [u8; INLINE],
    length: usize,
    /// All of them once they do not.
    long: Vec<u8>,
}

impl Default for Canonical {
    fn default() -> Self {
        let mut inline = [0; INLINE];
        inline[0] = VERSION;
        Self { inline, length: 1, long: Vec::new() }
    }
}

impl Canonical {
    /// An empty canonical form.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing at all, not even the version.
    #[inline]
    pub(crate) const fn empty() -> Self {
        Self { inline: [0; INLINE], length: 0, long: Vec::new() }
    }

    /// Begins as another that was written before.
    pub(crate) fn begin_with(&mut self, written: &[u8]) {
        self.write(&[], written);
    }

    /// Appends a part.
    pub fn part(&mut self, part: Part, bytes: &[u8]) {
        let [a, b, c, d] = length(bytes.len());
        self.write(&[part as u8, a, b, c, d], bytes);
    }

    /// Appends a part whose ASCII letters do not differ by case.
    pub fn part_lowercase(&mut self, part: Part, bytes: &[u8]) {
        self.part(part, bytes);
        let start = self.len() - bytes.len();
        if let Some(written) = self.written_mut().get_mut(start..) {
            written.make_ascii_lowercase();
        }
    }

    /// Appends a part with a name and any number of values, in order. No value at all is another
    /// thing than one empty value.
    pub fn named<'v, I: Iterator<Item = &'v [u8]>>(&mut self, part: Part, name: &[u8], values: I) {
        self.part(part, name);
        let count_at = self.len();
        self.write(&length(0), &[]);
        let mut count = 0_u32;
        for value in values {
            self.write(&length(value.len()), value);
            count += 1;
        }
        if let Some(slot) = self.written_mut().get_mut(count_at..count_at + 4) {
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
        Digest::of(self.as_bytes())
    }

    /// The same, from memory if this thread has made it lately. The parts are kept there: not for
    /// those that hold credentials.
    #[must_use]
    pub(crate) fn digest_remembered(&self) -> Digest {
        let only = [Some(self.as_bytes())];
        let digest = || Ok::<_, Infallible>(self.digest());
        let Ok(digest) = memo::digest(Purpose::PLAIN, &only, || false, digest);
        digest
    }

    /// Whether this thread keeps the parts.
    #[cfg(test)]
    pub(crate) fn is_remembered(&self) -> bool {
        memo::find(Purpose::PLAIN, &[Some(self.as_bytes())]).is_some()
    }

    /// The canonical bytes, for golden vectors.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            self.inline.get(..self.length).unwrap_or_default()
        } else {
            &self.long
        }
    }

    fn len(&self) -> usize {
        self.as_bytes().len()
    }

    fn written_mut(&mut self) -> &mut [u8] {
        if self.long.is_empty() {
            self.inline.get_mut(..self.length).unwrap_or_default()
        } else {
            &mut self.long
        }
    }

    fn write<const COUNT: usize>(&mut self, first: &[u8; COUNT], then: &[u8]) {
        let middle = self.length + COUNT;
        let end = middle + then.len();
        if self.long.is_empty()
            && let Some(to) = self.inline.get_mut(self.length..end)
            && let Some((to_first, to_then)) = to.split_first_chunk_mut()
        {
            *to_first = *first;
            to_then.copy_from_slice(then);
            self.length = end;
        } else {
            self.write_long(first, then);
        }
    }

    #[cold]
    fn write_long(&mut self, first: &[u8], then: &[u8]) {
        if self.long.is_empty() {
            self.long.extend_from_slice(self.inline.get(..self.length).unwrap_or_default());
        }
        self.long.extend_from_slice(first);
        self.long.extend_from_slice(then);
    }
}

fn length(length: usize) -> [u8; 4] {
    // Heads are bounded far below 4 GiB by every HTTP server; a saturated length would still be
    // followed by different bytes.
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
