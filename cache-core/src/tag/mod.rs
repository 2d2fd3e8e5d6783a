//! Tags (surrogate keys): the names by which stored responses are invalidated.
//!
//! One concept serves every kind of invalidation. A *user* tag is a name of the application's
//! choosing; the *reserved* tags for namespaces, keys, target URIs are made by the engine. A
//! reserved tag can never be spelled by a user tag, since each carries its kind in front.

pub mod template;

use std::fmt;
use std::sync::Arc;

use ecow::EcoString;

use crate::key::{Digest, canonical, query};

/// The longest text of a user tag or of a namespace, in bytes.
pub const MAX_TAG_BYTES: usize = 1024;

/// The largest number of tags that one entry may carry, reserved ones included. A response that
/// collects more is not stored.
pub const MAX_TAGS: usize = 128;

/// How many tags all target URIs share.
const URI_BUCKETS: u64 = 1 << 12;

/// What a tag stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TagKind {
    /// A name of the application's choosing.
    User,
    /// A level of a namespace. One per level of the entry's namespace.
    Namespace,
    /// The (namespace, key name) pair. Exactly one per entry.
    Key,
    /// A target URI, or a few of them, under the HTTP policy.
    Uri,
    /// A cache group of an origin (RFC 9875), under the HTTP policy.
    Group,
}

/// A name that entries carry and invalidations name.
///
/// Cheap to clone. The encoded form ([`Tag::as_str`]) begins with the kind, so a store may use it
/// as an identifier as it is; it is data, never a pattern or script text.
// Most are short, and such a text lies in the tag itself: an entry has a few of its own.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(EcoString);

impl Tag {
    /// A user tag.
    ///
    /// # Errors
    ///
    /// Empty text, or more than [`MAX_TAG_BYTES`].
    pub fn new(name: &str) -> Result<Self, TagError> {
        check(name)?;
        Ok(Self::of_kind("t:", name))
    }

    /// The reserved tag of one namespace: `app:users` is another one than `app`.
    ///
    /// # Errors
    ///
    /// Empty text, an empty level as in `app:`, or more than [`MAX_TAG_BYTES`].
    pub fn namespace(name: &str) -> Result<Self, TagError> {
        check(name)?;
        if name.split(':').any(str::is_empty) {
            return Err(TagError::EmptyLevel);
        }
        Ok(Self::of_kind("n:", name))
    }

    /// The reserved tag of a key name in a namespace. The name of a target is its path and query;
    /// the order of the query does not matter, and neither does percent-encoding.
    #[must_use]
    pub fn key(namespace: Option<&str>, name: &str) -> Self {
        Self::key_as_it_is(namespace, &query::canonical_name(name))
    }

    /// The same of a name that is decoded already, as one that was made of a path parameter is.
    pub(crate) fn key_as_it_is(namespace: Option<&str>, name: &str) -> Self {
        let mut text = canonical::Canonical::new();
        if let Some(namespace) = namespace {
            text.part(canonical::Part::Namespace, namespace.as_bytes());
        }
        text.part(canonical::Part::Custom, name.as_bytes());
        Self::of_digest(*b"k:", &text.digest())
    }

    /// The reserved tag of a target URI.
    #[must_use]
    pub fn uri(digest: &Digest) -> Self {
        Self::of_digest(*b"u:", digest)
    }

    /// The reserved tag that a target URI shares with others: there are only so many, however many
    /// URIs there are.
    #[must_use]
    pub fn uris_of(digest: &Digest) -> Self {
        Self(ecow::eco_format!("u:#{:03x}", digest.fold() % URI_BUCKETS))
    }

    /// The reserved tag of a cache group.
    #[must_use]
    pub fn group(digest: &Digest) -> Self {
        Self::of_digest(*b"g:", digest)
    }

    fn of_digest(kind: [u8; 2], digest: &Digest) -> Self {
        let mut text = [[0; 2]; 33];
        if let Some((first, digits)) = text.split_first_mut() {
            *first = kind;
            digits.copy_from_slice(&digest.hex_digits());
        }
        // Letters, digits and a colon.
        Self(std::str::from_utf8(text.as_flattened()).unwrap_or_default().into())
    }

    fn of_kind(kind: &str, text: &str) -> Self {
        let mut whole = EcoString::with_capacity(kind.len() + text.len());
        whole.push_str(kind);
        whole.push_str(text);
        Self(whole)
    }

    /// Takes back what [`Tag::as_str`] gave.
    #[must_use]
    pub fn from_encoded(text: &str) -> Option<Self> {
        let known = matches!(text.get(..2), Some("t:" | "n:" | "k:" | "u:" | "g:"));
        (known && text.len() > 2 && text.len() <= MAX_TAG_BYTES + 2).then(|| Self(text.into()))
    }

    /// The encoded form: the kind's letter, a colon, the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the tag stands for.
    #[must_use]
    pub fn kind(&self) -> TagKind {
        match self.0.as_bytes().first() {
            Some(b'n') => TagKind::Namespace,
            Some(b'k') => TagKind::Key,
            Some(b'u') => TagKind::Uri,
            Some(b'g') => TagKind::Group,
            _ => TagKind::User,
        }
    }
}

fn check(name: &str) -> Result<(), TagError> {
    if name.is_empty() {
        Err(TagError::Empty)
    } else if name.len() > MAX_TAG_BYTES {
        Err(TagError::TooLong { bytes: name.len() })
    } else {
        Ok(())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// The text is empty.
    #[error("a tag must not be empty")]
    Empty,
    /// A namespace has an empty level, as in `app:` or `a::b`; no policy has such a one.
    #[error("a namespace must not have an empty level")]
    EmptyLevel,
    /// The text is longer than [`MAX_TAG_BYTES`].
    #[error("a tag of {bytes} bytes is longer than {MAX_TAG_BYTES}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// There are more tags than [`MAX_TAGS`].
    #[error("{count} tags are more than {MAX_TAGS}")]
    TooMany {
        /// Their number.
        count: usize,
    },
}

/// The tags of one entry or of one call: sorted, each once. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Arc<[Tag]>);

impl Tags {
    /// Sorts and deduplicates.
    #[must_use]
    pub fn new(tags: Vec<Tag>) -> Self {
        Self(SortedTags::new(tags).0.into())
    }

    /// User tags from names.
    ///
    /// # Errors
    ///
    /// The first name that is no tag.
    pub fn user<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Result<Self, TagError> {
        let tags: Result<Vec<Tag>, TagError> =
            names.into_iter().map(|name| Tag::new(name.as_ref())).collect();
        Ok(Self::new(tags?))
    }

    /// Whether `tag` is among them.
    #[must_use]
    pub fn contains(&self, tag: &Tag) -> bool {
        self.0.binary_search(tag).is_ok()
    }
}

/// The same for an entry that takes them over.
#[derive(Debug)]
pub(crate) struct SortedTags(Vec<Tag>);

impl SortedTags {
    /// Sorts and deduplicates.
    pub(crate) fn new(mut tags: Vec<Tag>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        Self(tags)
    }

    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for SortedTags {
    type Item = Tag;
    type IntoIter = std::vec::IntoIter<Tag>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl std::ops::Deref for Tags {
    type Target = [Tag];

    fn deref(&self) -> &[Tag] {
        &self.0
    }
}

/// Sorts and deduplicates.
impl From<&[Tag]> for Tags {
    fn from(tags: &[Tag]) -> Self {
        Self::new(tags.to_vec())
    }
}

impl FromIterator<Tag> for Tags {
    fn from_iter<I: IntoIterator<Item = Tag>>(iter: I) -> Self {
        Self::new(iter.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_tag_never_spells_a_reserved_one() {
        let user = Tag::new("n:users").unwrap();
        assert_ne!(user, Tag::namespace("users").unwrap());
        assert_eq!(user.kind(), TagKind::User);
        assert_eq!(Tag::from_encoded(user.as_str()), Some(user));
        assert_eq!(Tag::from_encoded("x:foreign"), None);
    }

    #[test]
    fn lengths_are_checked() {
        assert_eq!(Tag::new(""), Err(TagError::Empty));
        assert_eq!(Tag::new(&"x".repeat(1025)), Err(TagError::TooLong { bytes: 1025 }));
        assert!(Tag::new(&"x".repeat(1024)).is_ok());
        assert!(Tag::new("\0#c{}\u{1f}").is_ok());
    }

    #[test]
    fn levels_of_a_namespace_are_not_empty() {
        for name in ["app:", ":app", "a::b", ":"] {
            assert_eq!(Tag::namespace(name), Err(TagError::EmptyLevel), "{name}");
        }
        assert_eq!(Tag::namespace(""), Err(TagError::Empty));
        assert!(Tag::namespace("a:b").is_ok());
    }

    #[test]
    fn a_key_tag_is_scoped_by_its_namespace() {
        assert_ne!(Tag::key(None, "a"), Tag::key(Some(""), "a"));
        assert_ne!(Tag::key(Some("n"), "a"), Tag::key(Some("na"), ""));
        assert_eq!(Tag::key(None, "/q?b=1&a=2"), Tag::key(None, "/q?a=2&b=1"));
    }
}
