//! What happened after which fault.

use std::collections::BTreeMap;

use super::event::{Event, Fault, History};
use super::verdict::{Loss, Verdict};

/// What happened from the injections of a fault until the next injection of any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// How often it was injected.
    pub injected: u64,
    /// Lookups that were answered.
    pub lookups: u64,
    /// Those answered with an entry.
    pub hits: u64,
    /// Puts.
    pub puts: u64,
    /// Lookups and tickets that failed.
    pub failures: u64,
    /// Acknowledged invalidations.
    pub acknowledged: u64,
    /// Those that failed or were dropped.
    pub unacknowledged: u64,
    /// Violations.
    pub violations: u64,
    /// Losses.
    pub losses: u64,
}

impl Tally {
    /// The sums of both.
    #[must_use]
    pub const fn plus(self, other: &Self) -> Self {
        Self {
            injected: self.injected + other.injected,
            lookups: self.lookups + other.lookups,
            hits: self.hits + other.hits,
            puts: self.puts + other.puts,
            failures: self.failures + other.failures,
            acknowledged: self.acknowledged + other.acknowledged,
            unacknowledged: self.unacknowledged + other.unacknowledged,
            violations: self.violations + other.violations,
            losses: self.losses + other.losses,
        }
    }
}

/// What is said of the time before the first injection.
const BEFORE: &str = "(none yet)";

impl History {
    /// Divides what happened among the faults by their names. An event belongs to the fault that
    /// was last injected before it was over, so that the sums are those of the whole history.
    #[must_use]
    pub fn tally(&self, verdict: &Verdict) -> BTreeMap<String, Tally> {
        let mut injections: Vec<&Fault> = self.events.iter().filter_map(injection).collect();
        injections.sort_unstable_by_key(|fault| fault.from);
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        for fault in &injections {
            tallies.entry(fault.name.clone()).or_default().injected += 1;
        }
        let mut at = |time: u64, add: &dyn Fn(&mut Tally)| {
            let next = injections.partition_point(|fault| fault.from <= time);
            let last = next.checked_sub(1).and_then(|last| injections.get(last));
            let name = last.map_or(BEFORE, |fault| &fault.name);
            add(tallies.entry(name.to_owned()).or_default());
        };
        for event in &self.events {
            match event {
                Event::Served(served) => at(served.end, &|tally| {
                    tally.lookups += 1;
                    tally.hits += 1;
                }),
                Event::Missed(missed) => at(missed.end, &|tally| tally.lookups += 1),
                Event::Filled(filled) => at(filled.end, &|tally| tally.puts += 1),
                Event::Failed(failure) => at(failure.end, &|tally| tally.failures += 1),
                Event::Invalidated(done) => match done.ret {
                    Some(ret) => at(ret, &|tally| tally.acknowledged += 1),
                    None => at(done.call, &|tally| tally.unacknowledged += 1),
                },
                Event::Fault(_) => {}
            }
        }
        for violation in &verdict.violations {
            at(violation.served.end, &|tally| tally.violations += 1);
        }
        for loss in &verdict.losses {
            let (Loss::Forgotten { missed: super::Missed { end, .. }, .. }
            | Loss::Denied { fill: super::Filled { end, .. } }) = loss;
            at(*end, &|tally| tally.losses += 1);
        }
        tallies
    }
}

fn injection(event: &Event) -> Option<&Fault> {
    match event {
        Event::Fault(fault) if fault.injected => Some(fault),
        _ => None,
    }
}
