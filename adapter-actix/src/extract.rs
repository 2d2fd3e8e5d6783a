//! Extractors for handlers.

use std::fmt;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, HttpResponse, ResponseError};
use cache_core::Wishes;
use futures_util::future::{Either, MapOk, Ready, TryFutureExt as _, ready};

use crate::cache::Cache;

impl FromRequest for Cache {
    type Error = MissingCache;
    type Future = Ready<Result<Self, MissingCache>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let inside = req.extensions().get().cloned();
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
        ready(Ok(Self(req.extensions().get().cloned().unwrap_or_default())))
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
