//! From the handler's response to the answer: what of it is stored, and what it says of that.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::fill::{Putting, Recorded, Recording, room_for_late_fields};
use super::gather::{Gathered, apart, gather};
use super::kept::Kept;
use super::route::{Route, Shared};
use super::run::Fill;
use super::spawn::{Lifeline, Spawn};
use super::status::{self, Seconds, Story};
use super::tee::{Begun, Drain, ServedBody};
use crate::body::{Body, ReplyBody};
use crate::field::conditional;
use crate::field::notes::Noted;
use crate::key::Key;
use crate::policy::ResponseHead;
use crate::policy::freshness;
use crate::policy::plan::Planned;
use crate::policy::storable::{self, Storable, StoredForm};
use crate::reason::{Forwarded, Reason};

/// What a response of the handler comes to.
pub(crate) enum Concluded<B: Body, S: Spawn<Drain<B>>> {
    Answer(Response<ServedBody<B, S>>),
    /// An answer, when this is put.
    Putting(Box<Waiting<B, S>>),
    /// It may be about what is stored.
    Asked(Asked<B>),
}

pub(crate) struct Waiting<B: Body, S: Spawn<Drain<B>>> {
    putting: Putting,
    answer: Unanswered<B, S>,
}

pub(crate) struct Asked<B> {
    fill: Box<Fill>,
    response: Response<B>,
}

/// An answer that does not say yet whether it is stored.
pub(crate) struct Unanswered<B: Body, S: Spawn<Drain<B>>> {
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
pub(crate) struct Told {
    key: Key,
    reason: Reason,
    is_guarded: bool,
}

impl Fill {
    fn told(&self) -> Told {
        Told { key: self.miss.key, reason: self.reason, is_guarded: self.kept.is_guarded }
    }
}

impl Route {
    /// What the handler's response comes to.
    pub(super) fn conclude<B, S>(
        &self,
        fill: Box<Fill>,
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
            return Concluded::Asked(Asked { fill, response });
        }
        self.store_or_pass(fill, response, spawn, life)
    }

    /// What becomes of a response that confirms, perhaps, what is stored.
    pub(super) async fn confirm<B, S>(
        &self,
        Asked { mut fill, mut response }: Asked<B>,
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
            let reply = self.freshen(fill, &stored, response.headers()).await;
            life.release();
            return reply.map(ServedBody::reply);
        }
        if let Some(get) = fill.miss.stored_get.take() {
            announce(&mut response);
            let confirmed = self.by_head(&mut fill, &get, response.headers()).await;
            if let Some(stored) = confirmed {
                life.release();
                return self.told(response.map(ServedBody::origin), fill.told(), stored);
            }
        }
        match self.store_or_pass(fill, response, &spawn, life) {
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
        let storable = match self.decide(&fill, &head, size) {
            Ok(storable) => storable,
            Err(reason) => {
                life.release();
                self.give_up(&mut fill, reason);
                let mut response = self.told(response.map(ServedBody::origin), told, Err(reason));
                answer_condition(&fill.kept, &mut response);
                return Concluded::Answer(response);
            }
        };
        let ttl = remaining(&storable);
        if fill.kept.method == Method::HEAD {
            // There is no content to wait for.
            announce(&mut response);
            let recording = self.recording(fill, storable, &response);
            let asked = conditions(&recording.fill.kept);
            let response = response.map(ServedBody::origin);
            let answer = Unanswered { response, told, ttl, asked, etag: None };
            return self.put(recording, answer, life);
        }
        let mut recording = self.recording(fill, storable, &response);
        let gathered = match recording.announced {
            Some(size) if size <= rules.max_body as u64 => gather(response.body_mut(), size),
            _ => Gathered::Streaming(Begun::default()),
        };
        match gathered {
            // Stored first, so that this very answer has its entity tag and can be a 304.
            Gathered::Whole(body) => {
                let (own, body) = apart(body);
                recording.body = Recorded::Whole(own);
                let asked = conditions(&recording.fill.kept);
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
            putting @ Putting::Waiting(_) => {
                Concluded::Putting(Box::new(Waiting { putting, answer }))
            }
        }
    }

    pub(super) async fn answer_when_put<B, S>(
        &self,
        waiting: Box<Waiting<B, S>>,
        life: &Lifeline,
    ) -> Response<ServedBody<B, S>>
    where
        B: Body,
        S: Spawn<Drain<B>>,
    {
        let Waiting { putting, answer } = *waiting;
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

    fn recording<B: Body>(
        &self,
        mut fill: Box<Fill>,
        storable: Storable,
        response: &Response<B>,
    ) -> Recording {
        fill.tags.extend_from_slice(&storable.groups);
        Recording {
            route: self.clone(),
            form: self.stored_form(response.headers(), &fill.planned, &storable),
            fill,
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

    /// Says in the response what became of it.
    fn told<B>(
        &self,
        mut response: Response<B>,
        Told { key, reason, is_guarded }: Told,
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
        status::downstream(rules, story, is_guarded, response.headers_mut());
        status::tell(rules, cache, Some(&key), story, response.headers_mut());
        response
    }
}

/// The request, if its conditions are to be judged on the answer.
fn conditions(request: &Kept) -> Option<Box<Kept>> {
    request.has(Noted::Validator).then(|| Box::new(request.clone()))
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
    Seconds::from(&freshness::at_receipt(&storable.life))
}

/// The answer of a miss can be a 304 too (RFC 9110 §13.2.1), unless it sets a cookie: that is for this
/// client, and a 304 has none.
fn answer_condition<B: Body, S: Spawn<Drain<B>>>(
    request: &Kept,
    response: &mut Response<ServedBody<B, S>>,
) {
    if !request.has(Noted::Validator) || response.headers().contains_key(header::SET_COOKIE) {
        return;
    }
    let (status, headers) = (response.status(), response.headers());
    if conditional::not_modified(&request.method, request.headers(), status, headers) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        conditional::reduce_to_not_modified(response.headers_mut());
        *response.body_mut() = ServedBody::reply(ReplyBody::Absent);
    }
}
