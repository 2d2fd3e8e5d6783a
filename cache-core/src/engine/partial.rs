//! Parts of a stored response (RFC 9110 §14, §15.3.7, §15.5.17).

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::body::{Pieces, ReplyBody};
use crate::entry::StoredHead;
use crate::field::notes::Noted;
use crate::field::range::{Asked, asked};
use crate::head::RequestHead;

/// Status and body of the answer where a GET asks for parts of a stored 200; `headers` are those of
/// the whole answer, and are changed accordingly. `None` where the whole is the answer. The bytes are
/// shared with the stored ones.
pub(crate) fn part(
    request: &RequestHead<'_>,
    stored: &StoredHead,
    body: &Bytes,
    headers: &mut HeaderMap,
) -> Option<(StatusCode, ReplyBody)> {
    if !request.has(Noted::Range)
        || request.method() != Method::GET
        || stored.status != StatusCode::OK
    {
        return None;
    }
    match asked(request.headers(), headers, body.len()) {
        Asked::Whole => None,
        Asked::Unsatisfiable => {
            Some((unsatisfiable(body.len(), headers), ReplyBody::Whole(Bytes::new())))
        }
        Asked::Parts(parts) => Some((StatusCode::PARTIAL_CONTENT, cut(&parts, body, headers)?)),
    }
}

/// The parts as content; `None` if they had better not be taken apart.
fn cut(parts: &[Range<usize>], body: &Bytes, headers: &mut HeaderMap) -> Option<ReplyBody> {
    let content = match parts {
        [] => return None,
        [part] => {
            headers.insert(header::CONTENT_RANGE, content_range(part, body.len()));
            ReplyBody::Whole(body.slice(part.clone()))
        }
        // Of what would be encoded, the parts or the multipart, RFC 9110 does not say.
        _ if headers.contains_key(header::CONTENT_ENCODING) => return None,
        parts => ReplyBody::Pieces(multipart(parts, body, headers)),
    };
    let length = match &content {
        ReplyBody::Absent => 0,
        ReplyBody::Whole(bytes) => bytes.len() as u64,
        ReplyBody::Pieces(pieces) => pieces.left(),
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    // They speak of the content of the whole answer.
    for digest in
        [HeaderName::from_static("content-digest"), HeaderName::from_static("content-md5")]
    {
        headers.remove(digest);
    }
    Some(content)
}

/// `multipart/byteranges` (§14.6): small heads between slices of the body.
fn multipart(parts: &[Range<usize>], body: &Bytes, headers: &mut HeaderMap) -> Pieces {
    let boundary = boundary();
    let media = headers.remove(header::CONTENT_TYPE);
    // A handler's own, which means nothing in a 200, would mean something here (§15.3.7.2).
    headers.remove(header::CONTENT_RANGE);
    let value = HeaderValue::from_str(&format!("multipart/byteranges; boundary={boundary}"));
    if let Ok(value) = value {
        headers.insert(header::CONTENT_TYPE, value);
    }
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    for (index, part) in parts.iter().enumerate() {
        let mut head = BytesMut::with_capacity(128);
        head.extend_from_slice(if index == 0 { b"--" } else { b"\r\n--" });
        head.extend_from_slice(boundary.as_bytes());
        if let Some(media) = &media {
            head.extend_from_slice(b"\r\ncontent-type: ");
            head.extend_from_slice(media.as_bytes());
        }
        head.extend_from_slice(b"\r\ncontent-range: ");
        head.extend_from_slice(content_range(part, body.len()).as_bytes());
        head.extend_from_slice(b"\r\n\r\n");
        pieces.push(head.freeze());
        pieces.push(body.slice(part.clone()));
    }
    pieces.push(Bytes::from(format!("\r\n--{boundary}--\r\n")));
    pieces.into_iter().collect()
}

/// 128 bits that whoever wrote the content could not know.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// The head of a 416: nothing of the representation but its length, and nothing to be stored.
fn unsatisfiable(length: usize, headers: &mut HeaderMap) -> StatusCode {
    const GONE: [HeaderName; 9] = [
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_DISPOSITION,
        header::CONTENT_LOCATION,
        header::ETAG,
        header::LAST_MODIFIED,
        header::EXPIRES,
        header::SET_COOKIE,
    ];
    for name in GONE {
        headers.remove(name);
    }
    for digest in ["content-digest", "repr-digest", "content-md5"] {
        headers.remove(digest);
    }
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{length}")) {
        headers.insert(header::CONTENT_RANGE, value);
    }
    StatusCode::RANGE_NOT_SATISFIABLE
}

fn content_range(part: &Range<usize>, length: usize) -> HeaderValue {
    let text = format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1));
    // Digits and separators are valid in every field value.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}
