//! What is printed.

use std::collections::BTreeMap;

use conformance_tests::history::{
    Actor, EVERYTHING, Event, Fault, Filled, History, Invalidation, Loss, Tally, Verdict, Violation,
};

use crate::deployment::Topology;
use crate::run::Outcome;
use crate::say;

/// How many violations of a run are shown, and how many losses.
const SHOWN: usize = 3;

/// How long before each a fault is shown that was over by then; in nanoseconds.
const FAULTS_SHOWN: u64 = 2_000_000_000;

/// All runs together.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    by_topology: BTreeMap<Topology, BTreeMap<String, Tally>>,
    runs: u64,
    owed: u64,
    violations: usize,
    losses: usize,
}

impl Sums {
    pub(crate) fn add(&mut self, topology: Topology, outcome: &Outcome) {
        self.runs += 1;
        self.owed += outcome.verdict.meters.owed;
        self.violations += outcome.verdict.violations.len();
        self.losses += outcome.verdict.losses.len();
        let sums = self.by_topology.entry(topology).or_default();
        for (name, tally) in &outcome.tallies {
            let sum = sums.entry(name.clone()).or_default();
            *sum = sum.plus(tally);
        }
    }

    /// Prints all; `true` if nothing was found.
    pub(crate) fn conclude(&self) -> bool {
        if self.runs > 1 {
            for (topology, tallies) in &self.by_topology {
                say(format_args!("\nall runs, {}", topology.as_str()));
                table(tallies);
            }
        }
        say(format_args!(
            "\n{} runs: {} violations, {} losses of {} answers that I2 owed",
            self.runs, self.violations, self.losses, self.owed
        ));
        self.violations == 0 && self.losses == 0
    }
}

/// Prints one run. Times are seconds since `started`.
pub(crate) fn run(
    started: u64,
    history: &History,
    verdict: &Verdict,
    tallies: &BTreeMap<String, Tally>,
) {
    table(tallies);
    say(verdict.to_string().lines().next().unwrap_or_default());
    let shown = Shown { started, faults: faults(history) };
    for violation in verdict.violations.iter().take(SHOWN) {
        shown.violation(history.seed, violation);
    }
    for loss in verdict.losses.iter().take(SHOWN) {
        shown.loss(history.seed, loss);
    }
}

fn table(tallies: &BTreeMap<String, Tally>) {
    say(format_args!(
        "{:<18} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>10} {:>6}",
        "after fault",
        "injected",
        "lookups",
        "hits",
        "puts",
        "errors",
        "inv ok",
        "inv err",
        "violations",
        "losses"
    ));
    let mut total = Tally::default();
    for (name, tally) in tallies {
        row(name, tally);
        total = total.plus(tally);
    }
    row("total", &total);
}

fn row(name: &str, tally: &Tally) {
    say(format_args!(
        "{name:<18} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>10} {:>6}",
        tally.injected,
        tally.lookups,
        tally.hits,
        tally.puts,
        tally.failures,
        tally.acknowledged,
        tally.unacknowledged,
        tally.violations,
        tally.losses
    ));
}

/// In the order of their beginning.
fn faults(history: &History) -> Vec<&Fault> {
    let mut faults: Vec<&Fault> = history
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Fault(fault) => Some(fault),
            _ => None,
        })
        .collect();
    faults.sort_unstable_by_key(|fault| fault.from);
    faults
}

struct Shown<'h> {
    started: u64,
    faults: Vec<&'h Fault>,
}

impl Shown<'_> {
    fn violation(&self, seed: u64, violation: &Violation) {
        say(format_args!("violation of {:?}, seed {seed}", violation.rule));
        if let Some(invalidation) = &violation.invalidation {
            self.invalidation(invalidation);
        }
        let served = &violation.served;
        match (&violation.fill, &served.content) {
            (Some(fill), _) => self.fill("fill", fill),
            (None, Some(content)) => say(format_args!(
                "  fill          {:#x} of a process that was killed: key {}, computed from {}, saw {}",
                content.fill,
                content.key,
                self.at(content.at),
                tags(&content.seen)
            )),
            (None, None) => say("  fill          none: body, key and tags are not of one piece"),
        }
        if let Some(later) = &violation.later {
            self.fill("replaced by", later);
        }
        say(format_args!(
            "  serve         key {} by {}: started {}, ended {}",
            served.key,
            who(served.by),
            self.at(served.start),
            self.at(served.end)
        ));
        self.faults_before(served.end);
    }

    /// What may have to do with it: the faults that were not over long before.
    fn faults_before(&self, time: u64) {
        let concerned =
            |fault: &&&Fault| fault.from < time && fault.to > time.saturating_sub(FAULTS_SHOWN);
        for fault in self.faults.iter().filter(concerned) {
            let failed = if fault.injected { "" } else { " (not injected)" };
            let (from, to) = (self.at(fault.from), self.at(fault.to));
            say(format_args!("  fault         {}{failed}: {from} to {to}", fault.name));
        }
    }

    fn loss(&self, seed: u64, loss: &Loss) {
        match loss {
            Loss::Forgotten { fill, missed } => {
                say(format_args!("loss, seed {seed}: a miss of what was stored"));
                self.fill("fill", fill);
                say(format_args!(
                    "  miss          key {} by {}: started {}, ended {}",
                    missed.key,
                    who(missed.by),
                    self.at(missed.start),
                    self.at(missed.end)
                ));
                self.faults_before(missed.end);
            }
            Loss::Denied { fill } => {
                say(format_args!("loss, seed {seed}: superseded by nothing"));
                self.fill("fill", fill);
                self.faults_before(fill.end);
            }
            _ => say(format_args!("loss, seed {seed}: {loss}")),
        }
    }

    fn invalidation(&self, invalidation: &Invalidation) {
        say(format_args!(
            "  invalidation  by {}: called {}, returned {}: {}",
            who(invalidation.by),
            self.at(invalidation.call),
            invalidation.ret.map_or_else(|| "never".to_owned(), |ret| self.at(ret)),
            tags(&invalidation.tags)
        ));
    }

    fn fill(&self, name: &str, fill: &Filled) {
        say(format_args!(
            "  {name:<12}  {:#x} by {}: key {}, ticket asked for {}, computed from {}, put {} to {}: \
             {:?}, saw {}",
            fill.content.fill,
            who(fill.by),
            fill.content.key,
            self.at(fill.asked),
            self.at(fill.content.at),
            self.at(fill.put),
            self.at(fill.end),
            fill.outcome,
            tags(&fill.content.seen)
        ));
    }

    fn at(&self, time: u64) -> String {
        let micros = time.saturating_sub(self.started) / 1_000;
        format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

fn who(by: Actor) -> String {
    format!("process {} task {}", by.handle, by.task)
}

/// Each tag with the version of its truth.
fn tags(versions: &[(u32, u64)]) -> String {
    let one = |(tag, version): &(u32, u64)| match *tag {
        EVERYTHING => format!("everything@{version}"),
        tag => format!("t{tag}@{version}"),
    };
    versions.iter().map(one).collect::<Vec<_>>().join(" ")
}
