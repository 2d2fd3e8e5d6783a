//! Extractors for handlers.

use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use cache_core::Wishes;
use http::StatusCode;
use http::request::Parts;

use crate::cache::Cache;

impl<S: Send + Sync> FromRequestParts<S> for Cache {
    type Rejection = MissingCache;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, MissingCache> {
        parts.extensions.get().cloned().ok_or(MissingCache)
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
        Ok(Self(parts.extensions.get().cloned().unwrap_or_default()))
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
