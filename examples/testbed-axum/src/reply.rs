//! Answers of `testbed-common` as axum's, and what handlers read of a request.

use axum::body::Body;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, Response};
use axum::response::IntoResponse;
use bytes::Bytes;
use testbed_common::answer::Refusal;

/// The answer as it is sent.
pub(crate) fn reply(answer: Response<Bytes>) -> Response<Body> {
    answer.map(Body::from)
}

/// All lines of a field as text, joined; `None` if there is none.
pub(crate) fn field(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let lines = headers.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.map(String::from).reduce(|all, line| all + ", " + &line)
}

/// A guard's refusal.
#[derive(Debug)]
pub(crate) struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        reply(self.0.answer())
    }
}
