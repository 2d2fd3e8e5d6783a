//! Small histories.

use super::*;
use crate::history::event::{Actor, EVERYTHING, Missed};

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
        vec![Event::Filled(old.clone()), invalidation(200, Some(210), tag, 2), served(211, &old)]
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
        let events =
            vec![Event::Filled(old.clone()), invalidation(call, ret, TAG, 2), served(start, &old)];
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
    assert_eq!(rules(vec![Event::Filled(gone.clone()), served(111, &gone)]), [Rule::Superseded]);
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

fn fault(name: &str, from: u64, to: u64, forgets: bool) -> Event {
    Event::Fault(Fault { name: name.to_owned(), from, to, forgets, injected: true })
}

#[test]
fn a_fault_explains_a_loss_but_no_violation() {
    let old = fill(1, 100, 1, Outcome::Stored);
    let lost = |fault| {
        let events = vec![Event::Filled(old.clone()), fault, missed(200)];
        History::new(0, events).check().losses.len()
    };
    assert_eq!(lost(fault("flush", 150, 160, true)), 0);
    assert_eq!(lost(fault("flush", 50, 101, true)), 0);
    assert_eq!(lost(fault("flush", 50, 99, true)), 1);
    assert_eq!(lost(fault("flush", 202, 210, true)), 1);
    assert_eq!(lost(fault("cut", 150, 160, false)), 1);
    let stale = vec![
        Event::Filled(old.clone()),
        fault("flush", 100, 300, true),
        invalidation(200, Some(210), TAG, 2),
        served(211, &old),
    ];
    assert_eq!(rules(stale), [Rule::Interval, Rule::Version]);
}

#[test]
fn events_count_for_the_fault_before_them() {
    let old = fill(1, 100, 1, Outcome::Stored);
    let history = History::new(
        0,
        vec![
            Event::Filled(old.clone()),
            fault("cut", 150, 160, false),
            served(151, &old),
            fault("flush", 200, 210, true),
            missed(220),
            fault("cut", 300, 310, false),
            invalidation(320, Some(330), TAG, 2),
            served(340, &old),
        ],
    );
    let verdict = history.check();
    let tally = history.tally(&verdict);
    let (cut, flush) = (&tally["cut"], &tally["flush"]);
    assert_eq!((cut.injected, cut.lookups, cut.hits, cut.acknowledged), (2, 2, 2, 1));
    assert_eq!((cut.violations, flush.violations, flush.losses), (2, 0, 0));
    assert_eq!((flush.injected, flush.lookups, flush.hits), (1, 1, 0));
    assert_eq!(tally["(none yet)"].puts, 1);
}
