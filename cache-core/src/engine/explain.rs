//! What would become of a request, without running its handler.

use std::sync::Arc;

use serde::Serialize;

use super::fill::ask;
use super::route::{Route, Shared};
use super::seek::{Next, Resolved, Seek};
use crate::head::RequestHead;
use crate::policy::plan;
use crate::policy::rules::KeySource;
use crate::policy::{KeyFunction, freshness::Freshness};
use crate::reason::Reason;

/// The decisions in their order. The last one says what the request would get.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The decisions.
    pub decisions: Vec<Decision>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Decision {
    /// What was decided: `admission`, `key`, `tags`, `lookup`, `verdict`.
    pub step: &'static str,
    /// How: a stable word, or a digest.
    pub outcome: String,
}

/// An adapter's mark in a request's extensions, unless it has one of its own: a cached route is to answer
/// with the [`Explanation`] (in the response's extensions) in place of the handler. It cannot be sent
/// from outside.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Explain;

impl Explain {
    /// The marker.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a marker is put somewhere on purpose")]
    pub const fn new() -> Self {
        Self
    }
}

impl Route {
    /// What would become of a request. Nothing is changed; nothing but `store_timeout` is waited
    /// for.
    pub async fn explain(&self, head: &RequestHead<'_>) -> Explanation {
        let mut explanation = Explanation::default();
        if let Err(reason) = self.decisions(head, &mut explanation).await {
            explanation.add("verdict", reason.as_str());
        }
        explanation
    }

    async fn decisions(&self, head: &RequestHead<'_>, to: &mut Explanation) -> Result<(), Reason> {
        let Shared { cache, rules, .. } = &*self.shared;
        self.admit(head)?;
        to.add("admission", "admitted");
        if plan::body_in_key(head.method()) {
            to.add("key", "from the request's body");
            return Ok(());
        }
        let custom = match &rules.key {
            KeySource::Function(KeyFunction::Async(function)) => {
                let asked = std::panic::AssertUnwindSafe(|| function(head));
                let asked = std::panic::catch_unwind(asked).map_err(|_| Reason::KeyFailed)?;
                Some(self.bounded("key", asked).await.ok_or(Reason::KeyFailed)?)
            }
            _ => None,
        };
        let planned = self.derive(head, custom, None)?;
        to.add("key", &planned.key.to_string());
        let tags = plan::tags(rules, head, &planned)?;
        let names: Vec<&str> = tags.iter().map(crate::tag::Tag::as_str).collect();
        to.add("tags", &names.join(" "));
        let mut seek = Seek::new(rules, &planned, Arc::default());
        let mut key = seek.first(head);
        loop {
            let found = match cache.store.try_lookup(&key, &[]) {
                Some(found) => found,
                None => ask(cache, "lookup", cache.store.lookup(&key, &[])).await?,
            };
            to.add("lookup", &key.to_string());
            match seek.step(rules, head, found, cache.clock.now_in_millis()) {
                Next::Look(next) => key = next,
                Next::Done(resolved) => {
                    to.add("verdict", &verdict(&resolved));
                    return Ok(());
                }
            }
        }
    }
}

fn verdict(resolved: &Resolved) -> String {
    let left = |state: &Freshness| state.remaining().as_secs();
    match resolved {
        Resolved::Serve(_, state) => format!("hit; ttl={}", left(state)),
        Resolved::ServeAndRefresh(..) => "hit; stale-while-revalidate".to_owned(),
        Resolved::Forward(miss) => format!("miss; {}", miss.reason),
    }
}

impl Explanation {
    /// Of a request that must not be tried.
    #[must_use]
    pub fn of_unsafe_method() -> Self {
        let mut explanation = Self::default();
        explanation.add("verdict", Reason::Method.as_str());
        explanation
    }

    fn add(&mut self, step: &'static str, outcome: &str) {
        self.decisions.push(Decision { step, outcome: outcome.to_owned() });
    }
}
