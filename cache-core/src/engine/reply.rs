//! Answers made of stored responses.

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};

use super::partial;
use super::status::{self, Seconds, Story};
use crate::body::ReplyBody;
use crate::entry::{Entry, StoredHead};
use crate::field::conditional;
use crate::head::RequestHead;
use crate::policy::Rules;
use crate::policy::freshness::Freshness;
use crate::reason::{Forwarded, Reason};

/// Why a stored response is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Fresh,
    Revalidating,
    OnError,
    Collapsed,
    /// The handler said that it still holds; whether it is stored again.
    Validated {
        fwd: Forwarded,
        stored: Result<(), Reason>,
    },
}

/// The answer to this request: 304 if the client has it, no content for HEAD, the parts that are
/// asked for, else a shared slice of the body. The entry is not touched.
pub(crate) fn reply(
    rules: &Rules,
    name: &str,
    request: &RequestHead<'_>,
    entry: &Entry,
    stored: &StoredHead,
    state: &Freshness,
    how: How,
) -> Response<ReplyBody> {
    let method = request.method();
    let mut response = Response::new(ReplyBody::Absent);
    let mut headers = stored.headers.clone();
    if conditional::not_modified(method, request.headers(), stored.status, &stored.headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        conditional::reduce_to_not_modified(&mut headers);
    } else {
        *response.status_mut() = stored.status;
        if method == Method::HEAD {
            announce_length(&mut headers, entry.body().len());
        } else if let Some(part) = partial::part(request, stored, entry.body(), &mut headers) {
            response = part;
        } else {
            *response.body_mut() = ReplyBody::Whole(entry.body().clone());
        }
    }
    if rules.age {
        headers.insert(header::AGE, HeaderValue::from(state.age.as_secs()));
    }
    let ttl = Seconds::from(state);
    let story = match how {
        How::Fresh => Story::Hit { ttl, why_stale: None },
        How::Revalidating => Story::Hit { ttl, why_stale: Some("stale-while-revalidate") },
        How::OnError => Story::Hit { ttl, why_stale: Some("stale-if-error") },
        How::Collapsed => Story::Collapsed { ttl },
        How::Validated { fwd, stored } => {
            let status = StatusCode::NOT_MODIFIED;
            match stored {
                Ok(()) => Story::Stored { fwd, status, ttl },
                Err(reason) => Story::NotStored { fwd, status, reason },
            }
        }
    };
    status::tell(rules, name, Some(entry.key()), story, &mut headers);
    *response.headers_mut() = headers;
    response
}

/// A HEAD answer says how long the content would be, unless nobody knows (the entry of a HEAD
/// request has no body, and says what the handler said).
fn announce_length(headers: &mut http::HeaderMap, length: usize) {
    if length > 0 && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
