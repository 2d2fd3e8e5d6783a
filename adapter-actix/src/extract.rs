//! Extractors for handlers.

use std::fmt;
use std::ops::Deref;

use actix_web::dev::{Extensions, Payload};
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use cache_core::Wishes;
use futures_util::future::{Either, MapOk, Ready, TryFutureExt as _, ready};

use crate::cache::Cache;

/// What this crate leaves with a request, for these extractors and for cached routes: together, since
/// each thing in a request's extensions costs a place of its own.
#[derive(Debug)]
pub(crate) struct Handles {
    cache: Cache,
    wishes: Option<Wishes>,
}

impl Handles {
    /// By which a handler speaks to the cached route that it is in.
    #[inline]
    pub(crate) fn wishes(extensions: &Extensions) -> Option<Wishes> {
        extensions.get::<Self>()?.wishes.clone()
    }

    /// Replaces what an outer route has left; its wishes stay if there are no others.
    pub(crate) fn put(cache: Cache, wishes: Option<Wishes>, extensions: &mut Extensions) {
        let wishes = wishes.or_else(|| Self::wishes(extensions));
        extensions.insert(Self { cache, wishes });
    }
}

impl FromRequest for Cache {
    type Error = MissingCache;
    type Future = Ready<Result<Self, MissingCache>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let inside = req.extensions().get().map(|handles: &Handles| handles.cache.clone());
        ready(inside.or_else(|| req.app_data().cloned()).ok_or(MissingCache))
    }
}

/// No cache reaches this handler: 500, with a hint in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingCache;

impl fmt::Display for MissingCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a handler extracts `Cache`, but `cache.extension()` is not its app data")
    }
}

impl ResponseError for MissingCache {
    fn error_response(&self) -> HttpResponse {
        tracing::error!("{self}");
        HttpResponse::new(StatusCode::INTERNAL_SERVER_ERROR)
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

impl FromRequest for ResponseCache {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Handles::wishes(&req.extensions()).unwrap_or_default())))
    }
}

/// The value that a guard of the route extracted. Where no guard ran, the extractor runs here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper, to be taken apart")]
pub struct Guarded<E>(pub E);

impl<E: FromRequest + Clone + 'static> FromRequest for Guarded<E> {
    type Error = E::Error;
    type Future = Either<Ready<Result<Self, E::Error>>, MapOk<E::Future, fn(E) -> Self>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let found = req.extensions().get::<Self>().cloned();
        match found {
            Some(guarded) => Either::Left(ready(Ok(guarded))),
            None => {
                let wrap: fn(E) -> Self = Self;
                Either::Right(E::from_request(req, payload).map_ok(wrap))
            }
        }
    }
}
