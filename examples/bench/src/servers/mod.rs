//! Whole servers beside each other: throughput, processor time and latency over sockets.
//!
//! Each server is a process of its own on one core, the load generator (`wrk`) runs on another.
//! A subject and its base take turns, A B A B; only rounds in which the server's core was busy
//! count. Ratios are of neighbouring rounds, so that what slows the machine down slows both.

mod load;
mod process;
mod serve;
mod subject;

use std::time::Duration;

use self::load::Load;
use self::process::Server;
pub(crate) use self::serve::serve;
use self::subject::Subject;
use crate::args::Servers;
use crate::error::Error;
use crate::say::{complain, say};
use crate::table::Table;

/// Of the server's core, while a round runs. Below, something else took part of it.
const BUSY: f64 = 0.90;

/// How often more than wanted a pair of rounds may be tried.
const PATIENCE: usize = 4;

pub(crate) fn run(options: &Servers) -> Result<(), Error> {
    let only = options.only.as_deref().unwrap_or_default();
    let subjects = subject::all()
        .into_iter()
        .filter(|subject| !subject.is_base() && subject.to_string().contains(only));
    let mut table = Table::new(&[
        "subject", "req/s", "÷ bare", "spread", "µs CPU", "÷ bare", "spread", "p50 µs", "p99 µs",
        "bare p99", "pairs",
    ]);
    for subject in subjects {
        let pairs = compare(subject, options)?;
        complain(format_args!("{subject}: {} pairs", pairs.len()));
        table.row(row(subject, &pairs));
    }
    say(table);
    Ok(())
}

/// What one round of a subject and one of its base gave.
#[derive(Clone, Copy, Debug)]
struct Pair {
    base: Round,
    subject: Round,
}

#[derive(Clone, Copy, Debug)]
struct Round {
    per_second: f64,
    /// Processor time of one request, in microseconds.
    cpu: f64,
    p50: f64,
    p99: f64,
    busy: f64,
}

fn compare(subject: Subject, options: &Servers) -> Result<Vec<Pair>, Error> {
    let base = Server::start(subject.base(), options.server_core)?;
    let server = Server::start(subject, options.server_core)?;
    let (ask_base, ask) = (subject.base().load(&base, None)?, subject.load(&server, Some(()))?);
    let mut pairs = Vec::new();
    for _ in 0..options.pairs * PATIENCE {
        let pair = Pair {
            base: round(&base, &ask_base, options)?,
            subject: round(&server, &ask, options)?,
        };
        if options.smoke || (pair.base.busy >= BUSY && pair.subject.busy >= BUSY) {
            pairs.push(pair);
        }
        if pairs.len() == options.pairs {
            break;
        }
    }
    Ok(pairs)
}

fn round(server: &Server, load: &Load, options: &Servers) -> Result<Round, Error> {
    let before = server.cpu()?;
    let seen = load.run(options.load_core, options.connections, options.seconds)?;
    let cpu = server.cpu()?.saturating_sub(before);
    let requests = seen.requests.max(1.0);
    Ok(Round {
        per_second: requests / seen.seconds,
        cpu: cpu.as_secs_f64() * 1e6 / requests,
        p50: seen.p50,
        p99: seen.p99,
        busy: cpu.as_secs_f64() / Duration::from_secs_f64(seen.seconds).as_secs_f64(),
    })
}

fn row(subject: Subject, pairs: &[Pair]) -> Vec<String> {
    let of = |value: fn(&Pair) -> f64| spread(pairs.iter().map(value).collect());
    let throughput = of(|pair| pair.subject.per_second / pair.base.per_second);
    let cpu = of(|pair| pair.subject.cpu / pair.base.cpu);
    let shown = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.0}") };
    let ratio = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.3}") };
    let between = |(low, _, high): (f64, f64, f64)| format!("{}–{}", ratio(low), ratio(high));
    vec![
        subject.to_string(),
        shown(of(|pair| pair.subject.per_second).1),
        ratio(throughput.1),
        between(throughput),
        format!("{:.2}", of(|pair| pair.subject.cpu).1),
        ratio(cpu.1),
        between(cpu),
        shown(of(|pair| pair.subject.p50).1),
        shown(of(|pair| pair.subject.p99).1),
        shown(of(|pair| pair.base.p99).1),
        pairs.len().to_string(),
    ]
}

/// Least, median and greatest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 || values.is_empty() {
        at(middle)
    } else {
        f64::midpoint(at(middle - 1), at(middle))
    };
    (at(0), median, values.last().copied().unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert_eq!(spread(vec![4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
    }
}
