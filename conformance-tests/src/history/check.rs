//! The checks. O(n log n) in the length of the history.

use std::collections::HashMap;

use super::body::Computed;
use super::event::{Event, Fault, Filled, History, Invalidation, Outcome, Served};
use super::index::Running;
use super::verdict::{Loss, Meters, Rule, Verdict, Violation};

/// A put that was dropped may still take effect for so long, in nanoseconds.
const GRACE: u64 = 1_000_000_000;

/// Lives are kept in milliseconds, so an entry may end that much early; in nanoseconds.
const PRECISION: u64 = 2_000_000;

impl History {
    /// Checks everything.
    #[must_use]
    pub fn check(&self) -> Verdict {
        let log = Log::new(self);
        let served = self.events.iter().filter_map(|event| match event {
            Event::Served(served) => Some(served),
            _ => None,
        });
        let violations = served.flat_map(|served| log.violations(served)).collect();
        let losses = self.events.iter().filter_map(|event| log.loss(event)).collect();
        Verdict { seed: self.seed, violations, losses, meters: log.meters(self) }
    }
}

/// The history, arranged for the questions of the checks.
struct Log<'h> {
    fills: HashMap<u64, &'h Filled>,
    by_key: HashMap<u32, KeyLog<'h>>,
    by_tag: HashMap<u32, TagLog>,
    invalidations: Vec<&'h Invalidation>,
    /// At the beginning of each fault that may make the store forget: its end.
    forgetting: Running<u64>,
}

/// The invalidations of a tag. The numbers beside the times are places in `invalidations`.
struct TagLog {
    /// At the return of each acknowledged one: its call.
    acknowledged: Running<(u64, usize)>,
    /// At the return of each acknowledged one: its version.
    versions: Running<(u64, usize)>,
    /// At the call of each: its return, or never.
    begun: Running<u64>,
}

/// The fills of a key.
struct KeyLog<'h> {
    /// At the end of each stored one: the time of its put.
    stored: Running<(u64, u64)>,
    /// Sorted by the time of their put.
    puts: Vec<&'h Filled>,
    /// At the put of each: when it was certainly over.
    over: Running<u64>,
}

impl<'h> Log<'h> {
    fn new(history: &'h History) -> Self {
        let mut fills: HashMap<u64, &'h Filled> = HashMap::new();
        let mut by_key: HashMap<u32, Vec<&'h Filled>> = HashMap::new();
        let mut by_tag: HashMap<u32, Vec<(usize, u64)>> = HashMap::new();
        let mut invalidations = Vec::new();
        for event in &history.events {
            match event {
                Event::Filled(filled) => {
                    fills.insert(filled.content.fill, filled);
                    by_key.entry(filled.content.key).or_default().push(filled);
                }
                Event::Invalidated(invalidation) => {
                    for (tag, version) in &invalidation.tags {
                        by_tag.entry(*tag).or_default().push((invalidations.len(), *version));
                    }
                    invalidations.push(invalidation);
                }
                Event::Served(_) | Event::Missed(_) | Event::Failed(_) | Event::Fault(_) => {}
            }
        }
        let tag_log = |(tag, of_tag): (u32, Vec<_>)| (tag, TagLog::new(&of_tag, &invalidations));
        Self {
            fills,
            by_key: by_key.into_iter().map(|(key, fills)| (key, KeyLog::new(fills))).collect(),
            by_tag: by_tag.into_iter().map(tag_log).collect(),
            forgetting: forgetting(history),
            invalidations,
        }
    }

    fn violations(&self, served: &Served) -> Vec<Violation> {
        let Some(content) = served.content.as_ref().filter(|content| content.key == served.key)
        else {
            return vec![violation(Rule::Foreign, served)];
        };
        let fill = self.fills.get(&content.fill).copied();
        let with_fill = |violation: Violation| Violation { fill: fill.cloned(), ..violation };
        [
            self.by_interval(served, content),
            self.by_version(served, content),
            superseded(served, fill),
            self.replaced(served, fill),
        ]
        .into_iter()
        .flatten()
        .map(with_fill)
        .collect()
    }

    fn by_interval(&self, served: &Served, content: &Computed) -> Option<Violation> {
        let latest = content
            .seen
            .iter()
            .filter_map(|(tag, _)| self.by_tag.get(tag)?.acknowledged.before(served.start));
        let (call, which) = latest.max()?;
        (content.at < call).then(|| self.invalidated(Rule::Interval, served, which))
    }

    fn by_version(&self, served: &Served, content: &Computed) -> Option<Violation> {
        let newer = content.seen.iter().find_map(|(tag, seen)| {
            let (version, which) = self.by_tag.get(tag)?.versions.before(served.start)?;
            (*seen < version).then_some(which)
        });
        newer.map(|which| self.invalidated(Rule::Version, served, which))
    }

    fn invalidated(&self, rule: Rule, served: &Served, which: usize) -> Violation {
        let invalidation = self.invalidations.get(which).copied().cloned();
        Violation { invalidation, ..violation(rule, served) }
    }

    /// Only what is known to be stored, and over, can be known to be replaced.
    fn replaced(&self, served: &Served, fill: Option<&Filled>) -> Option<Violation> {
        let fill = fill.filter(|fill| fill.outcome == Outcome::Stored)?;
        let (put, later) = self.by_key.get(&served.key)?.stored.before(served.start)?;
        (fill.end < put).then(|| Violation {
            later: self.fills.get(&later).copied().cloned(),
            ..violation(Rule::Replaced, served)
        })
    }

    fn meters(&self, history: &History) -> Meters {
        let mut meters = Meters::default();
        for event in &history.events {
            match event {
                Event::Served(served) => {
                    meters.lookups += 1;
                    meters.hits += 1;
                    let owed = self.owed(served.key, served.start, served.end);
                    meters.owed += u64::from(owed.is_some());
                }
                Event::Missed(missed) => {
                    meters.lookups += 1;
                    let owed = self.owed(missed.key, missed.start, missed.end);
                    meters.owed += u64::from(owed.is_some());
                    meters.unexplained_misses += u64::from(owed.is_some());
                }
                Event::Filled(filled) => {
                    meters.puts += 1;
                    meters.stored += u64::from(filled.outcome == Outcome::Stored);
                    meters.owed += u64::from(self.is_owed(filled));
                    if filled.outcome == Outcome::Superseded {
                        meters.superseded += 1;
                        meters.unexplained_superseded += u64::from(self.is_owed(filled));
                    }
                }
                Event::Invalidated(invalidation) => {
                    meters.invalidations += u64::from(invalidation.ret.is_some());
                }
                Event::Failed(_) => meters.failures += 1,
                Event::Fault(_) => {}
            }
        }
        meters
    }

    fn loss(&self, event: &Event) -> Option<Loss> {
        match event {
            Event::Missed(missed) => {
                let fill = self.owed(missed.key, missed.start, missed.end)?.clone();
                Some(Loss::Forgotten { fill, missed: missed.clone() })
            }
            Event::Filled(filled) => (filled.outcome == Outcome::Superseded
                && self.is_owed(filled))
            .then(|| Loss::Denied { fill: filled.clone() }),
            _ => None,
        }
    }

    /// The fill that I2 owes to a lookup: the last put before it stored something that nothing made
    /// invalid, and nothing happened that a store may forget at. Where puts overlap it is not known
    /// which was last.
    fn owed(&self, key: u32, start: u64, end: u64) -> Option<&'h Filled> {
        let last = self.by_key.get(&key)?.last_put(end)?;
        let owed = last.outcome == Outcome::Stored
            && last.end < start
            && end.saturating_add(PRECISION) < last.kept_until
            && !self.touched(&last.content, last.asked, end)
            && !self.forgot(last.asked, end);
        owed.then_some(last)
    }

    /// Whether I2 says that a put had to be stored.
    fn is_owed(&self, filled: &Filled) -> bool {
        matches!(filled.outcome, Outcome::Stored | Outcome::Superseded)
            && !self.touched(&filled.content, filled.asked, filled.end)
            && !self.forgot(filled.asked, filled.end)
    }

    fn forgot(&self, from: u64, to: u64) -> bool {
        self.forgetting.before(to).is_some_and(|end| end > from)
    }

    /// Whether an invalidation of one of its tags, acknowledged or not, was under way at any time
    /// between `from` and `to`.
    fn touched(&self, content: &Computed, from: u64, to: u64) -> bool {
        content.seen.iter().any(|(tag, _)| {
            let begun = self.by_tag.get(tag).and_then(|log| log.begun.before(to));
            begun.is_some_and(|ret| ret > from)
        })
    }
}

fn forgetting(history: &History) -> Running<u64> {
    let faults = history.events.iter().filter_map(|event| match event {
        Event::Fault(Fault { from, to, forgets: true, .. }) => Some((*from, *to)),
        _ => None,
    });
    Running::new(faults.collect())
}

impl TagLog {
    fn new(of_tag: &[(usize, u64)], all: &[&Invalidation]) -> Self {
        let known =
            || of_tag.iter().filter_map(|(at, version)| Some((*at, *version, all.get(*at)?)));
        let returned =
            || known().filter_map(|(at, version, done)| Some((done.ret?, done.call, at, version)));
        Self {
            acknowledged: Running::new(
                returned().map(|(ret, call, at, _)| (ret, (call, at))).collect(),
            ),
            versions: Running::new(
                returned().map(|(ret, _, at, version)| (ret, (version, at))).collect(),
            ),
            begun: Running::new(
                known()
                    .map(|(_, _, done)| (done.call, done.ret.unwrap_or(done.call + GRACE)))
                    .collect(),
            ),
        }
    }
}

impl<'h> KeyLog<'h> {
    fn new(mut puts: Vec<&'h Filled>) -> Self {
        puts.sort_unstable_by_key(|filled| filled.put);
        let stored = puts.iter().filter(|filled| filled.outcome == Outcome::Stored);
        let stored = stored.map(|filled| (filled.end, (filled.put, filled.content.fill)));
        let over = puts.iter().map(|filled| (filled.put, over(filled)));
        Self { stored: Running::new(stored.collect()), over: Running::new(over.collect()), puts }
    }

    /// The last put that began before `at`, if all earlier ones were over by then.
    fn last_put(&self, at: u64) -> Option<&'h Filled> {
        let end = self.puts.partition_point(|filled| filled.put < at);
        let last = *self.puts.get(end.checked_sub(1)?)?;
        let alone = self.over.before(last.put).is_none_or(|over| over < last.put);
        alone.then_some(last)
    }
}

const fn over(filled: &Filled) -> u64 {
    match filled.outcome {
        Outcome::Unknown => filled.end.saturating_add(GRACE),
        _ => filled.end,
    }
}

fn superseded(served: &Served, fill: Option<&Filled>) -> Option<Violation> {
    let fill = fill.filter(|fill| fill.outcome == Outcome::Superseded)?;
    (fill.end < served.start).then(|| violation(Rule::Superseded, served))
}

fn violation(rule: Rule, served: &Served) -> Violation {
    Violation { rule, served: served.clone(), fill: None, invalidation: None, later: None }
}

#[cfg(test)]
mod tests;
