//! Running the handler, and what becomes of its answer.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::Either;
use http::{Response, StatusCode};

use super::conclude::Concluded;
use super::fill::give_up;
use super::flight::Lead;
use super::kept::Kept;
use super::reply::How;
use super::route::{Route, Shared};
use super::seek::Miss;
use super::serve::{Changes, Origin};
use super::spawn::{Lifeline, Spawn};
use super::tee::{Drain, ServedBody};
use crate::body::Body;
use crate::entry::{Entry, Life, StoredHead};
use crate::field::said::Stated;
use crate::head::RequestHead;
use crate::policy::freshness::freshness;
use crate::policy::plan::{self, Planned, Validators};
use crate::policy::storable::{Storable, Times, storable};
use crate::policy::{AnyError, Boxed, Lifetime, ResponseHead};
use crate::reason::Reason;
use crate::store::Ticket;
use crate::tag::Tag;
use crate::wishes::Wishes;

type Answer<O, S> = Result<Response<ServedBody<<O as Origin>::Body, S>>, <O as Origin>::Error>;

/// A run of the handler: what it is for, and what there is of it beside the response. Boxed: what is
/// passed through futures by value lies in each of them, and all of them move when the outermost is
/// boxed.
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
    pub(crate) kept: Kept,
    pub(crate) wishes: Wishes,
    pub(crate) lifetime: Result<Option<Lifetime>, Reason>,
    pub(crate) times: Times,
}

impl Fill {
    /// The stored response that the handler is asked about, and what to ask. Only what can be
    /// stored again is asked about.
    pub(super) fn to_validate(&self) -> (Option<Entry>, Validators) {
        let stored = self.miss.stored.as_ref().filter(|_| self.ticket.is_ok());
        let validators = stored.and_then(Entry::response).map(Validators::of);
        (stored.cloned(), validators.unwrap_or_default())
    }

    /// The lead of a flight, if there is one to be led. The reason replaces that of the miss.
    pub(crate) fn board(&mut self, lead: Option<Lead>, reason: Option<Reason>) {
        self.lead = lead;
        self.reason = reason.unwrap_or(self.reason);
    }
}

impl Route {
    /// Runs the handler, and stores what it says.
    ///
    /// Every miss pays for the size of this future: what is rarer lies in boxes.
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
        if fill.ticket.is_ok() && rules.code.ttl.is_some() {
            fill.lifetime = Box::pin(self.lifetime(&origin.head())).await;
        }
        if fill.ticket.is_ok() {
            life.hold();
        }
        let changes = self.changes_for(&fill);
        if rules.is_http() {
            // Elsewhere nobody asks for it.
            fill.times.asked = Some(cache.clock.now());
        }
        let ran = match &fill.miss.fallback {
            // Not moved to be awaited, which every miss would pay for.
            None => pin!(origin.run(changes)).await,
            Some(stale) => {
                match Box::pin(AssertUnwindSafe(origin.run(changes)).catch_unwind()).await {
                    Ok(Ok(response)) if !is_failure(response.status()) => Ok(response),
                    Ok(Err(error)) => Err(error),
                    Ok(Ok(_)) | Err(_) => return Ok(self.stale_answer(&fill.kept, stale)),
                }
            }
        };
        fill.times.answered = cache.clock.now();
        let rest = match self.conclude(fill, ran?, &spawn, life) {
            Concluded::Answer(answer) => return Ok(answer),
            Concluded::Putting(waiting) => {
                Either::Left(Box::pin(self.answer_when_put(waiting, life)))
            }
            Concluded::Asked(asked) => Either::Right(Box::pin(self.confirm(asked, spawn, life))),
        };
        Ok(rest.await)
    }

    fn changes_for(&self, fill: &Fill) -> Changes {
        let may_store = fill.ticket.is_ok();
        let (_, validators) = fill.to_validate();
        let rules = &self.shared.rules;
        Changes {
            fields: plan::changed_fields(rules, &fill.kept, may_store, validators),
            wishes: Some(fill.wishes.clone()),
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
        fill: &Fill,
        head: &ResponseHead<'_>,
        size: u64,
    ) -> Result<Storable, Reason> {
        let rules = &self.shared.rules;
        let list = fill.wishes.take();
        let lifetime = match (&fill.lifetime, list.ttl) {
            (Ok(lifetime), _) => lifetime.as_ref(),
            // The handler's own word goes before the function's.
            (Err(_), Some(_)) => None,
            (Err(reason), None) => return Err(*reason),
        };
        let storable = storable(rules, &fill.kept, head, &list, lifetime, fill.times)?;
        let announced = match storable.said.length() {
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
}

fn is_failure(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
