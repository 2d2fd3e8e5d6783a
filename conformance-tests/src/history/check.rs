//! The checks. O(n log n) in the length of the history.

use std::collections::HashMap;

use super::body::Computed;
use super::event::{Event, Filled, History, Invalidation, Missed, Outcome, Served};
use super::index::Running;
use super::verdict::{Meters, Rule, Verdict, Violation};

/// A put that was dropped may still take effect for so long, in nanoseconds.
const GRACE: u64 = 1_000_000_000;

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
        Verdict { seed: self.seed, violations, meters: log.meters(self) }
    }
}

/// The history, arranged for the questions of the checks.
struct Log<'h> {
    fills: HashMap<u64, &'h Filled>,
    by_key: HashMap<u32, KeyLog<'h>>,
    by_tag: HashMap<u32, TagLog>,
    invalidations: Vec<&'h Invalidation>,
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
                Event::Served(_) | Event::Missed(_) | Event::Failed(_) => {}
            }
        }
        let tag_log = |(tag, of_tag): (u32, Vec<_>)| (tag, TagLog::new(&of_tag, &invalidations));
        Self {
            fills,
            by_key: by_key.into_iter().map(|(key, fills)| (key, KeyLog::new(fills))).collect(),
            by_tag: by_tag.into_iter().map(tag_log).collect(),
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
                Event::Served(_) => {
                    meters.lookups += 1;
                    meters.hits += 1;
                }
                Event::Missed(missed) => {
                    meters.lookups += 1;
                    meters.unexplained_misses += u64::from(self.is_unexplained_miss(missed));
                }
                Event::Filled(filled) => {
                    meters.puts += 1;
                    meters.stored += u64::from(filled.outcome == Outcome::Stored);
                    if filled.outcome == Outcome::Superseded {
                        meters.superseded += 1;
                        let explained = self.touched(&filled.content, filled.asked, filled.end);
                        meters.unexplained_superseded += u64::from(!explained);
                    }
                }
                Event::Invalidated(invalidation) => {
                    meters.invalidations += u64::from(invalidation.ret.is_some());
                }
                Event::Failed(_) => meters.failures += 1,
            }
        }
        meters
    }

    /// Whether the last put before the miss stored something that nothing made invalid. Where
    /// puts overlap it is not known which was last.
    fn is_unexplained_miss(&self, missed: &Missed) -> bool {
        let Some(last) = self.by_key.get(&missed.key).and_then(|log| log.last_put(missed.end))
        else {
            return false;
        };
        last.outcome == Outcome::Stored
            && last.end < missed.start
            && missed.end < last.kept_until
            && !self.touched(&last.content, last.asked, missed.end)
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
mod tests {
    use super::*;
    use crate::history::event::{Actor, EVERYTHING};

    const BY: Actor = Actor { handle: 0, task: 0 };
    const TAG: u32 = 3;

    /// A fill whose ticket is asked for at `asked` and whose put ends 10 later.
    fn fill(fill: u64, asked: u64, version: u64, outcome: Outcome) -> Filled {
        let seen = vec![(TAG, version), (EVERYTHING, 1)];
        let content = Computed { key: 0, fill, at: asked + 2, seen };
        let kept_until = u64::MAX;
        Filled { by: BY, asked, put: asked + 5, end: asked + 10, kept_until, outcome, content }
    }

    fn invalidation(call: u64, ret: Option<u64>, tag: u32, version: u64) -> Event {
        Event::Invalidated(Invalidation { by: BY, call, ret, tags: vec![(tag, version)] })
    }

    fn served(start: u64, fill: &Filled) -> Event {
        let content = Some(fill.content.clone());
        Event::Served(Served { by: BY, start, end: start + 1, key: 0, content })
    }

    fn missed(start: u64) -> Event {
        Event::Missed(Missed { by: BY, start, end: start + 1, key: 0 })
    }

    fn verdict(events: Vec<Event>) -> (Vec<Rule>, Meters) {
        let verdict = History::new(0, events).check();
        (verdict.violations.iter().map(|violation| violation.rule).collect(), verdict.meters)
    }

    fn rules(events: Vec<Event>) -> Vec<Rule> {
        verdict(events).0
    }

    #[test]
    fn served_after_the_return_is_stale_by_both_rules() {
        let old = fill(1, 100, 1, Outcome::Stored);
        let of = |tag| {
            vec![
                Event::Filled(old.clone()),
                invalidation(200, Some(210), tag, 2),
                served(211, &old),
            ]
        };
        assert_eq!(rules(of(TAG)), [Rule::Interval, Rule::Version]);
        assert_eq!(rules(of(EVERYTHING)), [Rule::Interval, Rule::Version]);
        assert_eq!(rules(of(TAG + 1)), []);
    }

    #[test]
    fn what_overlaps_or_is_not_acknowledged_forbids_nothing() {
        let old = fill(1, 100, 1, Outcome::Stored);
        for (call, ret) in [(200, Some(210)), (200, None)] {
            let start = 210;
            let events = vec![
                Event::Filled(old.clone()),
                invalidation(call, ret, TAG, 2),
                served(start, &old),
            ];
            assert_eq!(rules(events), [], "{ret:?}");
        }
    }

    #[test]
    fn a_fill_begun_between_change_and_call_is_only_old_by_the_first_rule() {
        // It read the new version before the call: fresh data, but the contract counts tickets.
        let early = fill(1, 197, 2, Outcome::Stored);
        let events = vec![
            Event::Filled(early.clone()),
            invalidation(200, Some(210), TAG, 2),
            served(220, &early),
        ];
        assert_eq!(rules(events), [Rule::Interval]);
    }

    #[test]
    fn superseded_and_replaced_fills_are_not_served() {
        let gone = fill(1, 100, 1, Outcome::Superseded);
        assert_eq!(
            rules(vec![Event::Filled(gone.clone()), served(111, &gone)]),
            [Rule::Superseded]
        );
        assert_eq!(rules(vec![Event::Filled(gone.clone()), served(109, &gone)]), []);
        let (one, two) = (fill(1, 100, 1, Outcome::Stored), fill(2, 200, 1, Outcome::Stored));
        let both = |start, fill| {
            let fills = [Event::Filled(one.clone()), Event::Filled(two.clone())];
            fills.into_iter().chain([served(start, fill)]).collect()
        };
        assert_eq!(rules(both(211, &one)), [Rule::Replaced]);
        assert_eq!(rules(both(209, &one)), []);
        assert_eq!(rules(both(211, &two)), []);
    }

    #[test]
    fn what_no_fill_wrote_is_foreign() {
        let mut other = fill(1, 100, 1, Outcome::Stored);
        other.content.key = 1;
        assert_eq!(rules(vec![served(200, &other)]), [Rule::Foreign]);
        let torn = Served { by: BY, start: 1, end: 2, key: 0, content: None };
        assert_eq!(rules(vec![Event::Served(torn)]), [Rule::Foreign]);
    }

    #[test]
    fn misses_and_superseded_puts_want_a_reason() {
        let stored = || Event::Filled(fill(1, 100, 1, Outcome::Stored));
        let superseded = || Event::Filled(fill(2, 300, 2, Outcome::Superseded));
        let unexplained = |events| {
            let (_, meters) = verdict(events);
            (meters.unexplained_misses, meters.unexplained_superseded)
        };
        assert_eq!(unexplained(vec![stored(), missed(120)]), (1, 0));
        assert_eq!(unexplained(vec![stored(), missed(109)]), (0, 0));
        let near = invalidation(150, Some(160), TAG, 2);
        assert_eq!(unexplained(vec![stored(), near.clone(), missed(170)]), (0, 0));
        assert_eq!(unexplained(vec![near, superseded()]), (0, 1));
        assert_eq!(unexplained(vec![invalidation(290, Some(301), TAG, 2), superseded()]), (0, 0));
        let elsewhere = invalidation(302, Some(303), TAG + 1, 2);
        assert_eq!(unexplained(vec![elsewhere, superseded()]), (0, 1));
    }
}
