//! What a handler asks of the cache for its own response.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::engine::written::CacheId;
use crate::tag::{MAX_TAGS, Tag, TagError};

/// A handle through which a handler speaks to the cache about the response it is making. Cheap to
/// clone; all clones speak of the same response.
///
/// On a route without a cache, or for a request that bypasses it, the wishes have no effect.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    list: Arc<Mutex<WishList>>,
    /// The cache that may store the response, and whose invalidations reach it then.
    cache: Option<CacheId>,
}

/// The wishes themselves.
#[derive(Clone, Debug, Default)]
pub(crate) struct WishList {
    pub(crate) tags: Vec<Tag>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) refuse: bool,
    pub(crate) strip_cookies: bool,
    /// An inner route leaves it to the response's own fields, so the outer one must heed them.
    pub(crate) of_http: bool,
    /// An inner route has its responses invalidated by the groups that they name.
    pub(crate) of_groups: bool,
    /// A tag could not be added: the response must not be stored without it.
    pub(crate) failed: bool,
}

impl Wishes {
    /// Those for a response that this cache may store.
    pub(crate) fn of(cache: CacheId) -> Self {
        Self { cache: Some(cache), ..Self::default() }
    }

    /// Whether it is this cache that may store the response.
    pub(crate) fn are_of(&self, cache: CacheId) -> bool {
        self.cache == Some(cache)
    }

    /// Adds a tag to the stored response.
    ///
    /// # Errors
    ///
    /// A name that is no tag, or one too many; the response will then not be stored, since an
    /// invalidation could not reach it.
    pub fn tag(&self, name: &str) -> Result<(), TagError> {
        let tag = Tag::new(name);
        self.with(|list| {
            let added = tag.and_then(|tag| {
                if list.tags.len() >= MAX_TAGS {
                    return Err(TagError::TooMany { count: list.tags.len() + 1 });
                }
                list.tags.push(tag);
                Ok(())
            });
            list.failed |= added.is_err();
            added
        })
    }

    /// Adds tags to the stored response.
    ///
    /// # Errors
    ///
    /// As for [`tag`](Self::tag); the first one.
    pub fn tags<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Result<(), TagError> {
        names.into_iter().try_for_each(|name| self.tag(name.as_ref()))
    }

    /// How long the response lives, in place of what the route says. Zero: it is not stored.
    pub fn ttl(&self, ttl: Duration) {
        self.with(|list| list.ttl = Some(ttl));
    }

    /// The response is not stored.
    pub fn refuse(&self) {
        self.with(|list| list.refuse = true);
    }

    /// The stored copy has no `Set-Cookie`; this client keeps its own.
    pub fn strip_cookies(&self) {
        self.with(|list| list.strip_cookies = true);
    }

    /// What an inner route would have stored this response with; without a lifetime, as long as
    /// the response says.
    pub(crate) fn confide(&self, tags: Vec<Tag>, ttl: Option<Duration>, by_groups: bool) {
        self.with(|list| {
            list.of_groups |= by_groups;
            list.failed |= list.tags.len() + tags.len() > MAX_TAGS;
            list.tags.extend(tags);
            match ttl {
                Some(ttl) => drop(list.ttl.get_or_insert(ttl)),
                None => list.of_http = true,
            }
        });
    }

    pub(crate) fn take(&self) -> WishList {
        self.with(|list| list.clone())
    }

    fn with<R>(&self, change: impl FnOnce(&mut WishList) -> R) -> R {
        // No code of others runs under the lock, so a poisoned list is whole.
        change(&mut self.list.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
