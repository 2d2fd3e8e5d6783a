//! Answers: complete in memory, of no framework.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use serde::Serialize;

/// `200 text/plain`.
#[must_use]
pub fn text(body: impl Into<Bytes>) -> Response<Bytes> {
    typed("text/plain; charset=utf-8", body)
}

/// `200` with a content type.
#[must_use]
pub fn typed(content_type: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// `{"removed":N}`.
#[must_use]
pub fn removed(count: u64) -> Response<Bytes> {
    Object::new().field("removed", &count).ok()
}

/// A request that a handler does not serve: it becomes `{"error":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    /// A refusal with this status.
    #[must_use]
    pub fn new(status: StatusCode, message: impl std::fmt::Display) -> Self {
        Self { status, message: message.to_string() }
    }

    /// 400.
    #[must_use]
    pub fn bad(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// The refusal as an answer.
    #[must_use]
    pub fn answer(&self) -> Response<Bytes> {
        error(self.status, &self.message)
    }
}

/// `{"error":"…"}` with a status.
#[must_use]
pub fn error(status: StatusCode, message: impl std::fmt::Display) -> Response<Bytes> {
    Object::new().field("error", &message.to_string()).status(status)
}

/// A JSON object, its fields in the order in which they were added.
#[derive(Clone, Debug)]
#[must_use]
pub struct Object(String);

impl Object {
    /// An object without fields.
    pub fn new() -> Self {
        Self("{".to_owned())
    }

    /// The object of a cached route: it begins with the route and its run.
    pub fn of(route: &str, run: u64) -> Self {
        Self::new().field("route", route).field("n", &run)
    }

    /// Adds a field.
    pub fn field<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Neither texts nor numbers nor lists of them fail to be written.
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        let name = serde_json::to_string(name).unwrap_or_default();
        let _ = write!(self.0, "{name}:{value}");
        self
    }

    /// The object as an answer with `200`.
    #[must_use]
    pub fn ok(self) -> Response<Bytes> {
        self.status(StatusCode::OK)
    }

    /// The object as an answer.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Response<Bytes> {
        self.0.push('}');
        let mut response = typed("application/json", self.0);
        *response.status_mut() = status;
        response
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order() {
        let object = Object::of("/z", 2).field("a", &None::<&str>).field("b", &["\"x\"", "é"]);
        let expected = r#"{"route":"/z","n":2,"a":null,"b":["\"x\"","é"]}"#;
        assert_eq!(object.ok().into_body(), expected);
        assert_eq!(Object::new().ok().into_body(), "{}");
    }
}
