//! A 304 of the handler to the conditions of the cache: the stored response still holds, and is
//! stored again under the new head (RFC 9111 §4.3.4).
//!
//! The ticket was issued before the handler was asked, so the handler's word is as new as any other
//! response of it; the entry keeps all its old tags beside the new ones.

use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

use super::fill::{Recorded, Recording, forget};
use super::reply::How;
use super::route::{Route, Shared};
use super::run::Fill;
use super::seek::Miss;
use super::status::Seconds;
use crate::body::ReplyBody;
use crate::entry::{Content, Entry, Life, StoredHead};
use crate::policy::ResponseHead;
use crate::policy::freshen::{confirms, merged, updating};
use crate::policy::freshness::freshness;
use crate::policy::storable::{Storable, merge_vary};
use crate::reason::{Forwarded, Reason};
use crate::tag::Tags;

impl Route {
    /// The answer made of the stored response and the 304's fields.
    pub(crate) async fn freshen(
        &self,
        mut fill: Box<Fill>,
        entry: &Entry,
        answer: &HeaderMap,
    ) -> Response<ReplyBody> {
        let fwd = Forwarded::from(fill.reason);
        let kept = fill.kept.clone();
        let (entry, stored) = match entry.response() {
            Some(stored) => self.freshened(&mut fill, entry, stored, answer).await,
            None => (entry.clone(), Err(Reason::Absent)),
        };
        let now = self.shared.cache.clock.now();
        let life = entry.response().map(StoredHead::life);
        let state = life.map(|life| freshness(&life, now)).unwrap_or_default();
        tracing::debug!(key = %entry.key(), ?stored, "validated");
        let how = How::Validated { fwd, stored };
        let mut reply = if answer.contains_key(header::SET_COOKIE) {
            // A 304 would not tell the client of its cookie.
            self.reply(&kept.head().without_validators(), &entry, &state, how)
        } else {
            self.reply(&kept.head(), &entry, &state, how)
        };
        if reply.status() != StatusCode::NOT_MODIFIED && stored != Err(Reason::OtherValidator) {
            give_own(answer, reply.headers_mut());
        }
        reply
    }

    /// What a 200 to a HEAD request means for the stored response to a GET that is no longer good
    /// enough (§4.3.5): either it is confirmed, and stored again in place of an answer to HEAD; or it
    /// is another one, and must not be served any more.
    pub(crate) async fn by_head(
        &self,
        fill: &mut Fill,
        get: &Entry,
        answer: &HeaderMap,
    ) -> Option<Result<Seconds, Reason>> {
        let stored = get.response()?;
        let cache = &self.shared.cache;
        if !confirms(stored, get.body().len(), answer) {
            if freshness(&stored.life(), cache.clock.now()).is_fresh() {
                self.end(get).await;
            }
            return None;
        }
        fill.ticket.as_ref().ok()?;
        fill.planned.is_head = false;
        let (entry, done) = self.freshened(fill, get, stored, answer).await;
        let life = entry.response().map(StoredHead::life)?;
        Some(done.map(|()| Seconds::from(&freshness(&life, cache.clock.now()))))
    }

    /// The entry as the handler has confirmed it, and whether it is stored again.
    async fn freshened(
        &self,
        fill: &mut Fill,
        entry: &Entry,
        stored: &StoredHead,
        answer: &HeaderMap,
    ) -> (Entry, Result<(), Reason>) {
        let Some(headers) = merged(stored, answer, fill.times.answered) else {
            self.give_up(fill, Reason::OtherValidator);
            return (entry.clone(), Err(Reason::OtherValidator));
        };
        let head = ResponseHead::new(stored.status, &headers);
        match self.decide(fill, &head, entry.body().len() as u64) {
            Ok(storable) => {
                let recording = self.recording_again(fill, entry, &headers, storable);
                match recording.seal() {
                    Ok(sealed) => {
                        let entry = sealed.entry.clone();
                        (entry, sealed.put().await)
                    }
                    Err(reason) => (self.unstored(entry, stored, headers), Err(reason)),
                }
            }
            Err(reason) => {
                if forbids(reason) {
                    self.end(entry).await;
                }
                self.give_up(fill, reason);
                (self.unstored(entry, stored, headers), Err(reason))
            }
        }
    }

    /// The stored response is no longer what the handler says it is, and must not be served any more
    /// by its old head.
    async fn end(&self, entry: &Entry) {
        if let Err(reason) = forget(&self.shared.cache, entry.key()).await {
            tracing::warn!(%reason, "an outdated response stays stored");
        }
    }

    /// Takes all out of the fill that its storing needs.
    fn recording_again(
        &self,
        fill: &mut Fill,
        entry: &Entry,
        headers: &HeaderMap,
        storable: Storable,
    ) -> Recording {
        let mut tags = std::mem::take(&mut fill.tags);
        tags.extend(entry.tags().iter().cloned());
        tags.extend_from_slice(&storable.groups);
        let mut miss = Miss::unknown(fill.reason, fill.miss.key);
        miss.record = fill.miss.record.take();
        let fill = Box::new(Fill {
            planned: fill.planned.clone(),
            reason: fill.reason,
            ticket: std::mem::replace(&mut fill.ticket, Err(Reason::Absent)),
            tags,
            lead: fill.lead.take(),
            miss,
            background: fill.background,
            kept: fill.kept.clone(),
            wishes: fill.wishes.clone(),
            lifetime: fill.lifetime.clone(),
            times: fill.times,
        });
        Recording {
            route: self.clone(),
            form: self.stored_form(headers, &fill.planned, &storable),
            fill,
            storable,
            status: entry.response().map(|stored| stored.status).unwrap_or_default(),
            announced: None,
            body: Recorded::Whole(entry.body().clone()),
        }
    }

    /// The confirmed response for this client alone.
    fn unstored(&self, entry: &Entry, stored: &StoredHead, mut headers: HeaderMap) -> Entry {
        let Shared { cache, rules, .. } = &*self.shared;
        let now = cache.clock.now();
        merge_vary(rules, &mut headers);
        let life = Life::new(now, Duration::ZERO);
        let mut head = stored.clone().with_life(life);
        head.headers = headers.into();
        let content = Content::Response(head);
        Entry::new(entry.key(), Tags::default(), now, content, entry.body().clone())
    }
}

/// Whether it is the response that says that it is not to be stored, for whomever.
const fn forbids(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoStore
            | Reason::Private
            | Reason::Vary
            | Reason::NoCache
            | Reason::ZeroTtl
            | Reason::NoLifetime
    )
}

/// The client that asked gets what the handler said to it and the stored copy must not have: its
/// cookies, fields that are private.
fn give_own(answer: &HeaderMap, reply: &mut HeaderMap) {
    let news = updating(answer);
    for name in news.keys().filter(|name| **name != header::AGE) {
        if !reply.contains_key(name) {
            for line in news.get_all(name) {
                reply.append(name, line.clone());
            }
        }
    }
}
