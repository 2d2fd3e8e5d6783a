//! Preconditions of a request against the response that would answer it (RFC 9110 §13).

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::entity_tag::{is_tag, lines_name};

/// Whether the client already has this response, so that 304 is the answer.
///
/// `If-Modified-Since` counts only without `If-None-Match` (§13.2.2) and only if it is a date.
#[must_use]
pub fn not_modified(
    method: &Method,
    request: &HeaderMap,
    status: StatusCode,
    response: &HeaderMap,
) -> bool {
    if !matches!(*method, Method::GET | Method::HEAD) || status != StatusCode::OK {
        return false;
    }
    let mut tags = request.get_all(header::IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        return response.get(header::ETAG).is_some_and(|etag| lines_name(tags, etag));
    }
    match (date(request, &header::IF_MODIFIED_SINCE), date(response, &header::LAST_MODIFIED)) {
        (Some(since), Some(modified)) => modified <= since,
        _ => false,
    }
}

/// Whether one line of `If-None-Match` is the whole entity tag of this response, as where a client
/// sends back what it was sent: then it has it, whatever the other lines say.
pub(crate) fn sent_back(method: &Method, line: &[u8], status: StatusCode, etag: &Tag) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && status == StatusCode::OK
        && etag.0.as_ref().is_some_and(|etag| etag.as_bytes() == line)
}

/// The entity tag of a response, if it has one that is well-formed.
#[derive(Clone, Debug)]
pub(crate) struct Tag(Option<HeaderValue>);

impl Tag {
    pub(crate) fn of(response: &HeaderMap) -> Self {
        Self(response.get(header::ETAG).filter(|etag| is_tag(etag)).cloned())
    }
}

/// Whether the request has a precondition that only the origin can judge: of the state before a
/// change (§13.1.1, §13.1.4), which `If-None-Match` asks for as well where the method is not GET or
/// HEAD (§13.1.2).
#[must_use]
pub fn needs_origin(method: &Method, request: &HeaderMap) -> bool {
    request.contains_key(header::IF_MATCH)
        || request.contains_key(header::IF_UNMODIFIED_SINCE)
        || !matches!(*method, Method::GET | Method::HEAD)
            && request.contains_key(header::IF_NONE_MATCH)
}

/// Turns the head of a 200 into that of its 304 (§15.4.5): the representation's metadata goes,
/// except what helps a client to update its own copy; nothing is said of a body or a cookie.
pub fn reduce_to_not_modified(headers: &mut HeaderMap) {
    let etag = headers.contains_key(header::ETAG);
    let gone = |name: &&HeaderName| !stays_when_not_modified(name.as_str(), etag);
    let gone: Vec<HeaderName> = headers.keys().filter(gone).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Whether a 304 keeps this field of its 200; `etag` says whether that has an entity tag.
pub(crate) fn stays_when_not_modified(name: &str, etag: bool) -> bool {
    match name {
        "content-length" | "content-type" | "content-encoding" | "content-language"
        | "content-range" | "transfer-encoding" | "set-cookie" | "accept-ranges" => false,
        "last-modified" => !etag,
        _ => true,
    }
}

/// The one HTTP date in a field; none if it is absent, repeated or no date.
#[must_use]
pub fn date(headers: &HeaderMap, name: &HeaderName) -> Option<std::time::SystemTime> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next().map(HeaderValue::to_str), lines.next()) {
        (Some(Ok(text)), None) => httpdate::parse_http_date(text.trim()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: &str = "Mon, 02 Jan 2023 00:00:00 GMT";
    const TUESDAY: &str = "Tue, 03 Jan 2023 00:00:00 GMT";

    fn map(lines: &[(HeaderName, &'static str)]) -> HeaderMap {
        lines.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect()
    }

    fn answer(request: &[(HeaderName, &'static str)], status: StatusCode) -> bool {
        let response = map(&[(header::ETAG, "\"a\""), (header::LAST_MODIFIED, MONDAY)]);
        not_modified(&Method::GET, &map(request), status, &response)
    }

    #[test]
    fn the_tag_beats_the_date() {
        assert!(answer(&[(header::IF_NONE_MATCH, "\"a\"")], StatusCode::OK));
        assert!(!answer(
            &[(header::IF_NONE_MATCH, "\"b\""), (header::IF_MODIFIED_SINCE, TUESDAY)],
            StatusCode::OK
        ));
    }

    #[test]
    fn a_tag_that_is_sent_back_is_known_without_a_list() {
        let response = |etag| map(&[(header::ETAG, etag)]);
        let knows = |line: &str, status, etag| {
            sent_back(&Method::GET, line.as_bytes(), status, &Tag::of(&response(etag)))
        };
        assert!(knows("\"a\"", StatusCode::OK, "\"a\""));
        assert!(!knows("\"b\"", StatusCode::OK, "\"a\""));
        assert!(!knows("\"a\"", StatusCode::NOT_FOUND, "\"a\""));
        // What is no entity tag matches nothing.
        assert!(!knows("a", StatusCode::OK, "a"));
    }

    #[test]
    fn dates_compare_and_nonsense_is_ignored() {
        assert!(answer(&[(header::IF_MODIFIED_SINCE, MONDAY)], StatusCode::OK));
        assert!(answer(&[(header::IF_MODIFIED_SINCE, TUESDAY)], StatusCode::OK));
        assert!(!answer(&[(header::IF_MODIFIED_SINCE, "yesterday")], StatusCode::OK));
        assert!(!answer(&[], StatusCode::OK));
        let twice = [(header::IF_MODIFIED_SINCE, TUESDAY), (header::IF_MODIFIED_SINCE, TUESDAY)];
        let mut request = HeaderMap::new();
        for (name, value) in twice {
            request.append(name, HeaderValue::from_static(value));
        }
        let response = map(&[(header::LAST_MODIFIED, MONDAY)]);
        assert!(!not_modified(&Method::GET, &request, StatusCode::OK, &response));
    }

    #[test]
    fn only_a_200_becomes_a_304() {
        assert!(!answer(&[(header::IF_NONE_MATCH, "*")], StatusCode::NOT_FOUND));
    }
}
