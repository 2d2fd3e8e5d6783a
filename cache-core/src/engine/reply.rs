//! Answers made of stored responses.

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};

use super::cache::Inner;
use super::partial;
use super::status::{self, Seconds, Story};
use crate::body::ReplyBody;
use crate::entry::{Entry, Laid, Standing, StoredHead, Varying, laid};
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
    /// A table that is laid out.
    Ready { status: StatusCode, laid: Arc<Laid>, body: ReplyBody },
    /// Boxed, as it is rare and large.
    Response(Box<Response<ReplyBody>>),
}

/// By which an adapter finds again what it has made of the fields of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadyFields {
    /// No other fields of this process have this number. For [`threads::place`](crate::threads::place)
    /// it is as good as counted: answers of one kind take the places in turn.
    pub number: u64,
    /// What those lines say that are others in other answers: with the same number and the same of
    /// this, all lines are the same. `None` where only the lines themselves tell.
    pub says: Option<Says>,
}

/// What the lines of an answer say that are others in other answers; to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Says(Standing);

impl Reply {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Made::Ready { status, .. } => *status,
            Made::Response(response) => response.status(),
        }
    }

    /// The fields, in order; several lines of one name follow each other.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        match &self.0 {
            Made::Ready { status, laid, .. } => laid.table(is_not_modified(*status)).iter(),
            Made::Response(response) => response.headers().iter(),
        }
    }

    /// Which fields these are, where answers with the same ones are to be expected; `None` where they
    /// were put together for one request.
    #[must_use]
    pub fn ready_fields(&self) -> Option<ReadyFields> {
        match &self.0 {
            Made::Ready { status, laid, .. } => {
                let number = laid.number(is_not_modified(*status))?;
                Some(ReadyFields { number, says: laid.says().map(Says) })
            }
            Made::Response(_) => None,
        }
    }

    /// Of fields that lie ready: the values of the first lines, as many as there are, which are
    /// others in other answers.
    #[must_use]
    pub fn varying_fields(&self) -> [Option<&HeaderValue>; 2] {
        match &self.0 {
            Made::Ready { status, laid, .. } => laid.varying(is_not_modified(*status)),
            Made::Response(_) => [None, None],
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

    /// The body alone.
    #[must_use]
    #[inline(always)]
    pub fn into_body(self) -> ReplyBody {
        match self.0 {
            Made::Ready { body, .. } => body,
            Made::Response(response) => response.into_body(),
        }
    }

    /// The whole of it, with the framework's own kind of body.
    #[must_use]
    pub fn into_response<B>(self, body_as: impl FnOnce(ReplyBody) -> B) -> Response<B> {
        let (status, laid, body) = match self.0 {
            Made::Ready { status, laid, body } => (status, laid, body),
            Made::Response(response) => return (*response).map(body_as),
        };
        let mut response = Response::new(body_as(body));
        *response.status_mut() = status;
        let table = Laid::into_table(laid, is_not_modified(status));
        // Empty, without memory of its own: there is nothing to be dropped.
        std::mem::forget(std::mem::replace(response.headers_mut(), table));
        response
    }
}

impl From<Response<ReplyBody>> for Reply {
    fn from(response: Response<ReplyBody>) -> Self {
        Self(Made::Response(Box::new(response)))
    }
}

/// A stored response never has this status itself.
fn is_not_modified(status: StatusCode) -> bool {
    status == StatusCode::NOT_MODIFIED
}

/// The answer to this request where it lies ready: the whole of a response, or the head that tells
/// the client that it has it. Otherwise the entry comes back.
#[inline]
pub(crate) fn at_once(
    rules: &Rules,
    cache: &Inner,
    request: &RequestHead<'_>,
    entry: Entry,
    state: &Freshness,
    how: How,
) -> Result<Reply, Entry> {
    let story = how.story(Seconds::from(state));
    if !matches!(story, Story::Hit { .. } | Story::Collapsed { .. }) {
        return Err(entry);
    }
    let said = status::said(rules, state, story);
    let values = || status::varying_of_hit(rules, cache, &entry, state, story);
    lies_ready(rules, request, &entry, said, values).map(Reply).ok_or(entry)
}

/// The answer, if its head needs nothing but the values of the cache's own fields.
#[inline]
fn lies_ready(
    rules: &Rules,
    request: &RequestHead<'_>,
    entry: &Entry,
    said: Option<Standing>,
    values: impl Fn() -> Varying,
) -> Option<Made> {
    if !rules.leaves_downstream() || request.has(Noted::Range) {
        return None;
    }
    let stored = entry.response()?;
    let laid = laid(&stored.headers, &rules.own_fields, entry.body().len(), said, values)?;
    let conditional = request.has(Noted::Validator);
    if conditional && has_it(request, stored.status, laid.whole(), laid.etag()) {
        laid.not_modified(conditional::stays_when_not_modified);
        let (status, body) = (StatusCode::NOT_MODIFIED, ReplyBody::Absent);
        return Some(Made::Ready { status, laid, body });
    }
    // The table says how long the body is, to HEAD as well.
    let body = match *request.method() {
        Method::HEAD => ReplyBody::Absent,
        _ => ReplyBody::Whole(entry.body().clone()),
    };
    Some(Made::Ready { status: stored.status, laid, body })
}

/// Whether the client, which has asked by a condition, has the response with this head.
#[inline(never)]
fn has_it(
    request: &RequestHead<'_>,
    status: StatusCode,
    table: &HeaderMap,
    etag: &conditional::Tag,
) -> bool {
    let method = request.method();
    let sent_back = |line| conditional::sent_back(method, line, status, etag);
    request.none_match().is_some_and(sent_back)
        || conditional::not_modified(method, request.headers(), status, table)
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
    let known = request.has(Noted::Validator) && {
        let table = stored.headers.to_map();
        has_it(request, stored.status, &table, &conditional::Tag::of(&table))
    };
    let mut response = Response::new(ReplyBody::Absent);
    *response.headers_mut() = fields(rules, cache, entry, stored, state, how, known);
    let story = how.story(state.into());
    status::downstream(rules, story, request.is_guarded(), response.headers_mut());
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
            headers.insert(header::AGE, HeaderValue::from(state.age_in_seconds()));
        }
        status::tell(rules, cache, Some(&entry.key()), story, &mut headers);
        return headers;
    }
    let own = status::of_hit(rules, cache, entry, state, story).into_iter().flatten();
    let names = &rules.own_fields;
    if not_modified {
        let stays = conditional::stays_when_not_modified;
        stored.headers.answer_not_modified(stays, names, own, status::adds)
    } else {
        stored.headers.answer(names, own, status::adds)
    }
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
