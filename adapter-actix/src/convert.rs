//! Heads between actix-web, which is on http 0.2, and the engine, which is on http 1.x: the only
//! file where both appear.

use actix_web::http as framework;
use actix_web::http::header as framework_header;
use actix_web::test::TestRequest;
use actix_web::{HttpRequest, HttpResponse};
use cache_core::engine::Reply;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use crate::known;

/// The head of a request; `None` if http 1.x has no words for its target or its fields.
pub(crate) fn request(request: &HttpRequest) -> Option<http::request::Parts> {
    let mut parts = method_only(request);
    parts.uri = target(request.uri())?;
    let (headers, all) = fields(request.headers());
    parts.headers = headers;
    all.then_some(parts)
}

/// A target; most are no more than a path and a query.
fn target(uri: &framework::Uri) -> Option<Uri> {
    match uri.path_and_query() {
        Some(target) if uri.authority().is_none() && uri.scheme().is_none() => {
            Uri::try_from(target.as_str()).ok()
        }
        _ => Uri::try_from(uri.to_string()).ok(),
    }
}

/// A head with nothing but the request's method.
pub(crate) fn method_only(request: &HttpRequest) -> http::request::Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    // Both versions allow the same methods; any but a safe one will do.
    parts.method = Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or(Method::POST);
    parts
}

/// A request with this head, for want of the one that was lost.
pub(crate) fn request_like(parts: &http::request::Parts) -> HttpRequest {
    // Nothing but actix's own test kit makes a request outside of a server.
    let mut like = TestRequest::default();
    let uri = parts.uri.to_string();
    if framework::Uri::try_from(&uri).is_ok() {
        like = like.uri(&uri);
    }
    if let Ok(method) = framework::Method::from_bytes(parts.method.as_str().as_bytes()) {
        like = like.method(method);
    }
    for line in parts.headers.iter().filter_map(line_out) {
        like = like.append_header(line);
    }
    like.to_http_request()
}

/// Sets a field of a request, or removes it.
pub(crate) fn change(
    headers: &mut framework_header::HeaderMap,
    name: &HeaderName,
    value: Option<&HeaderValue>,
) {
    let Some(name) = name_out(name) else { return };
    match value.and_then(value_out) {
        Some(value) => {
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
}

/// The head of a response, and whether that is all of it.
pub(crate) fn response<B>(response: &HttpResponse<B>) -> (Response<()>, bool) {
    let mut converted = Response::new(());
    if let Ok(status) = StatusCode::from_u16(response.status().as_u16()) {
        *converted.status_mut() = status;
    }
    let (headers, all) = fields(response.headers());
    *converted.headers_mut() = headers;
    (converted, all)
}

/// A response of actix's own making, without anything in it yet.
pub(crate) fn blank() -> HttpResponse<()> {
    HttpResponse::new(framework::StatusCode::OK).drop_body()
}

/// Gives a response this status and these fields. Those that http 1.x has no words for stay.
pub(crate) fn apply<B>(parts: &http::response::Parts, to: &mut HttpResponse<B>) {
    set_status(parts.status, to);
    let headers = to.headers_mut();
    headers.retain(|name, value| field(name, value).is_none());
    for (name, value) in parts.headers.iter().filter_map(line_out) {
        headers.append(name, value);
    }
}

/// The head of an answer from the store.
pub(crate) fn from_store(reply: &Reply) -> HttpResponse<()> {
    let mut response = blank();
    set_status(reply.status(), &mut response);
    let lines = reply.fields().filter_map(|line| known::line(line, line_out));
    for (name, value) in lines {
        response.headers_mut().append(name, value);
    }
    response
}

fn set_status<B>(status: StatusCode, to: &mut HttpResponse<B>) {
    if let Ok(status) = framework::StatusCode::from_u16(status.as_u16())
        && status != to.status()
    {
        *to.status_mut() = status;
        to.head_mut().reason = None;
    }
}

/// The length that a response without a body states.
pub(crate) fn stated_length<'f>(
    mut fields: impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
) -> Option<u64> {
    let (_, length) = fields.find(|(name, _)| **name == CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// The fields, and whether these are all. (http 0.2 allows a quotation mark in names.)
fn fields(headers: &framework_header::HeaderMap) -> (HeaderMap, bool) {
    let mut converted = HeaderMap::with_capacity(headers.len());
    let mut all = true;
    for (name, value) in headers {
        all &= field(name, value)
            .is_some_and(|(name, value)| converted.try_append(name, value).is_ok());
    }
    (converted, all)
}

fn field(
    name: &framework_header::HeaderName,
    value: &framework_header::HeaderValue,
) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
    let mut copy = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    copy.set_sensitive(value.is_sensitive());
    Some((name, copy))
}

fn name_out(name: &HeaderName) -> Option<framework_header::HeaderName> {
    framework_header::HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

fn line_out(
    (name, value): (&HeaderName, &HeaderValue),
) -> Option<(framework_header::HeaderName, framework_header::HeaderValue)> {
    Some((name_out(name)?, value_out(value)?))
}

fn value_out(value: &HeaderValue) -> Option<framework_header::HeaderValue> {
    let mut copy = framework_header::HeaderValue::from_bytes(value.as_bytes()).ok()?;
    copy.set_sensitive(value.is_sensitive());
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_its_words() {
        for byte in 0..=u8::MAX {
            for prefix in ["/a", "/a?b=", "http://host/a"] {
                let mut target = prefix.as_bytes().to_vec();
                target.push(byte);
                if let Ok(uri) = framework::Uri::try_from(target) {
                    let text = uri.to_string();
                    let converted = Uri::try_from(&text).expect("a target");
                    assert_eq!(converted.path(), uri.path());
                    assert_eq!(converted.query(), uri.query());
                }
            }
        }
    }

    #[test]
    fn every_field_has_its_words_or_stays() {
        for byte in 0..=u8::MAX {
            let ours = HeaderValue::from_bytes(&[b'a', byte]);
            let theirs = framework_header::HeaderValue::from_bytes(&[b'a', byte]);
            assert_eq!(ours.is_ok(), theirs.is_ok(), "{byte}");
        }
        let mut odd = HttpResponse::Ok()
            .append_header(("a\"b", "odd"))
            .append_header(("plain", "1"))
            .finish();
        let (converted, all) = response(&odd);
        assert!(!all && converted.headers().len() == 1);
        let (parts, ()) = Response::builder().header("plain", "2").body(()).unwrap().into_parts();
        apply(&parts, &mut odd);
        assert_eq!(odd.headers().get("a\"b").unwrap(), "odd");
        assert_eq!(odd.headers().get("plain").unwrap(), "2");
        assert_eq!(odd.headers().len(), 2);
    }
}
