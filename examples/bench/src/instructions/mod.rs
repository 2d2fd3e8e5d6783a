//! Instructions of one call in the process.
//!
//! The program runs itself under callgrind, once per case; there, only what one function runs is
//! counted. The counts do not depend on what else the machine does, and vary by less than a
//! percent from run to run. Valgrind knows no SHA instructions, so that digests cost far more in it
//! than they do anywhere else: ratios are of what lies outside `sha2`.

mod actix;
mod axum;
mod callgrind;
mod counted;

use self::callgrind::Profile;
use crate::args::Instructions;
use crate::case::{Ask, Case, Framework, Place};
use crate::error::Error;
use crate::say::say;
use crate::table::{Table, grouped};

/// Calls per case.
const CALLS: usize = 400;

/// How many functions a profile shows.
const SHOWN: usize = 30;

const ASKS: [Ask; 6] = [Ask::Hit, Ask::Full, Ask::Varied, Ask::NotModified, Ask::Head, Ask::Miss];
const SIZES: [usize; 2] = [1 << 10, 16 << 10];

/// Counts, and prints what was counted.
pub(crate) fn run(options: &Instructions) -> Result<(), Error> {
    if options.smoke {
        return chosen(options).try_for_each(|case| call(case, 2));
    }
    say(measure(options)?);
    Ok(())
}

/// Counts.
pub(crate) fn measure(options: &Instructions) -> Result<Table, Error> {
    let mut counted: Vec<(Case, Profile)> = Vec::new();
    for case in chosen(options) {
        let profile = callgrind::count(&case.to_string(), CALLS)?;
        if options.profile {
            say(format_args!("{case}\n\n{}", profile.hottest(SHOWN)));
        }
        counted.push((case, profile));
    }
    Ok(table(&counted))
}

pub(crate) fn calls(case: &str, count: usize) -> Result<(), Error> {
    call(case.parse()?, count)
}

/// Fills the cache, checks an answer, then makes the counted calls.
fn call(case: Case, count: usize) -> Result<(), Error> {
    match case.framework {
        Framework::Axum => axum::run(case, count),
        Framework::Actix => actix::run(case, count),
    }
}

fn chosen(options: &Instructions) -> impl Iterator<Item = Case> {
    let only = options.only.as_deref().unwrap_or_default();
    all().into_iter().filter(move |case| case.to_string().contains(only))
}

/// All cases, bare ones first.
fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for framework in Framework::ALL {
        for place in Place::ALL {
            for ask in ASKS {
                for size in SIZES {
                    let case = Case { framework, place, ask, size };
                    // The handler itself is asked in two ways only.
                    let asked = place != Place::Bare || matches!(ask, Ask::Hit | Ask::Miss);
                    if asked && case.exists() {
                        all.push(case);
                    }
                }
            }
        }
    }
    all
}

fn table(counted: &[(Case, Profile)]) -> Table {
    let mut table = Table::new(&[
        "case",
        "instructions",
        "outside sha2",
        "÷ bare",
        "÷ plain hit",
        "allocations",
        "own functions",
        "allocator",
    ]);
    let outside = |wanted: &Case| {
        counted.iter().find(|(case, _)| case == wanted).map(|(_, profile)| profile.outside_sha2())
    };
    let ratio = |value: u64, base: Option<u64>| {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
        base.filter(|base| *base > 0)
            .map_or_else(String::new, |base| format!("{:.2}", value as f64 / base as f64))
    };
    for (case, profile) in counted {
        let bare = Case { place: Place::Bare, ask: Ask::Hit, ..*case };
        let bare = if case.ask == Ask::Miss { Case { ask: Ask::Miss, ..bare } } else { bare };
        let plain = Case { ask: Ask::Hit, ..*case };
        let value = profile.outside_sha2();
        table.row([
            case.to_string(),
            grouped(profile.total()),
            grouped(value),
            ratio(value, outside(&bare)),
            if case.place == Place::Bare { String::new() } else { ratio(value, outside(&plain)) },
            format!("{:.1}", profile.allocations()),
            grouped(profile.own()),
            grouped(profile.allocator()),
        ]);
    }
    table
}
