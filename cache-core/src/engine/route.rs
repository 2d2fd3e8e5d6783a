//! A route: a policy in force on a cache, and the first, synchronous half of a request's way.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderName, Method, Response, StatusCode};

use super::cache::{Cache, Inner};
use super::nominated::{self, Nominated, Seen};
use super::reply::{self, How, Reply};
use super::run::Fill;
use super::seek::{self, Miss, Next, Resolved, Seek};
use super::spawn::Lifeline;
use crate::body::ReplyBody;
use crate::entry::Entry;
use crate::field::cache_control::CacheControl;
use crate::head::RequestHead;
use crate::key::memo::Purpose;
use crate::key::vary::{Presented, Presenting};
use crate::policy::derive;
use crate::policy::freshness::Freshness;
use crate::policy::mode;
use crate::policy::plan::{self, Planned};
use crate::policy::rules::KeySource;
use crate::policy::{KeyFunction, Policy, PolicyError, Rules};
use crate::reason::Reason;
use crate::store::Lookup;
use crate::wishes::Wishes;

/// A policy in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Route {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cache: Arc<Inner>,
    pub(crate) rules: Rules,
    /// An unknown placeholder was logged.
    pub(crate) complained: AtomicBool,
    /// A record of nominated fields was met.
    varies: AtomicBool,
}

/// What to do with a request.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "adapters must handle both, and there is no third")]
pub enum Step {
    /// Send this.
    Reply(Reply),
    /// Go on with [`Route::serve`].
    Forward(Pending),
}

/// A request that was not answered at once.
#[derive(Debug)]
pub struct Pending(pub(crate) State);

impl Pending {
    /// Whether the next thing is to wait for the store, by [`Route::look_up`].
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.0, State::Planned(_))
    }
}

#[derive(Debug)]
pub(crate) enum State {
    /// Not for the cache.
    Bypass(Reason),
    /// Inside the fill of another route.
    Nested(Wishes),
    /// The key needs the request's body or an asynchronous function.
    Unplanned,
    /// The store must be waited for.
    Planned(Planned),
    /// Looked up.
    Resolved(Box<(Planned, Resolved, u64)>),
    /// Nothing is there, in this generation, and the handler is to be run for it.
    Missed(Box<Fill>, u64),
}

impl Route {
    /// Puts a policy, over the application's, in force.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn new<P>(cache: &Cache, policy: P) -> Result<Self, PolicyError>
    where
        P: TryInto<Policy>,
        PolicyError: From<P::Error>,
    {
        let rules = Rules::resolve(&cache.inner.policy, &policy.try_into()?)?;
        let cache = Arc::clone(&cache.inner);
        let (complained, varies) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { shared: Arc::new(Shared { cache, rules, complained, varies }) })
    }

    /// The same in front of an application, where no middleware has its say before a hit and no
    /// path parameters are known.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value: also a template with a placeholder, and under
    /// [`Mode::Http`](crate::policy::setting::Mode::Http) an `authorization` that neither this policy
    /// nor the application's sets. Its default would answer everybody with what was authorized for
    /// one, where the response is `public`, `must-revalidate` or has `s-maxage` (RFC 9111 §3.5).
    pub fn in_front<P>(cache: &Cache, policy: P) -> Result<Self, PolicyError>
    where
        P: TryInto<Policy>,
        PolicyError: From<P::Error>,
    {
        let policy: Policy = policy.try_into()?.params::<String>([]);
        mode::check_in_front(&cache.inner.policy, &policy)?;
        Self::new::<Policy>(cache, policy)
    }

    /// The cache that the route belongs to.
    #[must_use]
    pub fn cache(&self) -> Cache {
        Cache { inner: Arc::clone(&self.shared.cache) }
    }

    /// Whether templates or functions of the policy may read path parameters.
    #[must_use]
    pub fn needs_params(&self) -> bool {
        self.shared.rules.needs_params()
    }

    /// Whether [`attend`](Self::attend) may read path parameters already: for the key or for the
    /// condition.
    #[must_use]
    #[inline]
    pub fn keys_by_params(&self) -> bool {
        self.shared.rules.keys_by_params()
    }

    /// Something to keep a request's work alive by.
    #[must_use]
    pub fn lifeline(&self) -> Lifeline {
        Lifeline::bounded(&self.shared.cache.detached, self.shared.rules.max_fill)
    }

    /// Answers from a store that never waits, without waiting; says how to go on otherwise.
    #[must_use]
    pub fn attend(&self, head: &RequestHead<'_>) -> Step {
        let Shared { cache, rules, .. } = &*self.shared;
        if let Some(outer) = head.outer() {
            return Step::Forward(Pending(State::Nested(outer.clone())));
        }
        if let Err(reason) = self.admit(head) {
            return Step::Forward(Pending(State::Bypass(reason)));
        }
        let remembered = derive::remembered(rules, head);
        let planned = match remembered {
            Some(key) => Planned { key, is_head: *head.method() == Method::HEAD, custom: None },
            None => match self.plan_at_once(head) {
                Ok(planned) => planned,
                Err(state) => return Step::Forward(Pending(state)),
            },
        };
        let generation = cache.flights.generation(&planned.key);
        let now = cache.clock.now_in_millis();
        let varies = self.shared.varies.load(Ordering::Relaxed);
        let seen = varies.then(|| Seen::now(&planned.key, cache.id, rules.vary_values, now));
        let (recalled, mut beside) =
            (seen.and_then(|seen| nominated::recall(&planned.key, seen)), None);
        let remember = || {
            if remembered.is_none() {
                derive::remember(rules, head, &planned.key);
            }
        };
        if let Some(Nominated { names, purpose }) = &recalled {
            remember();
            match self.of_variant(&planned, names, Some(*purpose), head, now) {
                ControlFlow::Break(answered) => return answered,
                ControlFlow::Continue(found) => beside = found,
            }
        }
        let found = cache.store.try_lookup_at(&planned.key, &[], now);
        if !matches!(found, Some(Lookup::Miss(_))) {
            remember();
        }
        let Some(found) = found else { return Step::Forward(Pending(State::Planned(planned))) };
        // Most searches end with what they find first.
        let selects = |stored: &Presented| stored.matches(head, rules.vary_values);
        if let Some(state) = seek::serves(rules, head, selects, &found, now)
            && let Lookup::Found(entry, _) = found
        {
            return self.hit(head, entry, &state);
        }
        let found = match found {
            // Nothing more to look for, and nothing else to wait for.
            Lookup::Miss(ticket) if self.fills_at_once(&planned, head) => {
                let miss = Miss::unknown(Reason::Absent, planned.key);
                let fill = self.begin(planned, miss, Ok(ticket), head, false);
                return Step::Forward(Pending(State::Missed(fill, generation)));
            }
            found => found,
        };
        // Many others with what is found in the record's place.
        let mut next = None;
        if let Some(names) = seek::nominated_in(&found) {
            if recalled.is_some_and(|recalled| *recalled.names == *names) {
                next = beside;
            } else {
                match seen {
                    Some(seen) => nominated::remember(&planned.key, names, seen),
                    None => self.shared.varies.store(true, Ordering::Relaxed),
                }
                match self.of_variant(&planned, names, None, head, now) {
                    ControlFlow::Break(answered) => return answered,
                    ControlFlow::Continue(found) => next = found,
                }
            }
        }
        match self.try_seek(&planned, head, (found, next), now) {
            None => Step::Forward(Pending(State::Planned(planned))),
            Some(Resolved::Serve(entry, state)) => self.hit(head, entry, &state),
            Some(resolved) => {
                Step::Forward(Pending(State::Resolved(Box::new((planned, resolved, generation)))))
            }
        }
    }

    /// Whether a request for which nothing is there is one for the handler, of which all that a run
    /// needs is known.
    fn fills_at_once(&self, planned: &Planned, head: &RequestHead<'_>) -> bool {
        let rules = &self.shared.rules;
        // A HEAD request has a class of its own to look into.
        !planned.is_head && !rules.params_come_later && !self.is_refused(head)
    }

    /// Whether nothing but what is stored will do for the client.
    pub(super) fn is_refused(&self, head: &RequestHead<'_>) -> bool {
        self.shared.rules.honours_client()
            && CacheControl::of_request(head.headers()).only_if_cached
    }

    #[inline(never)]
    fn plan_at_once(&self, head: &RequestHead<'_>) -> Result<Planned, State> {
        let key = &self.shared.rules.key;
        let asynchronous = matches!(key, KeySource::Function(KeyFunction::Async(_)));
        if asynchronous || plan::body_in_key(head.method()) {
            return Err(State::Unplanned);
        }
        self.derive(head, None, None).map_err(State::Bypass)
    }

    /// The answer for what the request presents for these fields; otherwise what was found there.
    fn of_variant(
        &self,
        planned: &Planned,
        names: &[HeaderName],
        purpose: Option<Purpose>,
        head: &RequestHead<'_>,
        now: u64,
    ) -> ControlFlow<Step, Option<Lookup>> {
        let Shared { cache, rules, .. } = &*self.shared;
        let presenting = Presenting::of(names, head);
        let digest = match purpose {
            Some(purpose) => presenting.digest_for(purpose, rules.vary_values),
            None => presenting.digest(rules.vary_values),
        };
        let key = planned.key.variant_of(digest);
        let Some(found) = cache.store.try_lookup_at(&key, &[], now) else {
            return ControlFlow::Continue(None);
        };
        let selects = |stored: &Presented| presenting.matches(stored, rules.vary_values);
        if let Some(state) = seek::serves(rules, head, selects, &found, now)
            && let Lookup::Found(entry, _) = found
        {
            return ControlFlow::Break(self.hit(head, entry, &state));
        }
        ControlFlow::Continue(Some(found))
    }

    #[inline(never)]
    fn hit(&self, head: &RequestHead<'_>, entry: Entry, state: &Freshness) -> Step {
        self.shared.cache.counters.hits.one();
        Step::Reply(self.answer(head, entry, state, How::Fresh))
    }

    #[inline]
    pub(crate) fn admit(&self, head: &RequestHead<'_>) -> Result<(), Reason> {
        if !self.shared.cache.enabled.load(Ordering::Relaxed) {
            return Err(Reason::SwitchedOff);
        }
        plan::admit(&self.shared.rules, head)
    }

    /// The plan, with a synchronous key function run here.
    pub(crate) fn derive(
        &self,
        head: &RequestHead<'_>,
        custom: Option<String>,
        body: Option<&crate::key::Digest>,
    ) -> Result<Planned, Reason> {
        let rules = &self.shared.rules;
        let custom = match &rules.key {
            KeySource::Function(KeyFunction::Sync(function)) => {
                let asked = std::panic::AssertUnwindSafe(|| function(head));
                match std::panic::catch_unwind(asked) {
                    Ok(Ok(text)) => Some(text),
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "the key function failed");
                        return Err(Reason::KeyFailed);
                    }
                    Err(_) => return Err(Reason::KeyFailed),
                }
            }
            _ => custom,
        };
        derive::derive(rules, head, custom, body)
    }

    /// The search behind what was found under the primary key, and under that of the variant.
    fn try_seek(
        &self,
        planned: &Planned,
        head: &RequestHead<'_>,
        (mut found, mut of_variant): (Lookup, Option<Lookup>),
        now: u64,
    ) -> Option<Resolved> {
        let Shared { cache, rules, .. } = &*self.shared;
        let mut seek = Seek::new(rules, planned, Arc::default());
        seek.first(head);
        loop {
            match seek.step(rules, head, found, now) {
                Next::Look(next) => {
                    found = match of_variant.take() {
                        Some(found) => found,
                        None => cache.store.try_lookup_at(&next, &[], now)?,
                    };
                }
                Next::Done(resolved) => return Some(resolved),
            }
        }
    }

    /// The answer that a stored response is, put together for this request only where it does not
    /// lie ready.
    #[inline]
    pub(crate) fn answer(
        &self,
        head: &RequestHead<'_>,
        entry: Entry,
        state: &Freshness,
        how: How,
    ) -> Reply {
        let Shared { cache, rules, .. } = &*self.shared;
        tracing::debug!(key = %entry.key(), ?how, age = state.age_in_seconds(), "a hit");
        let ready = reply::at_once(rules, cache, head, entry, state, how);
        ready.unwrap_or_else(|entry| self.reply(head, &entry, state, how).into())
    }

    pub(crate) fn reply(
        &self,
        head: &RequestHead<'_>,
        entry: &Entry,
        state: &Freshness,
        how: How,
    ) -> Response<ReplyBody> {
        let Shared { cache, rules, .. } = &*self.shared;
        tracing::debug!(key = %entry.key(), ?how, age = state.age_in_seconds(), "reused");
        match entry.response() {
            Some(stored) => reply::reply(rules, cache, head, entry, stored, state, how),
            // Only responses are resolved to be served: a search that ends otherwise is a bug.
            None => {
                tracing::error!(key = %entry.key(), "what was found is no response");
                let mut failed = Response::new(ReplyBody::Absent);
                *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                failed
            }
        }
    }
}
