//! Entries for cases.

use std::borrow::Borrow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::entry::{Content, Entry, Life, StoredHead};
use cache_core::key::vary::Presented;
use cache_core::tag::{Tag, Tags};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};

use super::Name;

/// An entry in the making.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    name: Name,
    now: SystemTime,
    tags: Tags,
    keep_until: SystemTime,
    content: Option<Content>,
    body: Bytes,
}

impl Draft {
    pub(super) fn new(name: &Name, now: SystemTime) -> Self {
        Self {
            name: name.clone(),
            now,
            tags: Tags::default(),
            keep_until: now + Duration::from_secs(3_600),
            content: None,
            body: Bytes::from_static(b"body"),
        }
    }

    pub(crate) fn tags(mut self, tags: impl IntoIterator<Item = impl Borrow<Tag>>) -> Self {
        self.tags = tags.into_iter().map(|tag| tag.borrow().clone()).collect();
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn content(mut self, content: Content) -> Self {
        self.content = Some(content);
        self
    }

    pub(crate) fn kept_for(mut self, life: Duration) -> Self {
        self.keep_until = self.now + life;
        self
    }

    pub(crate) const fn kept_until(mut self, at: SystemTime) -> Self {
        self.keep_until = at;
        self
    }

    /// Its freshness ended `ago`; it is kept all the same.
    pub(crate) fn stale_since(self, ago: Duration) -> Self {
        let second = Duration::from_secs(1);
        let mut life = Life::new(self.now - ago - second, second);
        life.stale_while_revalidate = Duration::from_secs(3_600);
        life.stale_if_error = Duration::from_secs(3_600);
        let head = response(self.now).with_life(life);
        self.content(Content::Response(head))
    }

    /// What it will be under.
    pub(super) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn build(self) -> Entry {
        let content = self.content.unwrap_or_else(|| Content::Response(response(self.now)));
        Entry::new(*self.name.key(), self.tags, self.keep_until, content, self.body)
    }
}

/// A `200` that is fresh for an hour, to be changed.
pub(crate) fn response(now: SystemTime) -> StoredHead {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("text/plain"))].into_iter().collect();
    let life = Life::new(now, Duration::from_secs(3_600));
    StoredHead::new(StatusCode::OK, headers, life, Presented::default())
}
