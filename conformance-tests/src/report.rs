//! What a run of the suite found.

use std::fmt;
use std::time::Duration;

use crate::case::{Case, Kind};

/// The outcomes of all cases.
///
/// `Display` writes three lines for every failure (the case, the clause of the contract, what was
/// observed), one line for every skipped or merely not optimal case, and a summary.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// One per case, in the order of the list.
    pub outcomes: Vec<Outcome>,
}

/// How one case went.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The case.
    pub case: &'static Case,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// As the contract says.
    Passed,
    /// Otherwise; what was done and observed.
    Failed(String),
    /// Right, but it could be better; what was done and observed.
    Suboptimal(String),
    /// Not run, and why.
    Skipped(String),
}

impl Report {
    /// Whether no case failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// The names of the cases that failed.
    pub fn failed(&self) -> impl Iterator<Item = &'static str> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)))
            .map(|outcome| outcome.case.id)
    }

    /// Ends a test.
    ///
    /// # Panics
    ///
    /// A case failed; the message is the report.
    #[expect(clippy::panic, reason = "this is how a test fails")]
    #[track_caller]
    pub fn assert_passed(&self) {
        if !self.passed() {
            panic!("the store breaks its contract\n{self}");
        }
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| wanted(&outcome.verdict)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.outcomes.iter().filter(|o| o.verdict != Verdict::Passed) {
            writeln!(f, "{outcome}")?;
        }
        write!(
            f,
            "{} passed, {} failed, {} not optimal, {} skipped",
            self.count(|verdict| *verdict == Verdict::Passed),
            self.count(|verdict| matches!(verdict, Verdict::Failed(_))),
            self.count(|verdict| matches!(verdict, Verdict::Suboptimal(_))),
            self.count(|verdict| matches!(verdict, Verdict::Skipped(_))),
        )
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { id, group, clause, .. } = self.case;
        match &self.verdict {
            Verdict::Passed => write!(f, "passed: {group}::{id}"),
            Verdict::Skipped(reason) => write!(f, "skipped: {group}::{id}: {reason}"),
            Verdict::Failed(observed) => {
                let timed = if self.case.kind == Kind::Timed { " (timed)" } else { "" };
                write!(
                    f,
                    "FAILED: {group}::{id}{timed}\n  clause: {clause}\n  observed: {observed}"
                )
            }
            Verdict::Suboptimal(observed) => {
                write!(f, "not optimal: {group}::{id}: {clause}: {observed}")
            }
        }
    }
}
