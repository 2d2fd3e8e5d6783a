//! Answers of `testbed-common` as actix's, and what handlers read of a request.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use bytes::Bytes;
use testbed_common::answer::Refusal;

/// The answer as it is sent.
pub(crate) fn reply(answer: http::Response<Bytes>) -> HttpResponse {
    let (parts, body) = answer.into_parts();
    head(&parts).body(body)
}

/// The head of an answer.
pub(crate) fn head(parts: &http::response::Parts) -> HttpResponseBuilder {
    let status = StatusCode::from_u16(parts.status.as_u16());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in &parts.headers {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response
}

/// All lines of a field as text, joined; `None` if there is none.
pub(crate) fn field(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines = headers.get_all(name).map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.map(String::from).reduce(|all, line| all + ", " + &line)
}

/// The query as it was sent; a target without `?` has none.
#[derive(Clone, Debug)]
pub(crate) struct RawQuery(pub(crate) Option<String>);

impl RawQuery {
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromRequest for RawQuery {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(req.uri().query().map(str::to_owned))))
    }
}

/// A guard's refusal.
#[derive(Debug)]
pub(crate) struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refused {
    fn error_response(&self) -> HttpResponse {
        reply(self.0.answer())
    }
}
