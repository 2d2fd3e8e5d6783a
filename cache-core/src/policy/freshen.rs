//! A stored response that the handler says still holds (RFC 9111 §3.2, §4.3.4).

use std::time::SystemTime;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::entry::StoredHead;
use crate::field::said::{Said, Stated};
use crate::field::{conditional, entity_tag, hop_by_hop};

/// The stored head, updated by that of a 304; `None` if the 304 is about another response.
///
/// Each field of the 304 replaces all lines of the stored one, except fields that speak of the
/// stored content, which stays what it is. Without a `Date` it was made at `now`.
pub(crate) fn merged(
    stored: &StoredHead,
    answer: &HeaderMap,
    now: SystemTime,
) -> Option<HeaderMap> {
    let own = stored.headers.get(&header::ETAG).filter(|_| !stored.etag_is_ours);
    if let (Some(own), Some(other)) = (own, answer.get(header::ETAG))
        && !entity_tag::weakly_equal(&own, other)
    {
        return None;
    }
    let news = updating(answer);
    let mut merged = stored.headers.to_map();
    if stored.etag_is_ours {
        merged.remove(header::ETAG);
    }
    for name in news.keys() {
        merged.remove(name);
    }
    merged.extend(news.iter().map(|(name, value)| (name.clone(), value.clone())));
    if conditional::date(answer, &header::DATE).is_none()
        && let Ok(date) = HeaderValue::from_str(&httpdate::fmt_http_date(now))
    {
        merged.insert(header::DATE, date);
    }
    Some(merged)
}

/// The fields of an answer that speak of the response as a whole, not of a connection or of content.
pub(crate) fn updating(answer: &HeaderMap) -> HeaderMap {
    const OF_THE_CONTENT: [HeaderName; 5] = [
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        HeaderName::from_static("content-md5"),
        HeaderName::from_static("content-digest"),
    ];
    let mut news = answer.clone();
    hop_by_hop::strip(&mut news);
    for name in OF_THE_CONTENT {
        news.remove(name);
    }
    news
}

/// Whether the answer to a HEAD request is about the stored response to a GET (§4.3.5): it has a
/// validator, and what it says of validators and length holds of the stored one.
pub(crate) fn confirms(stored: &StoredHead, length: usize, answer: &HeaderMap) -> bool {
    let same = |name: &HeaderName| {
        let ours = stored.etag_is_ours && *name == header::ETAG;
        !ours && stored.headers.get_all(name).eq(answer.get_all(name))
    };
    let mut validators =
        [header::ETAG, header::LAST_MODIFIED].into_iter().filter(|name| answer.contains_key(name));
    let has_validator =
        answer.contains_key(header::ETAG) || answer.contains_key(header::LAST_MODIFIED);
    let has_length = !answer.contains_key(header::CONTENT_LENGTH)
        || Said::of(answer).length() == Stated::Length(length as u64);
    stored.status == StatusCode::OK
        && has_validator
        && has_length
        && validators.all(|name| same(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Life;
    use crate::key::vary::Presented;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn stored(lines: &[(&'static str, &'static str)]) -> StoredHead {
        let life = Life::new(SystemTime::UNIX_EPOCH, std::time::Duration::ZERO);
        StoredHead::new(StatusCode::OK, map(lines), life, Presented::default())
    }

    fn update(stored: &StoredHead, answer: &[(&'static str, &'static str)]) -> Option<HeaderMap> {
        merged(stored, &map(answer), SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn new_fields_replace_all_lines_and_others_stay() {
        let old = stored(&[("etag", "\"a\""), ("x", "1"), ("x", "2"), ("y", "3")]);
        let headers = update(&old, &[("x", "4"), ("x", "5"), ("z", "6")]).unwrap();
        assert_eq!(headers.get_all("x").iter().collect::<Vec<_>>(), ["4", "5"]);
        assert_eq!(
            (&headers["y"], &headers["z"], &headers["etag"]),
            (
                &HeaderValue::from_static("3"),
                &HeaderValue::from_static("6"),
                &HeaderValue::from_static("\"a\""),
            )
        );
    }

    #[test]
    fn the_content_and_the_connection_keep_their_fields() {
        let old = stored(&[("content-length", "5"), ("content-encoding", "gzip"), ("own", "1")]);
        let headers = update(
            &old,
            &[
                ("content-length", "0"),
                ("content-encoding", "br"),
                ("content-range", "bytes 0-1/2"),
                ("connection", "own"),
                ("own", "2"),
                ("keep-alive", "5"),
            ],
        )
        .unwrap();
        let names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-length", "content-encoding", "own", "date"]);
        assert_eq!(
            (&headers["content-length"], &headers["own"]),
            (&HeaderValue::from_static("5"), &HeaderValue::from_static("1"),)
        );
    }

    #[test]
    fn a_304_of_another_response_changes_nothing() {
        let old = stored(&[("etag", "\"a\"")]);
        assert!(update(&old, &[("etag", "\"b\"")]).is_none());
        assert!(update(&old, &[("etag", "W/\"a\"")]).is_some());
    }

    #[test]
    fn a_head_answer_speaks_of_the_stored_response_if_all_it_says_holds() {
        let old = stored(&[("etag", "\"a\""), ("last-modified", "x")]);
        let confirms = |answer: &[(&'static str, &'static str)]| confirms(&old, 5, &map(answer));
        assert!(confirms(&[("etag", "\"a\"")]));
        assert!(confirms(&[("last-modified", "x"), ("content-length", "5")]));
        assert!(!confirms(&[("etag", "\"a\""), ("content-length", "6")]));
        assert!(!confirms(&[("etag", "\"a\""), ("last-modified", "y")]));
        assert!(!confirms(&[("etag", "W/\"a\"")]));
        assert!(!confirms(&[("content-length", "5")]));
        assert!(!confirms(&[]));
    }

    #[test]
    fn a_tag_of_ours_is_not_the_handlers() {
        let mut old = stored(&[("etag", "\"hash\""), ("last-modified", "x")]);
        old.etag_is_ours = true;
        assert!(!update(&old, &[]).unwrap().contains_key("etag"));
        assert_eq!(update(&old, &[("etag", "\"b\"")]).unwrap()["etag"], "\"b\"");
    }
}
