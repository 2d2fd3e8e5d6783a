//! Routes about header fields.

use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING, VARY,
};
use http::{Response, StatusCode};

use super::plain::{bodiless, final_status};
use super::query::{list, value};
use crate::answer::{self, Object};
use crate::bed::{Bed, Input};

/// What `set=` says is no field.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no `Name:value`")]
pub struct BadField(String);

/// The fields that `set=Name:value` asks for, in order.
fn fields(query: Option<&str>) -> Result<Vec<(HeaderName, HeaderValue)>, BadField> {
    let parse = |text: &String| {
        let (name, value) = text.split_once(':')?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.trim().as_bytes()).ok()?))
    };
    list(query, "set")
        .iter()
        .map(|text| parse(text).ok_or_else(|| BadField(text.clone())))
        .collect()
}

/// A response with these fields in place of its own of the same kind. Those of the framing are the
/// server's: hyper hangs up on a handler that sends them, actix overwrites them.
fn with(
    mut response: Response<Bytes>,
    mut fields: Vec<(HeaderName, HeaderValue)>,
) -> Response<Bytes> {
    fields.retain(|(name, _)| !matches!(*name, CONTENT_LENGTH | TRANSFER_ENCODING));
    if fields.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        response.headers_mut().remove(CONTENT_TYPE);
    }
    for (name, value) in fields {
        response.headers_mut().append(name, value);
    }
    response
}

impl Bed {
    /// GET `/hdr`.
    #[must_use]
    pub fn hdr(&self, query: Option<&str>) -> Response<Bytes> {
        let fields = match fields(query) {
            Ok(fields) => fields,
            Err(error) => return answer::error(StatusCode::BAD_REQUEST, error),
        };
        let run = self.run("/hdr", &Input::default().query(query));
        with(Object::of("/hdr", run).ok(), fields)
    }

    /// ANY `/http/{*rest}`, whose response headers say what a cache may do.
    #[must_use]
    pub fn http(&self, method: &str, path: &str, query: Option<&str>) -> Response<Bytes> {
        let fields = match fields(query) {
            Ok(fields) => fields,
            Err(error) => return answer::error(StatusCode::BAD_REQUEST, error),
        };
        let Some(status) = final_status(value(query, "status").as_deref().unwrap_or("200")) else {
            return answer::error(StatusCode::BAD_REQUEST, "no final status code");
        };
        let run = self.run("/http/{*rest}", &Input::path(format!("{method} {path}")).query(query));
        let object = Object::of("/http/{*rest}", run).field("method", method).field("path", path);
        let response = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => bodiless(status),
            _ => object.status(status),
        };
        with(response, fields)
    }

    /// GET `/lang`.
    #[must_use]
    pub fn lang(&self, language: Option<&str>, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/lang", &Input::default().query(query).read("lang", language));
        Object::of("/lang", run).field("lang", &language).ok()
    }

    /// GET `/negotiated`.
    #[must_use]
    pub fn negotiated(&self, language: Option<&str>, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/negotiated", &Input::default().query(query).read("lang", language));
        let mut response = Object::of("/negotiated", run).field("lang", &language).ok();
        response.headers_mut().insert(VARY, HeaderValue::from_static("accept-language"));
        response
    }
}
