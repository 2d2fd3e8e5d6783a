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
        let within = || parts.extensions.get().map(|handles: &Handles| &handles.cache);
        parts.extensions.get().or_else(within).cloned().ok_or(MissingCache)
    }
}

/// What a cached route leaves with a request for these extractors: together, since each thing in a
/// request's extensions costs a place of its own.
#[derive(Clone, Debug)]
pub(crate) struct Handles {
    pub(crate) cache: Cache,
    pub(crate) wishes: Option<Wishes>,
}

impl Handles {
    /// Those of the cached route that a request is in.
    pub(crate) fn wishes_in(extensions: &Extensions) -> Option<&Wishes> {
        extensions.get::<Self>()?.wishes.as_ref()
    }

    /// Replaces what an outer route has left; its wishes stay if there are no others.
    pub(crate) fn put(cache: Cache, wishes: Option<Wishes>, extensions: &mut Extensions) {
        if extensions.is_empty() {
            extensions.insert(Self { cache, wishes });
            return;
        }
        // Who takes it as an `Extension` that `Cache::extension` has laid finds this route's.
        if let Some(outer) = extensions.get_mut::<Cache>() {
            outer.clone_from(&cache);
        }
        let outer = extensions.remove::<Self>();
        let wishes = wishes.or_else(|| outer?.wishes);
        extensions.insert(Self { cache, wishes });
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
        Ok(Self(Handles::wishes_in(&parts.extensions).cloned().unwrap_or_default()))
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
