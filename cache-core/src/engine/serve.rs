//! The one driver: a request's way through lookup, flight, handler and store.
//!
//! It has no `Send` bound of its own: it is as sendable as the [`Origin`] it drives, so that the
//! same loop runs in a tower service and in an actix service.
//!
//! | the future is dropped | what happens |
//! |---|---|
//! | during a lookup or as a follower | nothing |
//! | while the handler runs, as a leader or alone, before the response is known to be storable | the work goes on elsewhere, if it still can be stored ([`Surviving`](super::Surviving)) |
//! | while a body streams | the rest is read elsewhere |
//! | during a put | the put is finished elsewhere |
//! | while a bypassed request's handler runs | the handler is dropped, as without a cache |

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::board::{Boarded, Flown, Tries};
use super::flight::{Joined, Lead};
use super::kept::Kept;
use super::reply::{How, Reply};
use super::route::{Pending, Route, Shared, State, Step};
use super::run::Fill;
use super::seek::{Miss, Resolved};
use super::spawn::{Lifeline, Spawn};
use super::status::{self, Story};
use super::tee::{Drain, ServedBody};
use crate::body::{Body, ReplyBody};
use crate::head::RequestHead;
use crate::key::Digest;
use crate::policy::KeyFunction;
use crate::policy::plan::{self, Planned};
use crate::policy::rules::KeySource;
use crate::policy::setting::OnInvalidationError;
use crate::policy::storable;
use crate::reason::{Forwarded, Reason};
use crate::store::Lookup;
use crate::wishes::Wishes;

/// The wrapped service with one request: an adapter's part.
pub trait Origin: Sized {
    /// The body of its responses.
    type Body: Body;
    /// Why it gave no response at all; passed on as it is.
    type Error;

    /// The request's head.
    fn head(&self) -> RequestHead<'_>;

    /// Reads the request's body, of at most `limit` bytes, and keeps it for the handler. `None`
    /// if it is longer or could not be read; the handler must still see all of it.
    fn body(&mut self, limit: usize) -> impl Future<Output = Option<Bytes>>;

    /// Runs the handler once.
    fn run(
        self,
        changes: Changes,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>>;
}

/// What the handler gets otherwise than the client sent it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Changes {
    /// Request fields to remove, or to replace all lines of.
    pub fields: Vec<(HeaderName, Option<HeaderValue>)>,
    /// The handle by which the handler speaks to the cache, for the request's extensions; where
    /// there is none, they stay as they are.
    pub wishes: Option<Wishes>,
}

/// An answer, and what remains to be done behind it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Served<O: Origin, S: Spawn<Drain<O::Body>>> {
    /// The answer.
    pub response: Response<ServedBody<O::Body, S>>,
    /// A refresh to run on its own, with the origin that was not needed for the answer.
    pub refresh: Option<(Refresh, O)>,
}

/// A stale response was served and is to be replaced. One at a time per key.
///
/// In a box: every answer has room for one, and most have none.
#[derive(Debug)]
pub struct Refresh(Box<Renewal>);

#[derive(Debug)]
struct Renewal {
    route: Route,
    planned: Planned,
    miss: Miss,
    lead: Lead,
}

impl Route {
    /// Answers from a store that must be waited for; says how to go on otherwise. What has nothing
    /// to [wait](Pending::waits) for is to go on at once.
    ///
    /// [`serve`](Self::serve) does the same and more. Its future has room for a run of the handler,
    /// this one for a hit.
    ///
    /// # Cancellation
    ///
    /// Nothing happens.
    pub async fn look_up(&self, pending: Pending, head: RequestHead<'_>) -> Step {
        let State::Planned(planned) = pending.0 else { return Step::Forward(pending) };
        let cache = &self.shared.cache;
        let generation = cache.flights.generation(&planned.key);
        match self.seek(&planned, &head).await {
            Resolved::Serve(entry, state) => {
                cache.counters.hits.one();
                Step::Reply(self.answer(&head, entry, &state, How::Fresh))
            }
            resolved => {
                let found = Box::new((planned, resolved, generation));
                Step::Forward(Pending(State::Resolved(found)))
            }
        }
    }

    /// Finishes what [`attend`](Self::attend) left pending.
    ///
    /// # Errors
    ///
    /// Only the origin's own.
    ///
    /// # Panics
    ///
    /// Where the handler does, unless a stale response may be served in its place.
    ///
    /// # Cancellation
    ///
    /// See the [module](super::serve).
    pub fn serve<O, S>(
        &self,
        pending: Pending,
        origin: O,
        spawn: S,
        life: Lifeline,
    ) -> impl Future<Output = Result<Served<O, S>, O::Error>>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        // Every plain miss pays for the size of this future: what is rarer lies in boxes, and what is
        // done before it waits lies outside of it.
        let started = match pending.0 {
            State::Missed(fill, generation) => self.depart(fill, generation),
            state => self.at_once(state, &origin.head()),
        };
        async move {
            match started {
                Ok(fill) => {
                    let response = pin!(self.fill(fill, origin, spawn, &life)).await?;
                    Ok(Served { response, refresh: None })
                }
                Err(state) => Box::pin(self.serve_from(*state, origin, spawn, life)).await,
            }
        }
    }

    /// The rest of it where something has to be waited for first, or the cache is passed by.
    async fn serve_from<O, S>(
        &self,
        state: State,
        mut origin: O,
        spawn: S,
        life: Lifeline,
    ) -> Result<Served<O, S>, O::Error>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        match Box::pin(self.meet(state, &mut origin)).await {
            Met::Fill(fill) => {
                let response = self.fill(fill, origin, spawn, &life).await?;
                Ok(Served { response, refresh: None })
            }
            Met::Reply(reply, refresh) => {
                Ok(served(reply, refresh.map(|refresh| (refresh, origin))))
            }
            Met::Bypass(reason) => self.bypass(origin, reason, Changes::default(), &life).await,
            Met::Nested(outer) => self.nested(&outer, origin, &life).await,
        }
    }

    /// The run of the handler for a plain miss: the store has answered already, and nobody need be
    /// waited for.
    fn at_once(&self, state: State, head: &RequestHead<'_>) -> Result<Box<Fill>, Box<State>> {
        let found = match state {
            State::Resolved(found) if self.is_plain(&found.1, head) => *found,
            state => return Err(Box::new(state)),
        };
        let (planned, resolved, generation) = found;
        let later = |planned, resolved| {
            Err(Box::new(State::Resolved(Box::new((planned, resolved, generation)))))
        };
        let Resolved::Forward(mut miss) = resolved else { return later(planned, resolved) };
        let Some(ticket) = miss.ticket.take() else {
            return later(planned, Resolved::Forward(miss));
        };
        self.depart(self.begin(planned, miss, Ok(ticket), head, false), generation)
    }

    /// The same of a run that needs nothing more.
    fn depart(&self, mut fill: Box<Fill>, generation: u64) -> Result<Box<Fill>, Box<State>> {
        match self.board(&fill, generation, &mut Tries::default()) {
            Boarded::Run(lead, reason) => {
                fill.board(lead, reason);
                Ok(fill)
            }
            Boarded::LookAgain => Err(Box::new(State::Planned(fill.planned))),
            Boarded::Follow(_) => Err(Box::new(State::Missed(fill, generation))),
        }
    }

    /// Whether the handler is to be asked and nothing more need be known for that.
    fn is_plain(&self, resolved: &Resolved, head: &RequestHead<'_>) -> bool {
        let Resolved::Forward(miss) = resolved else { return false };
        miss.stored_get.is_none() && !self.is_refused(head)
    }

    /// What the answer will come from. For what was [missed](State::Missed) another request runs the
    /// handler already.
    async fn meet<O: Origin>(&self, state: State, origin: &mut O) -> Met {
        let cache = &self.shared.cache;
        let mut begun = None;
        let (planned, mut resolved, mut generation) = match state {
            State::Missed(fill, generation) => {
                let planned = fill.planned.clone();
                begun = Some(fill);
                (planned, None, generation)
            }
            State::Bypass(reason) => return Met::Bypass(reason),
            State::Nested(outer) => return Met::Nested(outer),
            State::Resolved(found) => {
                let (planned, resolved, generation) = *found;
                (planned, Some(resolved), generation)
            }
            State::Planned(planned) => (planned, None, 0),
            State::Unplanned => match self.plan(origin).await {
                Ok(planned) => (planned, None, 0),
                Err(reason) => return Met::Bypass(reason),
            },
        };
        let mut tries = Tries::default();
        loop {
            let mut fill = match begun.take() {
                Some(fill) => fill,
                None => {
                    let now = match resolved.take() {
                        Some(resolved) => resolved,
                        None => {
                            generation = cache.flights.generation(&planned.key);
                            self.seek(&planned, &origin.head()).await
                        }
                    };
                    let miss = match now {
                        Resolved::Serve(entry, state) => {
                            cache.counters.hits.one();
                            let reply = self.answer(&origin.head(), entry, &state, How::Fresh);
                            return Met::Reply(reply, None);
                        }
                        Resolved::ServeAndRefresh(entry, state, miss) => {
                            cache.counters.stale_hits.one();
                            let head = origin.head();
                            let reply = self.answer(&head, entry, &state, How::Revalidating);
                            return Met::Reply(reply, self.refresh(planned, miss));
                        }
                        Resolved::Forward(miss) => miss,
                    };
                    if self.is_refused(&origin.head()) {
                        return Met::Reply(self.gateway_timeout().into(), None);
                    }
                    self.prepare(planned.clone(), miss, &origin.head(), false).await
                }
            };
            match self.join(&fill, generation, &mut tries).await {
                Flown::Run(lead, reason) => {
                    fill.board(lead, reason);
                    return Met::Fill(fill);
                }
                Flown::LookAgain => {}
                Flown::Landed(entry) => {
                    let found = Lookup::Found(entry, None);
                    if let Some((entry, state)) = self.fits(&planned, &origin.head(), found) {
                        cache.counters.collapsed.one();
                        let reply = self.answer(&origin.head(), entry, &state, How::Collapsed);
                        return Met::Reply(reply, None);
                    }
                }
            }
        }
    }

    /// Runs a refresh to its end.
    ///
    /// # Errors
    ///
    /// Only the origin's own; nobody waits for it.
    ///
    /// # Panics
    ///
    /// Where the handler does.
    ///
    /// # Cancellation
    ///
    /// The key may be refreshed anew.
    pub async fn run_refresh<O, S>(refresh: Refresh, origin: O, spawn: S) -> Result<(), O::Error>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        let Renewal { route, planned, miss, lead } = *refresh.0;
        route.shared.cache.counters.refreshes.one();
        let mut fill = route.prepare(planned, miss, &origin.head(), true).await;
        if fill.ticket.is_err() {
            return Ok(());
        }
        fill.lead = Some(lead);
        let life = route.lifeline();
        let limit = route.shared.rules.max_fill;
        // What is left of the body is read as if its client had gone: while it can be stored.
        match tokio::time::timeout(limit, route.fill(fill, origin, spawn, &life)).await {
            Ok(response) => response.map(drop),
            Err(_) => Ok(()),
        }
    }

    /// The handler's answer, past the cache.
    pub(super) async fn bypass<O, S>(
        &self,
        origin: O,
        mut reason: Reason,
        changes: Changes,
        life: &Lifeline,
    ) -> Result<Served<O, S>, O::Error>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        let Shared { cache, rules, .. } = &*self.shared;
        cache.counters.bypasses.one();
        cache.counters.reason(reason);
        tracing::debug!(%reason, "bypassed");
        if reason == Reason::UnknownPlaceholder {
            self.complain_of(reason, &origin.head());
        }
        let has_function = matches!(rules.key, KeySource::Function(_));
        let change =
            self.changes(&origin.head()).then(|| Box::new(Kept::of(&origin.head(), has_function)));
        if change.is_some() {
            life.owe();
        }
        // Where there is no key, the handler may see everything.
        let response = origin.run(changes).await?;
        let mut response = response.map(ServedBody::origin);
        let fwd = Forwarded::from(reason);
        if let Some(request) = change
            && !self.settle(&request, response.status(), response.headers()).await
        {
            reason = Reason::InvalidationFailed;
            if rules.on_invalidation_error == OnInvalidationError::Unavailable {
                response = Response::new(ServedBody::whole(Bytes::new()));
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
        }
        let story = Story::Bypassed { fwd, reason };
        storable::merge_vary(rules, response.headers_mut());
        status::downstream(rules, story, false, response.headers_mut());
        status::tell(rules, cache, None, story, response.headers_mut());
        Ok(Served { response, refresh: None })
    }

    async fn plan<O: Origin>(&self, origin: &mut O) -> Result<Planned, Reason> {
        let rules = &self.shared.rules;
        let body = if plan::body_in_key(origin.head().method()) {
            let whole = origin.body(rules.key_body_limit).await.ok_or(Reason::RequestBody)?;
            Some(Digest::of(&whole))
        } else {
            None
        };
        let custom = match &rules.key {
            KeySource::Function(KeyFunction::Async(function)) => {
                let head = origin.head();
                let asked = std::panic::catch_unwind(AssertUnwindSafe(|| function(&head)));
                let asked = asked.map_err(|_| Reason::KeyFailed)?;
                Some(self.bounded("key", asked).await.ok_or(Reason::KeyFailed)?)
            }
            _ => None,
        };
        self.derive(&origin.head(), custom, body.as_ref())
    }

    /// RFC 9111 §5.2.1.7.
    fn gateway_timeout(&self) -> Response<ReplyBody> {
        let Shared { cache, rules, .. } = &*self.shared;
        cache.counters.misses.one();
        let mut response = Response::new(ReplyBody::Whole(Bytes::new()));
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        status::downstream(rules, Story::OnlyIfCached, false, response.headers_mut());
        status::tell(rules, cache, None, Story::OnlyIfCached, response.headers_mut());
        response
    }

    /// A refresh, unless one is under way.
    fn refresh(&self, planned: Planned, miss: Miss) -> Option<Refresh> {
        // A HEAD request cannot refresh the GET entry that answered it.
        if planned.is_head && !miss.head_class {
            return None;
        }
        let Shared { cache, rules, .. } = &*self.shared;
        match cache.flights.join(miss.key, 0, rules.max_fill, cache.clock.monotonic()) {
            Joined::Lead(lead) => {
                Some(Refresh(Box::new(Renewal { route: self.clone(), planned, miss, lead })))
            }
            Joined::Follow(_) | Joined::Full => None,
        }
    }
}

/// What an answer will come from.
enum Met {
    /// A run of the handler.
    Fill(Box<Fill>),
    /// The store.
    Reply(Reply, Option<Refresh>),
    /// The handler, past the cache.
    Bypass(Reason),
    /// The handler, inside the fill of another route.
    Nested(Wishes),
}

fn served<O: Origin, S: Spawn<Drain<O::Body>>>(
    reply: Reply,
    refresh: Option<(Refresh, O)>,
) -> Served<O, S> {
    Served { response: reply.into_response(ServedBody::reply), refresh }
}
