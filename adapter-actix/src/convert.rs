//! Heads between actix-web, which is on http 0.2, and the engine, which is on http 1.x: the only
//! file where both appear.

use std::borrow::Cow;
use std::sync::OnceLock;

use actix_web::body::BoxBody;
use actix_web::dev as framework_dev;
use actix_web::http as framework;
use actix_web::http::header as framework_header;
use actix_web::test::TestRequest;
use actix_web::{HttpRequest, HttpResponse};
use cache_core::body::ReplyBody;
use cache_core::engine::Reply;
use cache_core::entry::{usual_name, usual_value};
use cache_core::{LaterHead, RequestHead};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri};

use crate::{known, names};

/// The most lines that a request may have to have words; a table of http 1.x holds some more.
const MOST_LINES: usize = 1 << 14;

/// The head of a request, of which only as much becomes http 1.x as somebody asks for.
// What few ask for lies in boxes: a hit moves and drops the rest.
#[derive(Debug)]
pub(crate) struct Head<'r> {
    method: Cow<'static, Method>,
    theirs: &'r framework_dev::RequestHead,
    is_path: bool,
    uri: OnceLock<Box<Uri>>,
    headers: OnceLock<Box<HeaderMap>>,
}

impl<'r> Head<'r> {
    /// `None` if http 1.x has no words for its target.
    #[inline(always)]
    pub(crate) fn of(theirs: &'r framework_dev::RequestHead) -> Option<Self> {
        let is_path = is_path(&theirs.uri);
        let uri = if is_path { OnceLock::new() } else { boxed(uri(&theirs.uri)?) };
        let method = method(&theirs.method);
        Some(Self { method, theirs, is_path, uri, headers: OnceLock::new() })
    }

    /// As the engine reads it. What one pass over its lines finds is written down.
    pub(crate) fn read(&self, found: &mut Found) -> RequestHead<'_> {
        let lines = self.theirs.headers.iter().map(|(name, value)| {
            let name = name.as_str();
            found.line(name);
            (name, value.as_bytes())
        });
        if self.is_path {
            let target = (self.theirs.uri.path(), self.theirs.uri.query());
            return RequestHead::later(&self.method, target, lines, self);
        }
        lines.for_each(drop);
        RequestHead::new(&self.method, self.uri(), self.headers())
    }

    /// The whole of it.
    pub(crate) fn into_parts(self) -> http::request::Parts {
        let Self { method, theirs, uri: made, headers, .. } = self;
        let mut parts = method_only(method.into_owned());
        parts.uri = made.into_inner().map_or_else(|| path_of(theirs), |uri| *uri);
        parts.headers = headers.into_inner().map_or_else(|| fields(&theirs.headers).0, |map| *map);
        parts
    }
}

fn boxed<T>(made: T) -> OnceLock<Box<T>> {
    OnceLock::from(Box::new(made))
}

/// What one pass over the lines of a request finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    lines: usize,
    odd: bool,
}

impl Found {
    fn line(&mut self, name: &str) {
        self.lines += 1;
        self.odd |= !has_words(name);
    }

    /// Whether http 1.x has words for all of them.
    pub(crate) const fn is_heard(&self) -> bool {
        !self.odd && self.lines <= MOST_LINES
    }
}

impl LaterHead for Head<'_> {
    fn uri(&self) -> &Uri {
        self.uri.get_or_init(|| Box::new(path_of(self.theirs)))
    }

    fn headers(&self) -> &HeaderMap {
        self.headers.get_or_init(|| Box::new(fields(&self.theirs.headers).0))
    }

    fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)> {
        let lines =
            names::with(name, |name| self.theirs.headers.get_all(name), name_out)?.as_slice();
        Some((lines.get(number)?.as_bytes(), lines.len() > number + 1))
    }

    fn is_sensitive(&self, name: &HeaderName) -> bool {
        names::with(name, |name| self.theirs.headers.get_all(name), name_out)
            .is_some_and(|mut lines| lines.any(framework_header::HeaderValue::is_sensitive))
    }
}

/// Whether a target is no more than a path and a query, as most are.
fn is_path(uri: &framework::Uri) -> bool {
    uri.authority().is_none()
        && uri.scheme().is_none()
        && uri.path_and_query().is_some_and(|target| target.as_str().starts_with('/'))
}

/// What is a path to http 0.2 is one to http 1.x.
fn path_of(request: &framework_dev::RequestHead) -> Uri {
    uri(&request.uri).unwrap_or_default()
}

fn uri(uri: &framework::Uri) -> Option<Uri> {
    match uri.path_and_query() {
        Some(target) if is_path(uri) => Uri::try_from(target.as_str()).ok(),
        _ => Uri::try_from(uri.to_string()).ok(),
    }
}

static GET: Method = Method::GET;
static HEAD: Method = Method::HEAD;

/// Both versions allow the same methods; any but a safe one will do.
#[inline]
fn method(method: &framework::Method) -> Cow<'static, Method> {
    match *method {
        framework::Method::GET => Cow::Borrowed(&GET),
        framework::Method::HEAD => Cow::Borrowed(&HEAD),
        ref other => {
            let other = Method::from_bytes(other.as_str().as_bytes());
            Cow::Owned(other.unwrap_or(Method::POST))
        }
    }
}

/// The head of a request in so far as there are words for it: its method in any case.
pub(crate) fn request_or_method(request: &framework_dev::RequestHead) -> http::request::Parts {
    let heard = |head: &Head<'_>| {
        let mut found = Found::default();
        head.read(&mut found);
        found.is_heard()
    };
    let head = Head::of(request).filter(heard);
    let method_alone = || method_only(method(&request.method).into_owned());
    head.map_or_else(method_alone, Head::into_parts)
}

fn method_only(method: Method) -> http::request::Parts {
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = method;
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
    HttpResponse::with_body(framework::StatusCode::OK, ())
}

/// Gives a response this status and these fields. Those that http 1.x has no words for stay.
pub(crate) fn apply<B>(parts: &http::response::Parts, to: &mut HttpResponse<B>) {
    set_status(parts.status, to);
    let headers = to.headers_mut();
    headers.retain(|name, _| !has_words(name.as_str()));
    for (name, value) in parts.headers.iter().filter_map(line_out) {
        headers.append(name, value);
    }
}

/// An answer from the store. `body` learns the length that it states.
#[inline]
pub(crate) fn from_store(
    reply: Reply,
    body: impl FnOnce(ReplyBody, Option<u64>) -> BoxBody,
) -> framework_dev::Response<BoxBody> {
    let mut response = framework_dev::Response::with_body(status_out(reply.status()), ());
    let stated = known::put(&reply, response.headers_mut(), line_out);
    response.set_body(body(reply.into_body(), stated))
}

fn set_status<B>(status: StatusCode, to: &mut HttpResponse<B>) {
    let status = status_out(status);
    if status != to.status() {
        *to.status_mut() = status;
        to.head_mut().reason = None;
    }
}

/// Both versions allow the same numbers.
#[inline]
fn status_out(status: StatusCode) -> framework::StatusCode {
    framework::StatusCode::from_u16(status.as_u16()).unwrap_or_default()
}

/// The length that a response without a body states.
pub(crate) fn stated_length<'f>(
    mut fields: impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)>,
) -> Option<u64> {
    let (_, length) = fields.find(|(name, _)| **name == CONTENT_LENGTH)?;
    known::stated(length)
}

/// Whether http 1.x allows the name, too: http 0.2 also allows a quotation mark in it.
fn has_words(name: &str) -> bool {
    const MARKS: u64 = u64::from_ne_bytes([b'"'; 8]);
    let odd = |word: &[u8; 8]| has_zero(u64::from_ne_bytes(*word) ^ MARKS);
    let name = name.as_bytes();
    // The last bytes once more, where they are not a multiple of eight.
    if let Some(last) = name.last_chunk() {
        return !name.as_chunks().0.iter().any(odd) && !odd(last);
    }
    match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(&[a, b, c, d]), Some(&[e, f, g, h])) => !odd(&[a, b, c, d, e, f, g, h]),
        _ => !name.contains(&b'"'),
    }
}

/// Whether one of the eight bytes is zero.
const fn has_zero(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
}

/// The fields, and whether these are all.
fn fields(headers: &framework_header::HeaderMap) -> (HeaderMap, bool) {
    let mut converted = HeaderMap::with_capacity(headers.len().min(MOST_LINES));
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
    if let Some(usual) = usual_name(name) {
        return Some(framework_header::HeaderName::from_static(usual));
    }
    framework_header::HeaderName::from_bytes(name.as_str().as_bytes()).ok()
}

fn line_out(
    (name, value): (&HeaderName, &HeaderValue),
) -> Option<(framework_header::HeaderName, framework_header::HeaderValue)> {
    Some((name_out(name)?, value_out(value)?))
}

fn value_out(value: &HeaderValue) -> Option<framework_header::HeaderValue> {
    if let Some(usual) = usual_value(value) {
        return Some(framework_header::HeaderValue::from_static(usual));
    }
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
                    assert_eq!(Some(converted), super::uri(&uri));
                }
            }
        }
    }

    #[test]
    fn a_head_is_the_same_before_and_after_it_is_converted() {
        let mut second = framework_header::HeaderValue::from_static("2");
        second.set_sensitive(true);
        let asked = TestRequest::with_uri("/a/b?c=d&e")
            .append_header(("host", "here"))
            .append_header(("x-two", "1"))
            .append_header(("x-two", second))
            .to_http_request();
        let head = Head::of(asked.head()).unwrap();
        let read = head.read(&mut Found::default());
        let name = HeaderName::from_static("x-two");
        assert_eq!(head.line(&name, 0).unwrap(), (&b"1"[..], true));
        assert_eq!(head.line(&name, 1).unwrap(), (&b"2"[..], false));
        assert_eq!(head.line(&name, 2), None);
        let sensitive = |name: &HeaderName| LaterHead::is_sensitive(&head, name);
        assert!(sensitive(&name) && !sensitive(&http::header::HOST));
        assert!(head.uri.get().is_none() && head.headers.get().is_none());
        assert_eq!(read.headers().get_all("x-two").iter().count(), 2);
        let parts = head.into_parts();
        assert_eq!((parts.uri.path(), parts.uri.query()), ("/a/b", Some("c=d&e")));
        assert_eq!(parts.headers.len(), 3);
    }

    #[test]
    fn a_target_with_an_authority_is_converted_at_once() {
        let asked = TestRequest::with_uri("http://there/a").to_http_request();
        let head = Head::of(asked.head()).unwrap();
        let read = head.read(&mut Found::default());
        assert_eq!(read.uri().authority().unwrap(), "there");
    }

    #[test]
    fn a_name_without_words_is_told_apart() {
        for byte in 0..=u8::MAX {
            let name = [b'a', byte];
            let Ok(theirs) = framework_header::HeaderName::from_bytes(&name) else { continue };
            assert_eq!(has_words(theirs.as_str()), HeaderName::from_bytes(&name).is_ok(), "{byte}");
        }
        for (at, length) in (0..20).flat_map(|length| (0..length).map(move |at| (at, length))) {
            let mut name = vec![b'!'; length];
            let named = |name: &[u8]| framework_header::HeaderName::from_bytes(name).unwrap();
            assert!(has_words(named(&name).as_str()));
            name[at] = b'"';
            assert!(!has_words(named(&name).as_str()), "{at} of {length}");
        }
        let odd = TestRequest::default().append_header(("a\"b", "odd")).to_http_request();
        let mut found = Found::default();
        Head::of(odd.head()).unwrap().read(&mut found);
        assert!(!found.is_heard());
        assert!(request_or_method(odd.head()).headers.is_empty());
    }

    #[test]
    fn content_is_what_is_announced() {
        let announces = |lines: &[(&'static str, &'static str)]| {
            let mut asked = TestRequest::default();
            for line in lines {
                asked = asked.append_header(*line);
            }
            let asked = asked.to_http_request();
            let head = Head::of(asked.head()).unwrap();
            head.read(&mut Found::default()).announces_content()
        };
        assert!(!announces(&[]) && !announces(&[("content-length", "0")]));
        assert!(announces(&[("content-length", "1")]));
        assert!(announces(&[("transfer-encoding", "chunked")]));
        assert!(announces(&[("content-length", "0"), ("transfer-encoding", "chunked")]));
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
