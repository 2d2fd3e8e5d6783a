//! Requests where the cache meets them: inside an application, and in front of one.

use std::cell::Cell;
use std::future::Future;

use actix_http::Request;
use actix_web::body::BoxBody;
use actix_web::dev::{Payload, RequestHead, Response, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use cache_core::engine::Spawn as _;

use crate::desk::Seen;
use crate::spawn::{Afterwards, ArbiterSpawn};

/// A request, and what becomes of it. Whatever is decided about one is decided elsewhere, and the
/// same for both.
pub(crate) trait Asked: HttpMessage + Sized + 'static {
    /// All of it but its payload.
    type Kept: 'static;
    type Answer: 'static;

    fn head(&self) -> &RequestHead;

    fn headers_mut(&mut self) -> &mut HeaderMap;

    fn set_payload(&mut self, payload: Payload);

    /// The path parameters as the router has them, if any has matched.
    fn params(&self) -> impl Iterator<Item = (&str, &str)>;

    fn into_parts(self) -> (Self::Kept, Payload);

    fn from_parts(kept: Self::Kept, payload: Payload) -> Self;

    /// Answers a request that was not run.
    fn answered(self, response: Response<BoxBody>) -> Self::Answer;

    /// Hands on what a service has answered.
    fn passed(response: ServiceResponse) -> Self::Answer;

    /// A service has answered; `request` is what it gives back of the request that it took.
    fn ran(kept: &Cell<Option<Self::Kept>>, request: HttpRequest);

    /// Answers a request of which that is kept.
    fn answer(kept: &Cell<Option<Self::Kept>>, seen: &Seen, response: HttpResponse)
    -> Self::Answer;

    /// Starts a refresh, which takes what is kept, as soon as the answer allows it.
    fn refresh(
        kept: &Cell<Option<Self::Kept>>,
        answer: &mut Self::Answer,
        refresh: impl Future<Output = ()> + 'static,
    );
}

/// Inside an application. actix wants the request back, with the answer.
impl Asked for ServiceRequest {
    type Kept = HttpRequest;
    type Answer = ServiceResponse;

    #[inline]
    fn head(&self) -> &RequestHead {
        Self::head(self)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        Self::headers_mut(self)
    }

    fn set_payload(&mut self, payload: Payload) {
        Self::set_payload(self, payload);
    }

    fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.match_info().iter()
    }

    fn into_parts(self) -> (HttpRequest, Payload) {
        Self::into_parts(self)
    }

    fn from_parts(kept: HttpRequest, payload: Payload) -> Self {
        Self::from_parts(kept, payload)
    }

    #[inline]
    fn answered(self, response: Response<BoxBody>) -> ServiceResponse {
        self.into_response(response)
    }

    fn passed(response: ServiceResponse) -> ServiceResponse {
        response
    }

    fn ran(kept: &Cell<Option<HttpRequest>>, request: HttpRequest) {
        kept.set(Some(request));
    }

    fn answer(
        kept: &Cell<Option<HttpRequest>>,
        seen: &Seen,
        response: HttpResponse,
    ) -> ServiceResponse {
        // A handler that panicked or failed took the request with it.
        let request = kept.take().unwrap_or_else(|| seen.request());
        ServiceResponse::new(request, response)
    }

    fn refresh(
        kept: &Cell<Option<HttpRequest>>,
        answer: &mut ServiceResponse,
        refresh: impl Future<Output = ()> + 'static,
    ) {
        kept.set(Some(answer.request().clone()));
        answer.response_mut().extensions_mut().insert(Afterwards::new(refresh));
    }
}

/// In front of an application: the application makes its own request of this one, and nobody
/// wants it back.
impl Asked for Request {
    type Kept = Self;
    type Answer = Response<BoxBody>;

    #[inline]
    fn head(&self) -> &RequestHead {
        Self::head(self)
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        Self::headers_mut(self)
    }

    fn set_payload(&mut self, payload: Payload) {
        *self.payload() = payload;
    }

    fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        std::iter::empty()
    }

    fn into_parts(mut self) -> (Self, Payload) {
        let payload = Self::take_payload(&mut self);
        (self, payload)
    }

    fn from_parts(mut kept: Self, payload: Payload) -> Self {
        *kept.payload() = payload;
        kept
    }

    #[inline]
    fn answered(self, response: Self::Answer) -> Self::Answer {
        response
    }

    fn passed(response: ServiceResponse) -> Self::Answer {
        response.into()
    }

    fn ran(_: &Cell<Option<Self>>, _: HttpRequest) {}

    fn answer(_: &Cell<Option<Self>>, _: &Seen, response: HttpResponse) -> Self::Answer {
        response.into()
    }

    fn refresh(
        _: &Cell<Option<Self>>,
        _: &mut Self::Answer,
        refresh: impl Future<Output = ()> + 'static,
    ) {
        // It is in nobody else's hands.
        ArbiterSpawn.spawn(refresh);
    }
}
