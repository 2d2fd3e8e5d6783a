//! What is told of the runs.

use std::fmt::Write as _;

use crate::catalogue::{Catalogue, Kind, Test};
use crate::score::{Row, Verdict, Verdicts, score};

/// What must be reached under a policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) policy: &'static str,
    pub(crate) required: usize,
    pub(crate) optimal: usize,
}

/// One combination of framework and store.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) name: String,
    pub(crate) verdicts: Verdicts,
}

/// The report, and whether everything is as it must be.
pub(crate) fn report(
    catalogue: &Catalogue,
    bounds: &Bounds,
    runs: &[Run],
    all: bool,
) -> (String, bool) {
    let mut text = format!("\npolicy {}\n", bounds.policy);
    let mut good = !runs.is_empty();
    for (number, run) in runs.iter().enumerate() {
        let (rows, total) = score(catalogue, &run.verdicts);
        if number == 0 {
            table(&mut text, &rows, &total);
        }
        let kept =
            total.required.passed >= bounds.required && total.optimal.passed >= bounds.optimal;
        good &= kept;
        let verdict = if kept { "" } else { "  BELOW THE BOUNDS" };
        let _ = writeln!(
            text,
            "{:<16} standing: required {}, optimal {}; all: required {}, optimal {}{verdict}",
            run.name,
            total.required,
            total.optimal,
            total.all_required(),
            total.all_optimal(),
        );
    }
    if let Some(first) = runs.first() {
        misses(&mut text, catalogue, first, all);
    }
    let same = differences(&mut text, catalogue, runs);
    (text, good && same)
}

fn table(text: &mut String, rows: &[Row], total: &Row) {
    let _ = writeln!(text, "\n{:<56} {:>9} {:>9}", "standing tests passed", "required", "optimal");
    for row in rows.iter().chain([total]) {
        if row.required.of + row.optimal.of > 0 {
            let _ = writeln!(text, "{:<56} {:>9} {:>9}", row.name, row.required, row.optimal);
        }
    }
    text.push('\n');
}

/// What did not pass in the first run; the others agree with it, or are told below.
fn misses(text: &mut String, catalogue: &Catalogue, run: &Run, all: bool) {
    for test in &catalogue.tests {
        let verdict = run.verdicts.of(test);
        let demanded = test.kind != Kind::Check && catalogue.stands(test);
        let missed = demanded && *verdict != Verdict::Pass;
        if !missed && !all {
            continue;
        }
        let kind = match (test.kind, catalogue.stands(test)) {
            (Kind::Check, _) => "check",
            (_, false) => "superseded",
            (Kind::Required, true) => "required",
            (Kind::Optimal, true) => "optimal",
        };
        let why = match verdict {
            Verdict::Fail(why) | Verdict::NotSet(why) => why.as_str(),
            Verdict::Pass | Verdict::NotJudged | Verdict::Missing => "",
        };
        let _ = writeln!(text, "{:<12} {kind:<10} {}  {why}", verdict.word(), test.id);
    }
}

/// The tests on which the combinations do not agree.
fn differences(text: &mut String, catalogue: &Catalogue, runs: &[Run]) -> bool {
    let differ = |test: &&Test| {
        let mut words = runs.iter().map(|run| run.verdicts.of(test).word());
        let first = words.next();
        words.any(|word| Some(word) != first)
    };
    let different: Vec<&Test> = catalogue.tests.iter().filter(differ).collect();
    for test in &different {
        let _ = writeln!(text, "DIFFERENT    {}", test.id);
        for run in runs {
            let verdict = run.verdicts.of(test);
            let _ = writeln!(text, "             {:<16} {verdict:?}", run.name);
        }
    }
    let agree = if different.is_empty() { "agree on every test" } else { "do not agree" };
    let _ = writeln!(text, "the {} combinations {agree}", runs.len());
    different.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::tests::small;

    const BOUNDS: Bounds = Bounds { policy: "default", required: 2, optimal: 0 };

    fn run(name: &str, result: &str) -> Run {
        let verdicts = Verdicts::judge(&small(), result).unwrap();
        Run { name: name.to_owned(), verdicts }
    }

    #[test]
    fn bounds_that_are_kept_by_all_are_good() {
        let good =
            run("a", r#"{"first":true,"second":true,"third":["Assertion","no"],"old":true}"#);
        let (text, kept) = report(&small(), &BOUNDS, &[good.clone(), good], false);
        assert!(kept, "{text}");
        assert!(text.contains("third  no") && text.contains("agree on every test"), "{text}");
    }

    #[test]
    fn a_run_below_the_bounds_is_not_good() {
        let bad = run("a", r#"{"first":["Assertion","no"],"second":true,"third":true,"old":true}"#);
        let (text, kept) = report(&small(), &BOUNDS, &[bad], false);
        assert!(!kept && text.contains("BELOW"), "{text}");
    }

    #[test]
    fn runs_that_differ_are_not_good() {
        let one = run("a", r#"{"first":true,"second":true,"third":true,"old":true}"#);
        let other = run("b", r#"{"first":true,"second":true,"third":true,"old":["Setup","x"]}"#);
        let (text, kept) = report(&small(), &BOUNDS, &[one, other], false);
        assert!(!kept && text.contains("DIFFERENT    old"), "{text}");
    }
}
