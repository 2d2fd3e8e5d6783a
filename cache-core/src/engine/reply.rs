//! Answers made of stored responses.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::cache::Inner;
use super::partial;
use super::status::{self, Seconds, Story};
use crate::body::ReplyBody;
use crate::entry::{Entry, StoredHead};
use crate::field::conditional;
use crate::field::notes::Noted;
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
    cache: &Inner,
    request: &RequestHead<'_>,
    entry: &Entry,
    stored: &StoredHead,
    state: &Freshness,
    how: How,
) -> Response<ReplyBody> {
    let method = request.method();
    let table = stored.headers.table();
    let known = request.has(Noted::Validator)
        && conditional::not_modified(method, request.headers(), stored.status, table);
    let mut response = Response::new(ReplyBody::Absent);
    *response.headers_mut() = fields(rules, cache, entry, stored, state, how, known);
    *response.status_mut() = if known { StatusCode::NOT_MODIFIED } else { stored.status };
    if known {
        return response;
    }
    if method == Method::HEAD {
        announce_length(response.headers_mut(), entry.body().len());
    } else if let Some((status, body)) =
        partial::part(request, stored, entry.body(), response.headers_mut())
    {
        *response.status_mut() = status;
        *response.body_mut() = body;
    } else {
        *response.body_mut() = ReplyBody::Whole(entry.body().clone());
    }
    response
}

/// The stored fields, and what the cache itself says; for a 304 if the client has the response.
fn fields(
    rules: &Rules,
    cache: &Inner,
    entry: &Entry,
    stored: &StoredHead,
    state: &Freshness,
    how: How,
    not_modified: bool,
) -> HeaderMap {
    let story = how.story(Seconds::from(state));
    if !matches!(story, Story::Hit { .. } | Story::Collapsed { .. }) {
        let mut headers = stored.headers.to_map();
        if not_modified {
            conditional::reduce_to_not_modified(&mut headers);
        }
        if rules.age {
            headers.insert(header::AGE, HeaderValue::from(state.age.as_secs()));
        }
        status::tell(rules, &cache.name, Some(entry.key()), story, &mut headers);
        return headers;
    }
    let own = status::of_hit(rules, cache, entry.key(), state, story);
    let names = &rules.own_fields;
    let mut headers = if not_modified {
        let stays = conditional::stays_when_not_modified;
        stored.headers.answer_not_modified(stays, names, own, status::adds)
    } else {
        stored.headers.answer(names, own, status::adds)
    };
    status::downstream(rules, story, &mut headers);
    headers
}

impl How {
    const fn story(self, ttl: Seconds) -> Story {
        match self {
            Self::Fresh => Story::Hit { ttl, why_stale: None },
            Self::Revalidating => Story::Hit { ttl, why_stale: Some("stale-while-revalidate") },
            Self::OnError => Story::Hit { ttl, why_stale: Some("stale-if-error") },
            Self::Collapsed => Story::Collapsed { ttl },
            Self::Validated { fwd, stored } => {
                let status = StatusCode::NOT_MODIFIED;
                match stored {
                    Ok(()) => Story::Stored { fwd, status, ttl },
                    Err(reason) => Story::NotStored { fwd, status, reason },
                }
            }
        }
    }
}

/// A HEAD answer says how long the content would be, unless nobody knows (the entry of a HEAD
/// request has no body, and says what the handler said).
fn announce_length(headers: &mut HeaderMap, length: usize) {
    if length > 0 && !headers.contains_key(header::CONTENT_LENGTH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}
