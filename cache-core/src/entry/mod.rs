//! What a store holds.

pub mod codec;
mod fields;
mod laid;
mod names;
mod packed;
mod packing;
mod times;
pub(crate) mod usual;

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use triomphe::ThinArc;

pub(crate) use self::fields::OwnField;
pub use self::fields::StoredFields;
pub(crate) use self::laid::{Laid, Standing, Varying, laid};
pub(crate) use self::packing::Packing;
use self::times::Rare;
pub(crate) use self::times::Times;
pub use self::usual::{usual_name, usual_value};
use crate::clock::{from_unix_millis, unix_millis};
use crate::key::vary::{Presented, VariantRecord};
use crate::key::{Digest, Key};
use crate::tag::{SortedTags, Tag, Tags};

/// One stored thing, with all that a store needs to know of it. Immutable and cheap to clone.
///
/// A store reads [`key`](Self::key), [`tags`](Self::tags), [`keep_until`](Self::keep_until) and
/// [`weight`](Self::weight); the content is the engine's.
// In one block with its tags: a store of many has each block far from the processor when it goes.
#[derive(Clone)]
pub struct Entry(ThinArc<Inner, Tag>);

struct Inner {
    primary: Digest,
    /// Most have none, and do not pay for it.
    variant: Option<Box<Digest>>,
    /// In milliseconds since 1970.
    keep_until: u64,
    content: Content,
    body: Bytes,
}

/// What an entry is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// A response; its content is the entry's body.
    Response(StoredHead),
    /// The record of nominated fields under a primary key.
    Variants(VariantRecord),
    /// The encoded result of a cached function; its bytes are the entry's body.
    Value(ValueHead),
}

/// The head of a stored response, and what its reuse is decided by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoredHead {
    /// The status code.
    pub status: StatusCode,
    /// The fields, in order, without hop-by-hop ones.
    pub headers: StoredFields,
    /// The request's values for the fields that the response nominated.
    pub presented: Presented,
    /// The entity tag was made here; the handler does not know it.
    pub etag_is_ours: bool,
    must_validate: bool,
    // Beside the small things above, which a struct of their own could not be.
    fresh_for: u32,
    stored_at: u64,
    rare: Option<Rare>,
}

impl StoredHead {
    /// A head from its parts; of the times only whole milliseconds are kept.
    #[must_use]
    pub fn new(status: StatusCode, headers: HeaderMap, life: Life, presented: Presented) -> Self {
        Self::packed(status, headers.into(), life, presented)
    }

    pub(crate) fn packed(
        status: StatusCode,
        headers: StoredFields,
        life: Life,
        presented: Presented,
    ) -> Self {
        let must_validate = life.must_validate;
        let (stored_at, fresh_for, rare) = Times::from(life).keep();
        Self {
            status,
            headers,
            presented,
            etag_is_ours: false,
            must_validate,
            fresh_for,
            stored_at,
            rare,
        }
    }

    /// How long, and how far beyond, the response may be served.
    #[must_use]
    pub fn life(&self) -> Life {
        Life { must_validate: self.must_validate, ..Life::from(self.times()) }
    }

    /// The times of its life.
    #[inline]
    pub(crate) fn times(&self) -> Times {
        Times::take(self.stored_at, self.fresh_for, self.rare.as_ref())
    }

    /// Whether it has what most do not have, and takes room for it: stale windows, an initial age, or 49
    /// days of freshness.
    #[must_use]
    pub const fn has_rare_times(&self) -> bool {
        self.rare.is_some()
    }

    /// Whether it must not be served once it is stale, whatever the request allows.
    pub(crate) const fn must_validate(&self) -> bool {
        self.must_validate
    }

    /// The same with another life; of its times only whole milliseconds are kept.
    #[must_use]
    pub fn with_life(mut self, life: Life) -> Self {
        self.must_validate = life.must_validate;
        (self.stored_at, self.fresh_for, self.rare) = Times::from(life).keep();
        self
    }
}

/// The times that decide freshness (RFC 9111 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Life {
    /// When the response was received.
    pub stored_at: SystemTime,
    /// Its age at that time.
    pub initial_age: Duration,
    /// Its freshness lifetime.
    pub fresh_for: Duration,
    /// How long after that it may be served while it is refreshed (RFC 5861 §3).
    pub stale_while_revalidate: Duration,
    /// How long after that it may be served instead of an error (RFC 5861 §4).
    pub stale_if_error: Duration,
    /// Once stale, it must not be served without validation, whatever the request allows
    /// (RFC 9111 §5.2.2.2).
    pub must_validate: bool,
}

impl Life {
    /// A life without stale windows.
    #[must_use]
    pub const fn new(stored_at: SystemTime, fresh_for: Duration) -> Self {
        Self {
            stored_at,
            initial_age: Duration::ZERO,
            fresh_for,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            must_validate: false,
        }
    }
}

/// The head of a stored function result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueHead {
    /// The codec that wrote the bytes.
    pub codec: u8,
    times: Times,
}

impl ValueHead {
    /// A head from its parts. Of the times only whole milliseconds are kept, and nobody says of a
    /// result that it must be validated.
    #[must_use]
    pub fn new(codec: u8, life: Life) -> Self {
        Self { codec, times: life.into() }
    }

    /// How long the value may be used.
    #[must_use]
    pub fn life(&self) -> Life {
        self.times.into()
    }

    pub(crate) const fn times(&self) -> Times {
        self.times
    }
}

impl Entry {
    /// Makes an entry. `tags` are all its tags, reserved ones included; a store must not return
    /// it after `keep_until`, of which only whole milliseconds are kept.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "it keeps them; how is its own affair")]
    pub fn new(
        key: Key,
        tags: Tags,
        keep_until: SystemTime,
        content: Content,
        body: Bytes,
    ) -> Self {
        Self::made(key, tags.iter().cloned(), keep_until, content, body)
    }

    /// The same, of tags that nobody else wants.
    pub(crate) fn tagged(
        key: Key,
        tags: SortedTags,
        keep_until: SystemTime,
        content: Content,
        body: Bytes,
    ) -> Self {
        Self::made(key, tags.into_iter(), keep_until, content, body)
    }

    fn made(
        key: Key,
        tags: impl ExactSizeIterator<Item = Tag>,
        keep_until: SystemTime,
        content: Content,
        body: Bytes,
    ) -> Self {
        let (primary, variant) = (*key.primary(), key.variant().map(|variant| Box::new(*variant)));
        let keep_until = unix_millis(keep_until);
        let inner = Inner { primary, variant, keep_until, content, body };
        Self(ThinArc::from_header_and_iter(inner, tags))
    }

    #[inline]
    fn inner(&self) -> &Inner {
        &self.0.header.header
    }

    /// Under which key it is looked up.
    #[must_use]
    pub fn key(&self) -> Key {
        let primary = Key::new(self.inner().primary);
        self.inner().variant.as_ref().map_or(primary, |variant| primary.variant_of(**variant))
    }

    /// Whether it is looked up under this key.
    #[must_use]
    #[inline]
    pub fn is_under(&self, key: &Key) -> bool {
        self.inner().primary == *key.primary() && self.inner().variant.as_deref() == key.variant()
    }

    /// All its tags, reserved ones included: sorted, each once.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.0.slice
    }

    /// When a store may forget it, and must no longer return it; in whole milliseconds.
    #[must_use]
    pub fn keep_until(&self) -> SystemTime {
        from_unix_millis(self.inner().keep_until)
    }

    /// The same in milliseconds since 1970.
    #[must_use]
    #[inline]
    pub fn keep_until_in_millis(&self) -> u64 {
        self.inner().keep_until
    }

    /// What it is.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.inner().content
    }

    /// The body, shared.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.inner().body
    }

    /// The bytes of body, fields and tags: what a bounded store should count.
    #[must_use]
    pub fn weight(&self) -> usize {
        let tags = self.tags().iter().map(|tag| tag.as_str().len());
        self.body().len() + head_weight(self.content()) + tags.sum::<usize>()
    }

    /// The head, if it is a response.
    #[must_use]
    pub fn response(&self) -> Option<&StoredHead> {
        match self.content() {
            Content::Response(head) => Some(head),
            Content::Variants(_) | Content::Value(_) => None,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key())
            .field("tags", &self.tags())
            .field("keep_until", &self.keep_until())
            .field("content", self.content())
            // It may be long, and private.
            .field("body", &format_args!("{} bytes", self.body().len()))
            .finish()
    }
}

fn head_weight(content: &Content) -> usize {
    match content {
        Content::Response(head) => {
            let fields = head.headers.packed().len();
            let presented: usize = head
                .presented
                .lines()
                .map(|(name, lines)| {
                    name.as_str().len() + lines.iter().map(Bytes::len).sum::<usize>()
                })
                .sum();
            fields + presented
        }
        Content::Variants(record) => {
            record.names().iter().map(|name| name.as_str().len()).sum::<usize>()
                + record.digests().len() * 32
        }
        Content::Value(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_is_printed_of_an_entry_has_no_more_of_its_body_than_the_length() {
        let (key, record) = (Key::new(Digest::of(b"k")), VariantRecord::default());
        let body = Bytes::from_static(b"s3cret");
        let content = Content::Variants(record);
        let entry = Entry::new(key, Tags::default(), UNIX_EPOCH, content, body);
        let printed = format!("{entry:?}");
        assert!(printed.contains("6 bytes") && !printed.contains("s3cret"), "{printed}");
    }
}
