//! The wrapped service with one request, as the engine drives it.

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequestParts as _, OriginalUri, RawPathParams, Request};
use axum::response::IntoResponse;
use bytes::Bytes;
use cache_core::engine::{Changes, Origin, Route};
use cache_core::{Extracted, RequestHead};
use futures_util::FutureExt as _;
use http::Response;
use tower_service::Service;

use crate::body::{Incoming, read};
use crate::cache::Cache;
use crate::extract::Handles;

/// What is known of a request beside what its own head says.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    params: Vec<(String, String)>,
    extracted: Vec<Extracted>,
    guarded: bool,
}

impl Sight {
    /// What deriving the key of a route may ask for.
    pub(crate) fn of(route: &Route, request: &mut Request) -> Self {
        let sight = Self::default();
        if route.keys_by_params() { sight.with_params(request) } else { sight }
    }

    /// The request has passed the guards, which gave these values.
    pub(crate) fn guarded(mut self, extracted: Vec<Extracted>) -> Self {
        self.guarded = true;
        self.extracted = extracted;
        self
    }

    /// What the rest of a request's way may ask for.
    pub(crate) fn complete(self, route: &Route, request: &mut Request) -> Self {
        let more = route.needs_params() && !route.keys_by_params();
        if more { self.with_params(request) } else { self }
    }

    /// Reads the path parameters, if a router has matched any.
    pub(crate) fn with_params(mut self, request: &mut Request) -> Self {
        // The extractor wants parts, reads their extensions and waits for nothing.
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.extensions = std::mem::take(request.extensions_mut());
        let found = RawPathParams::from_request_parts(&mut parts, &()).now_or_never();
        if let Some(Ok(params)) = found {
            self.params =
                params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        }
        *request.extensions_mut() = parts.extensions;
        self
    }

    pub(crate) fn head<'r>(&'r self, request: &'r Request) -> RequestHead<'r> {
        head_of(request, Handles::within(request.extensions()))
            .with_params(&self.params)
            .with_extracted(&self.extracted)
            .with_guarded(self.guarded)
    }
}

/// What a request says itself, with the handles in it.
#[inline]
pub(crate) fn head_of<'r>(request: &'r Request, handles: Option<&'r Handles>) -> RequestHead<'r> {
    // A nested router shortens the request's own URI; the client's is kept beside it.
    let original = request.extensions().get::<OriginalUri>();
    let uri = original.map_or_else(|| request.uri(), |original| &original.0);
    RequestHead::new(request.method(), uri, request.headers())
        .with_extensions(request.extensions())
        .with_routed(request.uri())
        .with_body(!request.body().is_end_stream())
        .with_outer(handles.and_then(Handles::wishes))
}

/// A service, and what it is to be called with.
#[derive(Debug)]
pub(crate) struct AxumOrigin<S> {
    inner: S,
    request: Request,
    sight: Sight,
    cache: Cache,
}

impl<S> AxumOrigin<S> {
    /// Boxed, since it is passed through futures by value.
    pub(crate) fn new(inner: S, request: Request, sight: Sight, cache: Cache) -> Box<Self> {
        Box::new(Self { inner, request, sight, cache })
    }
}

impl<S> Origin for Box<AxumOrigin<S>>
where
    S: Service<Request<Body>>,
    S::Response: IntoResponse,
{
    type Body = Incoming;
    type Error = S::Error;

    fn head(&self) -> RequestHead<'_> {
        self.sight.head(&self.request)
    }

    async fn body(&mut self, limit: usize) -> Option<Bytes> {
        let (whole, again) = read(std::mem::take(self.request.body_mut()), limit).await;
        *self.request.body_mut() = again;
        whole
    }

    async fn run(mut self, changes: Changes) -> Result<Response<Incoming>, S::Error> {
        for (name, value) in changes.fields {
            match value {
                Some(value) => {
                    self.request.headers_mut().insert(name, value);
                }
                None => {
                    self.request.headers_mut().remove(name);
                }
            }
        }
        Handles::put(self.cache, changes.wishes, self.request.extensions_mut());
        std::future::poll_fn(|cx| self.inner.poll_ready(cx)).await?;
        Ok(self.inner.call(self.request).await?.into_response().map(Incoming))
    }
}
