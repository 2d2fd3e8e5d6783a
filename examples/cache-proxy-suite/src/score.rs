//! From the suite's result to a score.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalogue::{Catalogue, Kind, Test};

/// What the suite's client wrote of one test: `true`, or the kind and text of a failure.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Outcome {
    Passed(bool),
    Failed(String, String),
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As demanded.
    Pass,
    /// Not as demanded.
    Fail(String),
    /// The scene for the test could not be set.
    NotSet(String),
    /// A test that it depends on did not pass.
    NotJudged,
    /// The result does not have it.
    Missing,
}

impl Verdict {
    /// In one word, so that runs can be compared whose messages hold times and ports.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::NotSet(_) => "setup failed",
            Self::NotJudged => "not judged",
            Self::Missing => "missing",
        }
    }
}

/// The verdicts of one run, by test.
#[derive(Clone, Debug)]
pub(crate) struct Verdicts(BTreeMap<String, Verdict>);

impl Verdicts {
    /// Judges a result as the suite's own pages do.
    pub(crate) fn judge(catalogue: &Catalogue, result: &str) -> Result<Self, String> {
        let outcomes: BTreeMap<String, Outcome> =
            serde_json::from_str(result).map_err(|error| format!("the suite's result: {error}"))?;
        let judged = catalogue.tests.iter().map(|test| {
            (test.id.clone(), judge(catalogue, &outcomes, test, catalogue.tests.len()))
        });
        Ok(Self(judged.collect()))
    }

    pub(crate) fn of(&self, test: &Test) -> &Verdict {
        self.0.get(&test.id).unwrap_or(&Verdict::Missing)
    }
}

/// `depth` ends a circle of dependencies.
fn judge(
    catalogue: &Catalogue,
    outcomes: &BTreeMap<String, Outcome>,
    test: &Test,
    depth: usize,
) -> Verdict {
    let Some(outcome) = outcomes.get(&test.id) else { return Verdict::Missing };
    let passes = |id: &String| {
        let needed = catalogue.by_id(id).filter(|_| depth > 0);
        needed.is_some_and(|needed| judge(catalogue, outcomes, needed, depth - 1) == Verdict::Pass)
    };
    if !test.depends_on.iter().all(passes) {
        return Verdict::NotJudged;
    }
    match outcome {
        Outcome::Passed(true) => Verdict::Pass,
        Outcome::Passed(false) => Verdict::Fail(String::new()),
        Outcome::Failed(kind, text) if kind == "Setup" => Verdict::NotSet(text.clone()),
        Outcome::Failed(_, text) => Verdict::Fail(text.clone()),
    }
}

/// Passes out of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) of: usize,
}

impl Count {
    fn add(&mut self, passed: bool) {
        self.passed += usize::from(passed);
        self.of += 1;
    }

    const fn plus(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, of: self.of + other.of }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.of == 0 { f.pad("–") } else { f.pad(&format!("{}/{}", self.passed, self.of)) }
    }
}

/// The passes of one group of tests, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) required: Count,
    pub(crate) optimal: Count,
    /// Required tests that no longer stand.
    pub(crate) old_required: Count,
    /// Optimal tests that no longer stand.
    pub(crate) old_optimal: Count,
}

impl Row {
    /// Every required test of the release.
    pub(crate) const fn all_required(&self) -> Count {
        self.required.plus(self.old_required)
    }

    /// Every optimal test of the release.
    pub(crate) const fn all_optimal(&self) -> Count {
        self.optimal.plus(self.old_optimal)
    }

    fn add(&mut self, kind: Kind, stands: bool, passed: bool) {
        match (kind, stands) {
            (Kind::Required, true) => self.required.add(passed),
            (Kind::Optimal, true) => self.optimal.add(passed),
            (Kind::Required, false) => self.old_required.add(passed),
            (Kind::Optimal, false) => self.old_optimal.add(passed),
            (Kind::Check, _) => {}
        }
    }
}

/// The score by group, in the suite's order, and the total.
pub(crate) fn score(catalogue: &Catalogue, verdicts: &Verdicts) -> (Vec<Row>, Row) {
    let mut rows: Vec<(&str, Row)> = Vec::new();
    let mut total = Row { name: "Total".to_owned(), ..Row::default() };
    for test in &catalogue.tests {
        let (stands, passed) = (catalogue.stands(test), *verdicts.of(test) == Verdict::Pass);
        total.add(test.kind, stands, passed);
        match rows.iter_mut().find(|(group, _)| *group == test.group) {
            Some((_, row)) => row.add(test.kind, stands, passed),
            None => {
                let mut row = Row { name: test.group_name.clone(), ..Row::default() };
                row.add(test.kind, stands, passed);
                rows.push((&test.group, row));
            }
        }
    }
    (rows.into_iter().map(|(_, row)| row).collect(), total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::small;

    const RESULT: &str =
        r#"{"first":["Setup","no scene"],"second":true,"third":["Assertion","no"],"old":true}"#;

    #[test]
    fn what_depends_on_a_failure_is_not_judged() {
        let catalogue = small();
        let verdicts = Verdicts::judge(&catalogue, RESULT).unwrap();
        let words: Vec<_> = catalogue.tests.iter().map(|test| verdicts.of(test).word()).collect();
        assert_eq!(words, ["setup failed", "not judged", "fail", "pass"]);
    }

    #[test]
    fn the_score_counts_passes_of_what_stands_and_of_all() {
        let catalogue = small();
        let verdicts = Verdicts::judge(&catalogue, RESULT).unwrap();
        let (rows, total) = score(&catalogue, &verdicts);
        assert_eq!(rows.len(), 3);
        assert_eq!(total.required, Count { passed: 0, of: 2 });
        assert_eq!(total.all_required(), Count { passed: 1, of: 3 });
        assert_eq!(total.optimal, Count { passed: 0, of: 1 });
    }

    #[test]
    fn a_test_without_a_result_is_missing() {
        let catalogue = small();
        let verdicts = Verdicts::judge(&catalogue, "{}").unwrap();
        assert_eq!(verdicts.of(&catalogue.tests[0]).word(), "missing");
        assert!(Verdicts::judge(&catalogue, "Running").is_err());
    }
}
