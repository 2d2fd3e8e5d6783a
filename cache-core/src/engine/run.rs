//! Running the handler, and what becomes of its answer.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::fill::{Putting, Recorded, Recording, give_up, room_for_late_fields};
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
use crate::key::Key;
use crate::policy::freshness::freshness;
use crate::policy::plan::{self, Planned, Validators};
use crate::policy::storable::{self, Stated, Storable, StoredForm, Times, storable};
use crate::policy::{AnyError, Boxed, Lifetime, ResponseHead};
use crate::reason::{Forwarded, Reason};
use crate::store::Ticket;
use crate::tag::Tag;
use crate::wishes::Wishes;

type Answer<O, S> = Result<Response<ServedBody<<O as Origin>::Body, S>>, <O as Origin>::Error>;

/// What a run of the handler is for. Boxed, as a [`Run`] is: what is passed through futures by value
/// lies in each of them, and all of them move when the outermost is boxed.
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
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) kept: Kept,
    pub(crate) wishes: Wishes,
    pub(crate) lifetime: Result<Option<Lifetime>, Reason>,
    pub(crate) times: Times,
}

/// What a response of the handler comes to.
enum Concluded<B: Body, S: Spawn<Drain<B>>> {
    Answer(Response<ServedBody<B, S>>),
    /// An answer, when this is put.
    Putting(Waiting<B, S>),
    /// It may be about what is stored.
    Asked(Asked<B>),
}

struct Waiting<B: Body, S: Spawn<Drain<B>>> {
    putting: Putting,
    answer: Unanswered<B, S>,
}

struct Asked<B> {
    fill: Box<Fill>,
    run: Box<Run>,
    response: Response<B>,
}

/// An answer that does not say yet whether it is stored.
struct Unanswered<B: Body, S: Spawn<Drain<B>>> {
    response: Response<ServedBody<B, S>>,
    told: Told,
    ttl: Seconds,
    /// A request with conditions, which are judged on the answer.
    asked: Option<Box<Kept>>,
    /// The one that the cache has made for what is stored.
    etag: Option<HeaderValue>,
}

/// What an answer says of its fill.
#[derive(Clone, Copy, Debug)]
struct Told {
    key: Key,
    reason: Reason,
}

impl Fill {
    /// The stored response that the handler is asked about, and what to ask. Only what can be
    /// stored again is asked about.
    fn to_validate(&self) -> (Option<Entry>, Validators) {
        let stored = self.miss.stored.as_ref().filter(|_| self.ticket.is_ok());
        let validators = stored.and_then(Entry::response).map(Validators::of);
        (stored.cloned(), validators.unwrap_or_default())
    }

    /// The lead of a flight, if there is one to be led. The reason replaces that of the miss.
    pub(crate) fn board(&mut self, lead: Option<Lead>, reason: Option<Reason>) {
        self.lead = lead;
        self.reason = reason.unwrap_or(self.reason);
    }

    fn told(&self) -> Told {
        Told { key: self.miss.key, reason: self.reason }
    }
}

impl Route {
    /// Runs the handler, and stores what it says.
    ///
    /// Every miss pays for the size of this future: what is rarer lies in boxes.
    pub(crate) async fn fill<O, S>(
        &self,
        fill: Box<Fill>,
        origin: O,
        spawn: S,
        life: &Lifeline,
    ) -> Answer<O, S>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        let Shared { cache, rules, .. } = &*self.shared;
        let mut run = self.run_of(&origin.head());
        if fill.ticket.is_ok() && rules.code.ttl.is_some() {
            run.lifetime = Box::pin(self.lifetime(&origin.head())).await;
        }
        if fill.ticket.is_ok() {
            life.hold();
        }
        let changes = self.changes_for(&fill, &run);
        run.times.asked = cache.clock.now();
        let ran = match &fill.miss.fallback {
            None => origin.run(changes).await,
            Some(stale) => {
                match Box::pin(AssertUnwindSafe(origin.run(changes)).catch_unwind()).await {
                    Ok(Ok(response)) if !is_failure(response.status()) => Ok(response),
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(_)) | Err(_) => return Ok(self.stale_answer(&run.kept, stale)),
                }
            }
        };
        run.times.answered = cache.clock.now();
        let rest = match self.conclude(fill, run, ran?, &spawn, life) {
            Concluded::Answer(answer) => return Ok(answer),
            Concluded::Putting(waiting) => {
                Either::Left(Box::pin(self.answer_when_put(waiting, life)))
            }
            Concluded::Asked(asked) => Either::Right(Box::pin(self.confirm(asked, spawn, life))),
        };
        Ok(rest.await)
    }

    fn changes_for(&self, fill: &Fill, run: &Run) -> Changes {
        let may_store = fill.ticket.is_ok();
        let (_, validators) = fill.to_validate();
        let rules = &self.shared.rules;
        Changes {
            fields: plan::changed_fields(rules, &run.kept.headers, may_store, validators),
            wishes: Some(run.wishes.clone()),
        }
    }

    /// What the handler's response comes to.
    fn conclude<B, S>(
        &self,
        fill: Box<Fill>,
        run: Box<Run>,
        response: Response<B>,
        spawn: &S,
        life: &Lifeline,
    ) -> Concluded<B, S>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        let cache = &self.shared.cache;
        if !fill.background {
            cache.counters.misses.one();
            cache.counters.reason(fill.reason);
        }
        let confirms = match response.status() {
            StatusCode::OK => fill.miss.stored_get.is_some(),
            StatusCode::NOT_MODIFIED => !fill.to_validate().1.is_empty(),
            _ => false,
        };
        if confirms {
            return Concluded::Asked(Asked { fill, run, response });
        }
        self.store_or_pass(fill, run, response, spawn, life)
    }

    /// What becomes of a response that confirms, perhaps, what is stored.
    async fn confirm<B, S>(
        &self,
        Asked { mut fill, run, mut response }: Asked<B>,
        spawn: S,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        if response.status() == StatusCode::NOT_MODIFIED
            && let (Some(stored), _) = fill.to_validate()
        {
            let reply = self.freshen(fill, run, &stored, response.headers()).await;
            life.release();
            return reply.map(ServedBody::reply);
        }
        if let Some(get) = fill.miss.stored_get.take() {
            announce(&mut response);
            let confirmed = self.by_head(&mut fill, &run, &get, response.headers()).await;
            if let Some(stored) = confirmed {
                life.release();
                return self.told(response.map(ServedBody::origin), fill.told(), stored);
            }
        }
        match self.store_or_pass(fill, run, response, &spawn, life) {
            Concluded::Answer(answer) => answer,
            Concluded::Putting(waiting) => self.answer_when_put(waiting, life).await,
            // It has been asked.
            Concluded::Asked(Asked { response, .. }) => response.map(ServedBody::origin),
        }
    }

    /// Stores a response, if it may be, or sees to it that it will be at the end of its body.
    fn store_or_pass<B, S>(
        &self,
        mut fill: Box<Fill>,
        run: Box<Run>,
        mut response: Response<B>,
        spawn: &S,
        life: &Lifeline,
    ) -> Concluded<B, S>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        let Shared { cache, rules, .. } = &*self.shared;
        let told = fill.told();
        let head = ResponseHead::new(response.status(), response.headers());
        let size = response.body().size().lower;
        let storable = match self.decide(&fill, &run, &head, size) {
            Ok(storable) => storable,
            Err(reason) => {
                life.release();
                self.give_up(&mut fill, reason);
                let mut response = self.told(response.map(ServedBody::origin), told, Err(reason));
                answer_condition(&run.kept, &mut response);
                return Concluded::Answer(response);
            }
        };
        let ttl = remaining(&storable);
        if run.kept.method == Method::HEAD {
            // There is no content to wait for.
            announce(&mut response);
            let recording = self.recording(fill, run, storable, &response);
            let response = response.map(ServedBody::origin);
            let answer = Unanswered { response, told, ttl, asked: None, etag: None };
            return self.put(recording, answer, life);
        }
        let mut recording = self.recording(fill, run, storable, &response);
        let gathered = match recording.announced {
            Some(size) if size <= rules.max_body as u64 => gather(response.body_mut(), size),
            _ => Gathered::Streaming(Begun::default()),
        };
        match gathered {
            // Stored first, so that this very answer has its entity tag and can be a 304.
            Gathered::Whole(body) => {
                let (own, body) = apart(body);
                recording.body = Recorded::Whole(own);
                let kept = &recording.run.kept;
                let asked = kept.validates.then(|| Box::new(kept.clone()));
                let response = response.map(|_| ServedBody::whole(body));
                let answer = Unanswered { response, told, ttl, asked, etag: None };
                self.put(recording, answer, life)
            }
            Gathered::Streaming(begun) => {
                if let Some(lead) = &recording.fill.lead {
                    lead.streams();
                }
                recording.body = Recorded::Copied(Vec::new(), cache.recording.open());
                let (recording, told) = (Box::new(recording), self.told(response, told, Ok(ttl)));
                let (life, spawn) = (life.clone(), spawn.clone());
                let answer = told.map(|body| ServedBody::tee(recording, begun, body, life, spawn));
                Concluded::Answer(answer)
            }
        }
    }

    /// Puts a recording that is complete. The answer waits for that.
    fn put<B, S>(
        &self,
        recording: Recording,
        mut answer: Unanswered<B, S>,
        life: &Lifeline,
    ) -> Concluded<B, S>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        let mut sealed = match recording.seal() {
            Ok(sealed) => sealed,
            Err(reason) => return Concluded::Answer(self.answered(answer, Err(reason), life)),
        };
        answer.etag = sealed.etag.take();
        match sealed.put() {
            Putting::Done(stored) => Concluded::Answer(self.answered(answer, stored, life)),
            putting @ Putting::Waiting(_) => Concluded::Putting(Waiting { putting, answer }),
        }
    }

    async fn answer_when_put<B, S>(
        &self,
        Waiting { putting, answer }: Waiting<B, S>,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        let stored = putting.await;
        self.answered(answer, stored, life)
    }

    fn answered<B, S>(
        &self,
        answer: Unanswered<B, S>,
        stored: Result<(), Reason>,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        life.release();
        let Unanswered { mut response, told, ttl, asked, etag } = answer;
        if let Some(etag) = etag.filter(|_| stored.is_ok()) {
            response.headers_mut().insert(header::ETAG, etag);
        }
        let mut response = self.told(response, told, stored.map(|()| ttl));
        if let Some(request) = asked {
            answer_condition(&request, &mut response);
        }
        response
    }

    fn run_of(&self, head: &RequestHead<'_>) -> Box<Run> {
        let rules = &self.shared.rules;
        let unknown = SystemTime::UNIX_EPOCH;
        Box::new(Run {
            kept: Kept::of(head, rules.code.store_if.is_some()),
            wishes: Wishes::default(),
            lifetime: Ok(None),
            times: Times { asked: unknown, answered: unknown },
        })
    }

    fn recording<B: Body>(
        &self,
        mut fill: Box<Fill>,
        run: Box<Run>,
        storable: Storable,
        response: &Response<B>,
    ) -> Recording {
        fill.tags.extend_from_slice(&storable.groups);
        Recording {
            route: self.clone(),
            form: self.stored_form(response.headers(), &fill.planned, &storable),
            fill,
            run,
            storable,
            status: response.status(),
            announced: response.body().size().known(),
            body: Recorded::Whole(Bytes::new()),
        }
    }

    pub(crate) fn stored_form(
        &self,
        response: &HeaderMap,
        planned: &Planned,
        storable: &Storable,
    ) -> StoredForm {
        let rules = &self.shared.rules;
        storable::stored_form(rules, response, storable, room_for_late_fields(rules, planned))
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
        fill: &Fill,
        run: &Run,
        head: &ResponseHead<'_>,
        size: u64,
    ) -> Result<Storable, Reason> {
        let rules = &self.shared.rules;
        let list = run.wishes.take();
        let lifetime = match (&run.lifetime, list.ttl) {
            (Ok(lifetime), _) => lifetime.as_ref(),
            // The handler's own word goes before the function's.
            (Err(_), Some(_)) => None,
            (Err(reason), None) => return Err(*reason),
        };
        let storable = storable(rules, &run.kept.head(), head, &list, lifetime, run.times)?;
        let announced = match storable.length {
            Stated::Length(length) => length,
            Stated::Nothing | Stated::Nonsense => 0,
        };
        if size.max(announced) > rules.max_body as u64 {
            return Err(Reason::TooLarge);
        }
        fill.ticket.as_ref().map(|_| storable).map_err(|reason| *reason)
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
        Told { key, reason }: Told,
        stored: Result<Seconds, Reason>,
    ) -> Response<B> {
        let Shared { cache, rules, .. } = &*self.shared;
        let fwd = Forwarded::from(reason);
        let status = response.status();
        let story = match stored {
            Ok(ttl) => Story::Stored { fwd, status, ttl },
            // Decided to be stored, then overtaken.
            Err(reason) => Story::NotStored { fwd, status, reason },
        };
        match stored {
            Ok(_) => tracing::debug!(%key, %reason, "stored"),
            Err(why) => {
                tracing::debug!(%key, %reason, %why, "not stored");
            }
        }
        storable::merge_vary(rules, response.headers_mut());
        status::tell(rules, cache, Some(&key), story, response.headers_mut());
        response
    }
}

/// What a body of known length turned out to be.
enum Gathered<E> {
    /// All of it was there.
    Whole(Bytes),
    /// It must be waited for, or is not what it said.
    Streaming(Begun<E>),
}

/// Takes what a body of `size` bytes gives without waiting. One that goes on beyond its size may do
/// so for ever; one that ends before it must end so for the client too, who is to notice.
///
/// Nobody is woken by what is polled here: what is not ready is polled anew, by whoever sends it.
fn gather<B: Body>(body: &mut B, size: u64) -> Gathered<B::Error> {
    let cx = &mut Context::from_waker(Waker::noop());
    // Most are one piece.
    let mut first = None;
    let mut others: Frames<B::Error> = VecDeque::new();
    let mut left = Some(size);
    let over = loop {
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(frame)) => frame,
            Poll::Ready(None) => break true,
            Poll::Pending => break false,
        };
        left = match &frame {
            Ok(Frame::Data(chunk)) => left.and_then(|left| left.checked_sub(chunk.len() as u64)),
            _ => None,
        };
        match first {
            None => first = Some(frame),
            Some(_) => others.push_back(frame),
        }
        if left.is_none() || others.len() == MAX_GATHERED {
            break false;
        }
    };
    match first {
        None if over && left == Some(0) => Gathered::Whole(Bytes::new()),
        Some(Ok(Frame::Data(chunk))) if over && left == Some(0) => {
            Gathered::Whole(joined(chunk, others))
        }
        first => {
            others.extend(first);
            // It came before the others.
            others.rotate_right(1.min(others.len()));
            Gathered::Streaming(Begun { frames: others, over })
        }
    }
}

/// How many pieces of a body are taken at once.
const MAX_GATHERED: usize = 1 << 16;

fn joined<E>(first: Bytes, others: Frames<E>) -> Bytes {
    if others.is_empty() {
        return first;
    }
    let mut whole = BytesMut::from(first);
    for frame in others {
        if let Ok(Frame::Data(chunk)) = frame {
            whole.extend_from_slice(&chunk);
        }
    }
    whole.freeze()
}

/// A body to be stored, and to be sent. It may be a slice, and would keep the buffer that it was cut
/// from, which no store counts; unless it is large, it is copied. A buffer that nobody else holds and
/// that has little room beside the body is shared as it is.
fn apart(body: Bytes) -> (Bytes, Bytes) {
    const LARGE: usize = 64 << 10;
    if body.len() >= LARGE {
        return (body.clone(), body);
    }
    if !body.is_unique() {
        return (Bytes::copy_from_slice(&body), body);
    }
    let buffer = Vec::from(body);
    let is_tight = buffer.capacity() - buffer.len() <= buffer.len() / 8;
    let body = Bytes::from(buffer);
    if is_tight { (body.clone(), body) } else { (Bytes::copy_from_slice(&body), body) }
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

fn remaining(storable: &Storable) -> Seconds {
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
