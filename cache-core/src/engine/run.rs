//! Running the handler, and what becomes of its answer.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::fill::{Recorded, Recording, give_up, joined};
use super::flight::Lead;
use super::reply::How;
use super::route::{Kept, Route, Shared};
use super::seek::Miss;
use super::serve::{Changes, Origin};
use super::spawn::{Lifeline, Spawn};
use super::status::{self, Seconds, Story};
use super::tee::{Begun, Drain, Frames, ServedBody};
use crate::body::{Body, Frame, ReplyBody};
use crate::entry::{Entry, Life, StoredHead};
use crate::field::conditional;
use crate::head::RequestHead;
use crate::policy::freshness::freshness;
use crate::policy::plan::{self, Planned, Validators};
use crate::policy::storable::{self, Times, storable};
use crate::policy::{AnyError, Boxed, Lifetime, ResponseHead};
use crate::reason::{Forwarded, Reason};
use crate::store::Ticket;
use crate::tag::Tag;
use crate::wishes::Wishes;

type Answer<O, S> = Result<Response<ServedBody<<O as Origin>::Body, S>>, <O as Origin>::Error>;

/// What a run of the handler is for. Boxed, as a [`Recording`] is: what is passed through futures by
/// value lies in each of them, and all of them move when the outermost is boxed.
#[derive(Debug)]
pub(crate) struct Fill {
    pub(crate) planned: Planned,
    /// Why the request was not answered from the store.
    pub(crate) reason: Reason,
    /// The right to store the response, or why there is none.
    pub(crate) ticket: Result<Ticket, Reason>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) lead: Option<Lead>,
    pub(crate) miss: Miss,
    /// Nobody waits for the answer.
    pub(crate) background: bool,
}

/// A run of the handler, beside its response.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) kept: Box<Kept>,
    pub(crate) wishes: Wishes,
    pub(crate) lifetime: Result<Option<Lifetime>, Reason>,
    pub(crate) times: Times,
}

impl Fill {
    /// The stored response that the handler is asked about, and what to ask. Only what can be
    /// stored again is asked about.
    fn to_validate(&self) -> (Option<Entry>, Validators) {
        let stored = self.miss.stored.as_ref().filter(|_| self.ticket.is_ok());
        let validators = stored.and_then(Entry::response).map(Validators::of);
        (stored.cloned(), validators.unwrap_or_default())
    }
}

impl Route {
    /// Runs the handler, and stores what it says.
    pub(crate) async fn fill<O, S>(
        &self,
        mut fill: Box<Fill>,
        origin: O,
        spawn: S,
        life: &Lifeline,
    ) -> Answer<O, S>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        let Shared { cache, rules, .. } = &*self.shared;
        let kept = Kept::of(&origin.head(), rules.code.store_if.is_some());
        let lifetime = match &fill.ticket {
            Ok(_) => self.lifetime(&origin.head()).await,
            Err(_) => Ok(None),
        };
        let wishes = Wishes::default();
        let (validated, validators) = fill.to_validate();
        let conditional = !validators.is_empty();
        let may_store = fill.ticket.is_ok();
        let changes = Changes {
            fields: plan::changed_fields(rules, &kept.headers, may_store, validators),
            wishes: Some(wishes.clone()),
        };
        let asked = cache.clock.now();
        if fill.ticket.is_ok() {
            life.hold();
        }
        let ran = match &fill.miss.fallback {
            None => origin.run(changes).await,
            Some(stale) => match AssertUnwindSafe(origin.run(changes)).catch_unwind().await {
                Ok(Ok(response)) if !is_failure(response.status()) => Ok(response),
                Ok(Err(error)) => Err(error),
                Ok(Ok(_)) | Err(_) => return Ok(self.stale_answer(&kept, stale)),
            },
        };
        let mut response = ran?;
        if !fill.background {
            cache.counters.misses.one();
            cache.counters.reason(fill.reason);
        }
        let times = Times { asked, answered: cache.clock.now() };
        if let Some(stored) = validated
            && conditional
            && response.status() == StatusCode::NOT_MODIFIED
        {
            let run = Run { kept, wishes, lifetime, times };
            // What is rare lies in a box of its own: the future of every fill would hold it.
            let reply = Box::pin(self.freshen(fill, run, &stored, response.headers())).await;
            life.release();
            return Ok(reply.map(ServedBody::reply));
        }
        let run = Run { kept, wishes, lifetime, times };
        if response.status() == StatusCode::OK
            && let Some(get) = fill.miss.stored_get.take()
        {
            announce(&mut response);
            let confirmed = Box::pin(self.by_head(&mut fill, &run, &get, response.headers()));
            if let Some(stored) = confirmed.await {
                life.release();
                return Ok(self.told(response.map(ServedBody::origin), &fill, stored));
            }
        }
        let head = ResponseHead::new(response.status(), response.headers());
        let size = response.body().size().lower;
        let decided = self.decide(&mut fill, &run, &head, size);
        let Run { kept, wishes, .. } = run;
        match decided {
            Err(reason) => {
                life.release();
                self.give_up(&mut fill, reason);
                let mut response = self.told(response.map(ServedBody::origin), &fill, Err(reason));
                answer_condition(&kept, &mut response);
                Ok(response)
            }
            Ok((storable, ticket)) => {
                fill.tags.extend_from_slice(&storable.groups);
                let recording = Box::new(Recording {
                    route: self.clone(),
                    headers: self.stored_headers(response.headers(), &wishes, &storable),
                    kept,
                    planned: fill.planned.clone(),
                    ticket,
                    lead: fill.lead.take(),
                    record: fill.miss.record.take(),
                    storable,
                    status: response.status(),
                    tags: std::mem::take(&mut fill.tags),
                    wishes,
                    announced: response.body().size().known(),
                    body: Recorded::Copied(Vec::new(), cache.recording.open()),
                });
                Ok(self.record(recording, response, &fill, spawn, life).await)
            }
        }
    }

    /// A response that is not stored says something of its key, unless it is the request's doing.
    pub(crate) fn give_up(&self, fill: &mut Fill, reason: Reason) {
        let cache = &self.shared.cache;
        // A part may be refused for its status as well.
        if reason == Reason::Range || matches!(fill.ticket, Err(Reason::Range)) {
            cache.counters.not_stored.one();
            cache.counters.reason(reason);
        } else {
            give_up(cache, &fill.miss.key, fill.lead.take(), reason);
        }
    }

    /// What the TTL function says; the route's own life where there is none.
    pub(crate) async fn lifetime(
        &self,
        head: &RequestHead<'_>,
    ) -> Result<Option<Lifetime>, Reason> {
        let rules = &self.shared.rules;
        let Some(function) = &rules.code.ttl else { return Ok(None) };
        let asked = std::panic::catch_unwind(AssertUnwindSafe(|| function(head)));
        let asked = asked.map_err(|_| Reason::TtlFailed)?;
        let ttl = self.bounded("TTL", asked).await.ok_or(Reason::TtlFailed)?;
        Lifetime::resolve(&ttl, rules.time_zone.as_deref()).map(Some).map_err(|error| {
            tracing::warn!(%error, "the TTL function failed");
            Reason::TtlFailed
        })
    }

    /// What a function of the application says within the time that a store has; its failure, its
    /// panic and its silence are alike.
    pub(crate) async fn bounded<T>(
        &self,
        what: &str,
        asked: Boxed<Result<T, AnyError>>,
    ) -> Option<T> {
        let limit = self.shared.cache.store_timeout;
        match tokio::time::timeout(limit, AssertUnwindSafe(asked).catch_unwind()).await {
            Ok(Ok(Ok(answer))) => return Some(answer),
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the {what} function failed"),
            Ok(Err(_)) => tracing::warn!("the {what} function panicked"),
            Err(_) => tracing::warn!("the {what} function took too long"),
        }
        None
    }

    /// `size` is what the body has at least.
    pub(crate) fn decide(
        &self,
        fill: &mut Fill,
        run: &Run,
        head: &ResponseHead<'_>,
        size: u64,
    ) -> Result<(storable::Storable, Ticket), Reason> {
        let rules = &self.shared.rules;
        let list = run.wishes.take();
        let lifetime = match (&run.lifetime, list.ttl) {
            (Ok(lifetime), _) => lifetime.as_ref(),
            // The handler's own word goes before the function's.
            (Err(_), Some(_)) => None,
            (Err(reason), None) => return Err(*reason),
        };
        let storable = storable(rules, &run.kept.head(), head, &list, lifetime, run.times)?;
        let announced = storable::content_length(head.headers()).unwrap_or_default();
        if size.max(announced) > rules.max_body as u64 {
            return Err(Reason::TooLarge);
        }
        let ticket = std::mem::replace(&mut fill.ticket, Err(Reason::Absent))?;
        Ok((storable, ticket))
    }

    pub(crate) fn stored_headers(
        &self,
        response: &HeaderMap,
        wishes: &Wishes,
        storable: &storable::Storable,
    ) -> HeaderMap {
        let rules = &self.shared.rules;
        let mut headers = storable::stored_headers(rules, response, &wishes.take(), storable);
        storable::merge_vary(rules, &mut headers);
        headers
    }

    /// Sends the response on while its body is recorded. A body that is complete in memory is
    /// stored first, so that this very answer has its entity tag and can be a 304.
    async fn record<B, S>(
        &self,
        recording: Box<Recording>,
        mut response: Response<B>,
        fill: &Fill,
        spawn: S,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        if recording.kept.method == Method::HEAD {
            return self.record_head(recording, response, fill, life).await;
        }
        let limit = self.shared.rules.max_body as u64;
        let gathered = match recording.announced {
            Some(size) if size <= limit => gather(response.body_mut(), size).await,
            _ => Gathered::Streaming(Begun::default()),
        };
        match gathered {
            Gathered::Whole(chunks) => {
                self.record_whole(recording, chunks, response, fill, life).await
            }
            Gathered::Streaming(begun) => {
                if let Some(lead) = &recording.lead {
                    lead.streams();
                }
                let told = self.told(response, fill, Ok(remaining(&recording.storable)));
                let life = life.clone();
                told.map(|body| ServedBody::tee(recording, begun, body, life, spawn))
            }
        }
    }

    /// A HEAD response has no content to wait for.
    async fn record_head<B, S>(
        &self,
        mut recording: Box<Recording>,
        mut response: Response<B>,
        fill: &Fill,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        announce(&mut response);
        let ttl = remaining(&recording.storable);
        recording.headers =
            self.stored_headers(response.headers(), &recording.wishes, &recording.storable);
        let stored = store(recording).await;
        life.release();
        self.told(response, fill, stored.map(|_| ttl)).map(ServedBody::origin)
    }

    async fn record_whole<B, S>(
        &self,
        mut recording: Box<Recording>,
        chunks: Vec<Bytes>,
        mut response: Response<B>,
        fill: &Fill,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        let asked = recording.kept.validates.then(|| recording.kept.clone());
        let ttl = remaining(&recording.storable);
        let body = joined(chunks);
        recording.body = Recorded::Whole(apart(&body));
        let stored = store(recording).await;
        life.release();
        let etag =
            stored.as_ref().ok().and_then(|entry| entry.response()?.headers.get(&header::ETAG));
        if let Some(etag) = etag {
            response.headers_mut().insert(header::ETAG, etag);
        }
        let told = self.told(response, fill, stored.map(|_| ttl));
        let mut response = told.map(|_| ServedBody::whole(body));
        if let Some(request) = asked {
            answer_condition(&request, &mut response);
        }
        response
    }

    /// The handler's failure, replaced by what is stored.
    fn stale_answer<B: Body, S: Spawn<Drain<B>>>(
        &self,
        kept: &Kept,
        stale: &Entry,
    ) -> Response<ServedBody<B, S>> {
        let cache = &self.shared.cache;
        cache.counters.stale_hits.one();
        let now = cache.clock.now();
        let stored = stale.response().map(StoredHead::life);
        let life = stored.unwrap_or_else(|| Life::new(now, Duration::ZERO));
        let state = freshness(&life, now);
        self.reply(&kept.head(), stale, &state, How::OnError).map(ServedBody::reply)
    }

    /// Says in the response what became of it.
    fn told<B>(
        &self,
        mut response: Response<B>,
        fill: &Fill,
        stored: Result<Seconds, Reason>,
    ) -> Response<B> {
        let Shared { cache, rules, .. } = &*self.shared;
        let fwd = Forwarded::from(fill.reason);
        let status = response.status();
        let story = match stored {
            Ok(ttl) => Story::Stored { fwd, status, ttl },
            // Decided to be stored, then overtaken.
            Err(reason) => Story::NotStored { fwd, status, reason },
        };
        match stored {
            Ok(_) => tracing::debug!(key = %fill.miss.key, reason = %fill.reason, "stored"),
            Err(why) => {
                tracing::debug!(key = %fill.miss.key, reason = %fill.reason, %why, "not stored");
            }
        }
        storable::merge_vary(rules, response.headers_mut());
        status::tell(rules, cache, Some(&fill.miss.key), story, response.headers_mut());
        response
    }
}

/// What a body of known length turned out to be.
enum Gathered<E> {
    /// All of it was there.
    Whole(Vec<Bytes>),
    /// It must be waited for, or is not what it said.
    Streaming(Begun<E>),
}

/// Takes what a body of `size` bytes gives without waiting. One that goes on beyond its size may do
/// so for ever; one that ends before it must end so for the client too, who is to notice.
async fn gather<B: Body>(body: &mut B, size: u64) -> Gathered<B::Error> {
    let mut frames: Frames<B::Error> = VecDeque::new();
    let mut left = Some(size);
    let over = std::future::poll_fn(|cx| {
        use std::task::Poll;
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => {
                    left = match &frame {
                        Ok(Frame::Data(chunk)) => {
                            left.and_then(|left| left.checked_sub(chunk.len() as u64))
                        }
                        _ => None,
                    };
                    frames.push_back(frame);
                    if left.is_none() || frames.len() == MAX_GATHERED {
                        return Poll::Ready(false);
                    }
                }
                Poll::Ready(None) => return Poll::Ready(true),
                Poll::Pending => return Poll::Ready(false),
            }
        }
    })
    .await;
    if !over || left != Some(0) {
        return Gathered::Streaming(Begun { frames, over });
    }
    let chunk = |frame| match frame {
        Ok(Frame::Data(chunk)) => Some(chunk),
        _ => None,
    };
    Gathered::Whole(frames.into_iter().filter_map(chunk).collect())
}

/// How many pieces of a body are taken at once.
const MAX_GATHERED: usize = 1 << 16;

/// A body to be stored. It may be a slice, and would keep the buffer that it was cut from, which no
/// store counts; unless it is large, it is copied.
fn apart(body: &Bytes) -> Bytes {
    const LARGE: usize = 64 << 10;
    if body.len() < LARGE { Bytes::copy_from_slice(body) } else { body.clone() }
}

fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}

/// A HEAD answer whose framework has not yet removed the content says how long it is.
fn announce<B: Body>(response: &mut Response<B>) {
    let length = response.body().size().known().filter(|length| *length > 0);
    if let Some(length) = length
        && !response.headers().contains_key(header::CONTENT_LENGTH)
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Puts a recording that is complete.
async fn store(recording: Box<Recording>) -> Result<Entry, Reason> {
    let sealed = recording.seal()?;
    let entry = sealed.entry.clone();
    sealed.put().await.map(|()| entry)
}

fn remaining(storable: &storable::Storable) -> Seconds {
    Seconds::from(&freshness(&storable.life, storable.life.stored_at))
}

/// The answer of a miss can be a 304 too (RFC 9110 §13.2.1).
fn answer_condition<B: Body, S: Spawn<Drain<B>>>(
    request: &Kept,
    response: &mut Response<ServedBody<B, S>>,
) {
    let (status, headers) = (response.status(), response.headers());
    if conditional::not_modified(&request.method, &request.headers, status, headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        conditional::reduce_to_not_modified(response.headers_mut());
        *response.body_mut() = ServedBody::reply(ReplyBody::Absent);
    }
}
