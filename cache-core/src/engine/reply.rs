//! Answers made of stored responses.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
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

/// An answer from the store: status, fields, body.
///
/// Its fields need not be in a table yet. An adapter whose framework has tables of another kind
/// reads them by [`fields`](Self::fields), and pays for one table only.
#[derive(Debug)]
pub struct Reply(Made);

#[derive(Debug)]
enum Made {
    /// What lies ready in the entry, and the values to write over its first fields.
    Ready {
        entry: Entry,
        not_modified: bool,
        own: [Option<HeaderValue>; 2],
        body: ReplyBody,
    },
    Response(Response<ReplyBody>),
}

/// By which an adapter finds again what it has made of the fields of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadyFields {
    /// No other fields of this process have this number.
    pub number: u64,
    /// How many of the lines, the first ones, have other values in other answers.
    pub own: usize,
}

impl Reply {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Made::Ready { not_modified: true, .. } => StatusCode::NOT_MODIFIED,
            Made::Ready { entry, .. } => {
                entry.response().map_or(StatusCode::OK, |stored| stored.status)
            }
            Made::Response(response) => response.status(),
        }
    }

    /// The fields, in order; several lines of one name follow each other.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let (table, own) = match &self.0 {
            Made::Ready { entry, not_modified, own, .. } => {
                (ready(entry, *not_modified), Some(own))
            }
            Made::Response(response) => (Some(response.headers()), None),
        };
        let own = own.into_iter().flatten().flatten();
        let values = own.map(Some).chain(std::iter::repeat(None));
        let stored = table.into_iter().flatten();
        stored.zip(values).map(|((name, value), own)| (name, own.unwrap_or(value)))
    }

    /// Which fields these are, where they lie ready in the store; `None` where they were put
    /// together for one request.
    #[must_use]
    pub fn ready_fields(&self) -> Option<ReadyFields> {
        match &self.0 {
            Made::Ready { entry, not_modified, own, .. } => {
                let number = entry.response()?.headers.number(*not_modified)?;
                Some(ReadyFields { number, own: own.iter().flatten().count() })
            }
            Made::Response(_) => None,
        }
    }

    /// The body; a clone of it shares its bytes.
    #[must_use]
    pub fn body(&self) -> &ReplyBody {
        match &self.0 {
            Made::Ready { body, .. } => body,
            Made::Response(response) => response.body(),
        }
    }

    /// The whole of it, with the framework's own kind of body.
    #[must_use]
    pub fn into_response<B>(self, body_as: impl FnOnce(ReplyBody) -> B) -> Response<B> {
        let status = self.status();
        let (entry, not_modified, own, body) = match self.0 {
            Made::Ready { entry, not_modified, own, body } => (entry, not_modified, own, body),
            Made::Response(response) => return response.map(body_as),
        };
        let mut response = Response::new(body_as(body));
        *response.status_mut() = status;
        if let Some(table) = ready(&entry, not_modified) {
            *response.headers_mut() = filled(table, own);
        }
        response
    }
}

impl From<Response<ReplyBody>> for Reply {
    fn from(response: Response<ReplyBody>) -> Self {
        Self(Made::Response(response))
    }
}

fn ready(entry: &Entry, not_modified: bool) -> Option<&HeaderMap> {
    Some(entry.response()?.headers.made_ready(not_modified))
}

/// A copy of a table with these values in its first fields.
fn filled(table: &HeaderMap, [one, other]: [Option<HeaderValue>; 2]) -> HeaderMap {
    let mut map = table.clone();
    let mut places = map.values_mut();
    if let Some(value) = one
        && let Some(place) = places.next()
    {
        *place = value;
    }
    if let Some(value) = other
        && let Some(place) = places.next()
    {
        *place = value;
    }
    map
}

/// The answer to this request where it lies ready: the whole of a fresh response, or the head that
/// tells the client that it has it. Otherwise the entry comes back.
pub(crate) fn at_once(
    rules: &Rules,
    cache: &Inner,
    request: &RequestHead<'_>,
    entry: Entry,
    state: &Freshness,
) -> Result<Reply, Entry> {
    let Some((not_modified, body)) = lies_ready(rules, request, &entry) else { return Err(entry) };
    let story = How::Fresh.story(Seconds::from(state));
    let own = status::varying_of_hit(rules, cache, entry.key(), state, story);
    Ok(Reply(Made::Ready { entry, not_modified, own, body }))
}

/// Whether the answer is a 304, and its body, if its head lies ready.
fn lies_ready(
    rules: &Rules,
    request: &RequestHead<'_>,
    entry: &Entry,
) -> Option<(bool, ReplyBody)> {
    if !rules.leaves_downstream() || request.has(Noted::Range) {
        return None;
    }
    let stored = entry.response()?;
    let (method, names) = (request.method(), &rules.own_fields);
    let table = stored.headers.ready(names)?;
    let not_modified = has_it(request, stored.status, table);
    let body = if not_modified {
        stored.headers.ready_not_modified(conditional::stays_when_not_modified, names)?;
        ReplyBody::Absent
    } else if *method == Method::HEAD {
        if lacks_length(table, entry.body().len()) {
            return None;
        }
        ReplyBody::Absent
    } else {
        ReplyBody::Whole(entry.body().clone())
    };
    Some((not_modified, body))
}

/// Whether the client has the response with this head.
fn has_it(request: &RequestHead<'_>, status: StatusCode, table: &HeaderMap) -> bool {
    let method = request.method();
    let sent_back = |line| conditional::sent_back(method, line, status, table);
    request.has(Noted::Validator)
        && (request.none_match().is_some_and(sent_back)
            || conditional::not_modified(method, request.headers(), status, table))
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
    let known = has_it(request, stored.status, table);
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
        status::tell(rules, cache, Some(entry.key()), story, &mut headers);
        return headers;
    }
    let own = status::of_hit(rules, cache, entry.key(), state, story).into_iter().flatten();
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
    if lacks_length(headers, length) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn lacks_length(headers: &HeaderMap, length: usize) -> bool {
    length > 0 && !headers.contains_key(header::CONTENT_LENGTH)
}
