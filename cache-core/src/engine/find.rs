//! Looking up: what a search asks of the store and of the memory of keys.

use std::sync::Arc;

use super::fill::{ask, is_known, known};
use super::recall::Known;
use super::route::{Route, Shared};
use super::seek::{self, Miss, Next, Resolved, Seek, variant_key};
use crate::entry::Entry;
use crate::head::RequestHead;
use crate::key::Key;
use crate::key::vary::Presented;
use crate::policy::freshness::Freshness;
use crate::policy::plan::Planned;
use crate::reason::Reason;
use crate::store::Lookup;
use crate::tag::Tags;
#[cfg(feature = "mutants")]
use crate::{clock::from_unix_millis, policy::freshness::freshness};

impl Route {
    /// Looks up, waiting where the store does.
    pub(super) async fn seek(&self, planned: &Planned, head: &RequestHead<'_>) -> Resolved {
        let Shared { cache, rules, .. } = &*self.shared;
        let known_before = cache.recall.get(planned.key.primary());
        let key = variant_key(planned.key, &known_before.names, false, head, rules.vary_values);
        let found = match self.find(&key, &known_before.tags).await {
            Ok(found) => found,
            Err(reason) => return Resolved::Forward(Miss::unknown(reason, key)),
        };
        // Most searches end with what they find first.
        let selects = |stored: &Presented| stored.matches(head, rules.vary_values);
        if let Some(state) = seek::serves(rules, head, selects, &found, cache.clock.now_in_millis())
            && let Lookup::Found(entry, _) = found
        {
            self.remember(planned, &entry, &known_before);
            return Resolved::Serve(entry, state);
        }
        // Boxed, as everything that a hit has no use for.
        Box::pin(self.seek_on(planned, head, known_before, found)).await
    }

    /// The search behind its first finding.
    async fn seek_on(
        &self,
        planned: &Planned,
        head: &RequestHead<'_>,
        known_before: Known,
        mut found: Lookup,
    ) -> Resolved {
        let Shared { cache, rules, .. } = &*self.shared;
        let mut seek = Seek::new(rules, planned, Arc::clone(&known_before.names));
        seek.first(head);
        loop {
            match seek.step(rules, head, found, cache.clock.now_in_millis()) {
                Next::Look(key) => match self.find(&key, &known_before.tags).await {
                    Ok(next) => found = next,
                    Err(reason) => return Resolved::Forward(Miss::unknown(reason, key)),
                },
                Next::Done(resolved) => {
                    if let Resolved::Serve(entry, _) = &resolved {
                        self.remember(planned, entry, &known_before);
                    }
                    return resolved;
                }
            }
        }
    }

    pub(super) async fn find(&self, key: &Key, hints: &Tags) -> Result<Lookup, Reason> {
        let cache = &self.shared.cache;
        match cache.store.try_lookup(key, hints) {
            Some(found) => Ok(found),
            None => ask(cache, "lookup", cache.store.lookup(key, hints)).await,
        }
    }

    pub(super) fn remember(&self, planned: &Planned, found: &Entry, known_before: &Known) {
        if !is_known(found, known_before) {
            self.shared.cache.recall.set(planned.key.primary(), known(found));
        }
    }

    /// Whether a follower may have the leader's response: the same judgement as on a lookup.
    pub(super) fn fits(
        &self,
        planned: &Planned,
        head: &RequestHead<'_>,
        found: Lookup,
    ) -> Option<(Entry, Freshness)> {
        let rules = &self.shared.rules;
        let mut seek = Seek::new(rules, planned, Arc::default());
        let now = self.shared.cache.clock.now_in_millis();
        #[cfg(feature = "mutants")]
        if let Lookup::Found(entry, _) = &found
            && self.shared.cache.mutant == Some(super::mutant::Mutant::AnyVariant)
        {
            let state =
                entry.response().map(|stored| freshness(&stored.life(), from_unix_millis(now)));
            return Some((entry.clone(), state?));
        }
        match seek.step(rules, head, found, now) {
            Next::Done(Resolved::Serve(entry, state)) => Some((entry, state)),
            _ => None,
        }
    }
}
