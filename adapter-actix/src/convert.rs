//! Heads between actix-web, which is on http 0.2, and the engine, which is on http 1.x: where both
//! appear, but for the heads of requests (`head`).

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev as framework_dev;
use actix_web::http as framework;
use actix_web::http::header as framework_header;
use cache_core::body::ReplyBody;
use cache_core::engine::Reply;
use cache_core::entry::{usual_name, usual_value};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::known;

/// The most lines that a request may have to have words; a table of http 1.x holds some more.
pub(crate) const MOST_LINES: usize = 1 << 14;

/// A line as actix has it.
pub(crate) type Line<'h> = (&'h framework_header::HeaderName, Value<'h>);

type Value<'h> = &'h framework_header::HeaderValue;

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
    let (headers, all) = fields(response.headers().iter());
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
    let (ours, theirs) = (&parts.headers, to.headers_mut());
    // Most that the engine does is to add lines behind the handler's.
    let same = |((name, value), (own, kept)): (Line<'_>, (&HeaderName, &HeaderValue))| {
        name.as_str() == own.as_str() && value.as_bytes() == kept.as_bytes()
    };
    let handlers = theirs.len();
    let added = if handlers <= ours.len() && theirs.iter().zip(ours).all(same) {
        handlers
    } else {
        theirs.retain(|name, _| !has_words(name.as_str()));
        0
    };
    for (name, value) in ours.iter().skip(added).filter_map(line_out) {
        theirs.append(name, value);
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
#[inline]
pub(crate) fn has_words(name: &str) -> bool {
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
pub(crate) fn fields<'f>(
    lines: impl Iterator<Item = (&'f framework_header::HeaderName, Value<'f>)>,
) -> (HeaderMap, bool) {
    let mut converted = HeaderMap::with_capacity(lines.size_hint().0.min(MOST_LINES));
    let mut all = true;
    for (name, value) in lines {
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

pub(crate) fn name_out(name: &HeaderName) -> Option<framework_header::HeaderName> {
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
    copied(value)
}

fn copied(value: &HeaderValue) -> Option<framework_header::HeaderValue> {
    let mut copy = framework_header::HeaderValue::from_bytes(value.as_bytes()).ok()?;
    copy.set_sensitive(value.is_sensitive());
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_answer_has_the_lines_that_the_engine_gives() {
        let handler = [("x-a", "1"), ("x-b", "1"), ("x-b", "2")];
        for engine in [
            &handler[..],
            &[],
            &[("x-a", "1"), ("x-b", "1"), ("x-b", "2"), ("x-b", "3"), ("x-c", "1")],
            &[("x-a", "1"), ("x-a", "2"), ("x-b", "1"), ("x-b", "2")],
            &[("x-a", "1"), ("x-b", "2"), ("x-b", "1")],
            &[("x-b", "1"), ("x-c", "1")],
            &[("x-a", "2")],
        ] {
            let mut theirs = HttpResponse::Ok();
            for line in handler {
                theirs.append_header(line);
            }
            let (mut theirs, mut ours) =
                (theirs.finish(), response(&HttpResponse::Ok().finish()).0);
            for (name, value) in engine {
                ours.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            let (parts, ()) = ours.into_parts();
            apply(&parts, &mut theirs);
            let (applied, _) = response(&theirs);
            assert_eq!(*applied.headers(), parts.headers, "{engine:?}");
        }
    }
}
