//! What a successful request with an unsafe method invalidates of its own accord: its target, what
//! `Location` and `Content-Location` name on the same origin (RFC 9111 §4.4), and the groups that
//! the response names (RFC 9875 §3).
//!
//! Each target has a reserved tag of its own, and one that it shares with others. A process may mark
//! so many targets by themselves; beyond that it marks the shared tags, of which there are few. So
//! requests to countless targets cannot push the marks of others out of a bounded store, and no
//! invalidation is ever left out: at worst it takes more than it had to.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, StatusCode};

use super::kept::Kept;
use super::route::{Route, Shared};
use crate::field::groups;
use crate::field::reference::{Base, Target, same_origin};
use crate::head::RequestHead;
use crate::key::Digest;
use crate::policy::KeyFunction;
use crate::policy::plan;
use crate::policy::rules::KeySource;
use crate::policy::setting::UnsafeInvalidates;
use crate::store::Selection;
use crate::tag::{Tag, Tags};

/// How many targets a process may mark by themselves at once.
const BURST: f64 = 1024.0;

/// How many more it may mark each second.
const PER_SECOND: f64 = 16.0;

/// How many targets one response may name besides its own.
const MAX_NAMED: usize = 8;

/// The safe methods that are registered (RFC 9110 §9.2.1); every other may change something.
pub(crate) fn is_safe(method: &Method) -> bool {
    let text = method.as_str();
    matches!(
        text,
        "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY"
    )
}

impl Route {
    /// Whether a successful answer to this request invalidates.
    pub(crate) fn changes(&self, head: &RequestHead<'_>) -> bool {
        let rules = &self.shared.rules;
        (rules.unsafe_invalidates == UnsafeInvalidates::Uri || rules.cache_groups)
            && !is_safe(head.method())
            && !rules.methods.contains(head.method())
    }

    /// Invalidates what the answer to an unsafe request asks for; whether that is in force.
    pub(crate) async fn settle(
        &self,
        request: &Kept,
        status: StatusCode,
        response: &HeaderMap,
    ) -> bool {
        let rules = &self.shared.rules;
        let head = request.head();
        let mut tags: Vec<Tag> = Vec::new();
        let mut complete = true;
        let success = status.is_success() || status.is_redirection();
        if success && rules.unsafe_invalidates == UnsafeInvalidates::Uri {
            tags.extend(self.targets(&head, response).into_iter().map(|target| self.mark(&target)));
            tags.extend(self.custom_key(&head).await);
        }
        if rules.cache_groups {
            match groups::of(response, &groups::CACHE_GROUP_INVALIDATION) {
                Some(names) => {
                    tags.extend(names.iter().map(|name| plan::group(rules, &head, name)));
                }
                None => {
                    tracing::error!("a response invalidates more groups than can be");
                    complete = false;
                }
            }
        }
        if tags.is_empty() {
            return complete;
        }
        self.cache().invalidate(Selection::Tags(Tags::new(tags))).await.is_ok() && complete
    }

    fn targets(&self, head: &RequestHead<'_>, response: &HeaderMap) -> Vec<Digest> {
        let rules = &self.shared.rules;
        let uri = head.uri();
        let base = Base {
            scheme: uri.scheme_str(),
            authority: head.authority().and_then(|authority| std::str::from_utf8(authority).ok()),
            path: uri.path(),
            query: uri.query(),
        };
        let mut targets = vec![plan::target(rules, head, uri.path(), uri.query())];
        for Target { path, query } in named(&base, response) {
            let target = plan::target(rules, head, &path, query.as_deref());
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }

    /// The tag of this target alone, while there is room for it.
    fn mark(&self, target: &Digest) -> Tag {
        let cache = &self.shared.cache;
        if cache.targets.take(cache.clock.monotonic()) {
            Tag::uri(target)
        } else {
            Tag::uris_of(target)
        }
    }

    /// Several targets may share a custom key, so that what one of them stored answers all.
    async fn custom_key(&self, head: &RequestHead<'_>) -> Option<Tag> {
        let Shared { rules, .. } = &*self.shared;
        let custom = match &rules.key {
            KeySource::Target => return None,
            KeySource::Function(KeyFunction::Async(function)) => {
                let asked = std::panic::AssertUnwindSafe(|| function(head));
                let asked = std::panic::catch_unwind(asked).ok()?;
                Some(self.bounded("key", asked).await?)
            }
            KeySource::Template(_) | KeySource::Function(KeyFunction::Sync(_)) => None,
        };
        let planned = self.derive(head, custom, None).ok()?;
        planned.custom.map(|name| Tag::key(rules.namespace.as_deref(), &name))
    }
}

fn named(base: &Base<'_>, response: &HeaderMap) -> impl Iterator<Item = Target> {
    let lines = |name: HeaderName| response.get_all(name).iter();
    lines(header::LOCATION)
        .chain(lines(header::CONTENT_LOCATION))
        .filter_map(|line| same_origin(base, line.to_str().ok()?))
        .take(MAX_NAMED)
}

/// How many targets a process may still mark by themselves: some at once, and a few each second.
#[derive(Debug)]
pub(crate) struct TargetBudget(Mutex<Budget>);

#[derive(Debug)]
struct Budget {
    left: f64,
    since: Duration,
}

impl Default for TargetBudget {
    fn default() -> Self {
        Self(Mutex::new(Budget { left: BURST, since: Duration::ZERO }))
    }
}

impl TargetBudget {
    /// Takes one, if there is one. `now` is monotonic.
    fn take(&self, now: Duration) -> bool {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let more = now.saturating_sub(budget.since).as_secs_f64() * PER_SECOND;
        budget.left = (budget.left + more).min(BURST);
        budget.since = budget.since.max(now);
        let is_left = budget.left >= 1.0;
        if is_left {
            budget.left -= 1.0;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_targets_runs_out_and_recovers() {
        let budget = TargetBudget::default();
        let start = Duration::from_secs(5);
        let taken = (0..5000).filter(|_| budget.take(start)).count();
        assert_eq!(taken, 1024);
        let later = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| budget.take(later)).count(), 16);
    }

    #[test]
    fn unknown_methods_may_change_something() {
        for (method, safe) in
            [("GET", true), ("QUERY", true), ("POST", false), ("M-SEARCH", false), ("FOO", false)]
        {
            assert_eq!(is_safe(&Method::from_bytes(method.as_bytes()).unwrap()), safe, "{method}");
        }
    }
}
