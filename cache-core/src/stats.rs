//! Counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::reason::Reason;

/// What a cache has done since it was made.
///
/// Of `hits`, `stale_hits`, `collapsed`, `misses` and `bypasses` exactly one counts a request that
/// passes its route's guards and is answered, and a call of a cached function that returns `Ok`. A
/// request that a guard rejects is counted in none; neither is one whose handler panics after a
/// lookup, nor a call whose function then fails, unless a stale answer stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Answered from the store, fresh.
    pub hits: u64,
    /// Answered from the store, stale.
    pub stale_hits: u64,
    /// Answered by the run of another request, or of another call.
    pub collapsed: u64,
    /// Answered by the handler or the function, after a lookup; or by 504, where the request says
    /// `only-if-cached`.
    pub misses: u64,
    /// Left to the handler or the function without a lookup, whatever becomes of it there.
    pub bypasses: u64,
    /// Responses stored.
    pub stored: u64,
    /// Responses not stored.
    pub not_stored: u64,
    /// Background refreshes begun.
    pub refreshes: u64,
    /// Calls of the store that failed or took too long.
    pub store_errors: u64,
    /// Invalidations acknowledged.
    pub invalidations: u64,
    /// Invalidations that failed, or of which it could not be told what they invalidate.
    pub invalidation_errors: u64,
    /// Entries that invalidations removed.
    pub removed: u64,
    /// How often each [`Reason`] was given, by its name.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// The live counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) stale_hits: Counter,
    pub(crate) collapsed: Counter,
    pub(crate) misses: Counter,
    pub(crate) bypasses: Counter,
    pub(crate) stored: Counter,
    pub(crate) not_stored: Counter,
    pub(crate) refreshes: Counter,
    pub(crate) store_errors: Counter,
    pub(crate) invalidations: Counter,
    pub(crate) invalidation_errors: Counter,
    pub(crate) removed: Counter,
    reasons: ByReason,
}

/// A counter per reason, in the order of [`Reason::ALL`].
#[derive(Debug)]
struct ByReason([Counter; Reason::ALL.len()]);

impl Default for ByReason {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

/// One counter. Relaxed: it orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn reason(&self, reason: Reason) {
        if let Some(counter) = self.reasons.0.get(reason as usize) {
            counter.one();
        }
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let reasons = Reason::ALL.iter().zip(&self.reasons.0);
        Stats {
            hits: self.hits.get(),
            stale_hits: self.stale_hits.get(),
            collapsed: self.collapsed.get(),
            misses: self.misses.get(),
            bypasses: self.bypasses.get(),
            stored: self.stored.get(),
            not_stored: self.not_stored.get(),
            refreshes: self.refreshes.get(),
            store_errors: self.store_errors.get(),
            invalidations: self.invalidations.get(),
            invalidation_errors: self.invalidation_errors.get(),
            removed: self.removed.get(),
            reasons: reasons
                .map(|(reason, counter)| (reason.as_str(), counter.get()))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }
}
