//! Extractors for handlers.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use cache_core::Wishes;
use http::request::Parts;
use http::{Extensions, StatusCode};

use crate::cache::Cache;

impl<S: Send + Sync> FromRequestParts<S> for Cache {
    type Rejection = MissingCache;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, MissingCache> {
        // What `Cache::extension` has laid inside of a cached route comes first.
        let within = || Handles::within(&parts.extensions)?.cache.as_ref();
        parts.extensions.get().or_else(within).cloned().ok_or(MissingCache)
    }
}

/// What this crate leaves with a request, for these extractors and for cached routes: together, since
/// each thing in a request's extensions costs a place of its own, and each hit a look for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handles {
    cache: Option<Cache>,
    wishes: Option<Wishes>,
    explains: bool,
}

impl Handles {
    /// Those of a request that is not to be answered but explained.
    pub(crate) fn explaining() -> Self {
        Self { explains: true, ..Self::default() }
    }

    #[inline]
    pub(crate) fn within(extensions: &Extensions) -> Option<&Self> {
        extensions.get()
    }

    /// By which a handler speaks to the cached route that it is in.
    #[inline]
    pub(crate) const fn wishes(&self) -> Option<&Wishes> {
        self.wishes.as_ref()
    }

    #[inline]
    pub(crate) const fn explains(&self) -> bool {
        self.explains
    }

    /// Replaces what an outer route has left; its wishes stay if there are no others.
    pub(crate) fn put(cache: Cache, wishes: Option<Wishes>, extensions: &mut Extensions) {
        if extensions.is_empty() {
            extensions.insert(Self { cache: Some(cache), wishes, explains: false });
            return;
        }
        // Who takes it as an `Extension` that `Cache::extension` has laid finds this route's.
        if let Some(outer) = extensions.get_mut::<Cache>() {
            outer.clone_from(&cache);
        }
        let outer = extensions.remove::<Self>();
        let wishes = wishes.or_else(|| outer?.wishes);
        extensions.insert(Self { cache: Some(cache), wishes, explains: false });
    }
}

/// No cache reaches this handler: 500, with a hint in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingCache;

impl IntoResponse for MissingCache {
    fn into_response(self) -> Response {
        tracing::error!("a handler extracts `Cache`, but `cache.extension()` is not layered");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

/// By which a handler speaks to the cache about its own response: it adds tags, sets the TTL,
/// refuses storing or has cookies stripped. Never rejects; where nothing is stored, it has no
/// effect.
#[derive(Clone, Debug, Default)]
pub struct ResponseCache(Wishes);

impl Deref for ResponseCache {
    type Target = Wishes;

    fn deref(&self) -> &Wishes {
        &self.0
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ResponseCache {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let wishes = Handles::within(&parts.extensions).and_then(Handles::wishes);
        Ok(Self(wishes.cloned().unwrap_or_default()))
    }
}

/// The value that a guard of the route extracted. Where no guard ran, the extractor runs here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper, to be taken apart")]
pub struct Guarded<E>(pub E);

impl<E, S> FromRequestParts<S> for Guarded<E>
where
    E: FromRequestParts<S> + Clone + Send + Sync + 'static,
    S: Send + Sync,
{
    type Rejection = E::Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E::Rejection> {
        match parts.extensions.get::<Self>() {
            Some(guarded) => Ok(guarded.clone()),
            None => E::from_request_parts(parts, state).await.map(Self),
        }
    }
}
