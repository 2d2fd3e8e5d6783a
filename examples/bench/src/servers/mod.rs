//! Whole servers beside each other: throughput, processor time and latency over sockets.
//!
//! Each server is a process of its own on one core, the load generator runs on another. A subject
//! and its base take turns, A B A B; only rounds in which the server's core was busy and nothing
//! else had the cores count. Ratios are of neighbouring rounds, so that what slows the machine
//! down slows both.

mod client;
mod floor;
mod load;
mod process;
mod round;
mod serve;
mod server;
mod subject;

pub(crate) use self::client::ask_for_heads;
use self::process::require;
pub(crate) use self::process::{cpu_of_this, pin_this_thread};
use self::round::{Compared, Pair};
pub(crate) use self::serve::serve;
pub(crate) use self::server::Redis;
use self::subject::{By, Peer, Subject};
use crate::args::Servers;
use crate::error::Error;
use crate::figures::spread;
use crate::say::{complain, say};
use crate::table::Table;

/// Measures, and prints the table.
pub(crate) fn run(options: &Servers) -> Result<(), Error> {
    say(measure(options)?);
    Ok(())
}

/// Measures. What is missing on this machine is said before anything is started.
pub(crate) fn measure(options: &Servers) -> Result<Table, Error> {
    let subjects = chosen(options);
    if subjects.is_empty() {
        return Err(Error::other("no subject has such a name"));
    }
    require_all(&subjects)?;
    let mut table = Table::new(&[
        "subject", "req/s", "÷ bare", "spread", "µs CPU", "÷ bare", "spread", "p50 µs", "p99 µs",
        "bare p99", "pairs",
    ]);
    for subject in subjects {
        let Compared { pairs, filling } = match round::compare(subject, options) {
            Ok(compared) => compared,
            Err(error) if options.smoke => return Err(error),
            // The rows that are there took their time.
            Err(error) => {
                complain(format_args!("{subject}: {error}"));
                Compared::default()
            }
        };
        complain(format_args!("{subject}: {} pairs", pairs.len()));
        table.row(row(subject.to_string(), &pairs));
        if !filling.is_empty() {
            table.row(row(format!("{subject}, store filling"), &filling));
        }
    }
    Ok(table)
}

fn chosen(options: &Servers) -> Vec<Subject> {
    let only = options.only.as_deref().unwrap_or_default();
    let mut subjects = subject::all(options.peers);
    subjects.retain(|subject| subject.to_string().contains(only));
    subjects
}

fn require_all(subjects: &[Subject]) -> Result<(), Error> {
    for (program, package) in [("wrk", "wrk"), ("taskset", "util-linux"), ("setpriv", "util-linux")]
    {
        require(program, package)?;
    }
    for subject in subjects {
        match subject.by {
            By::Memory | By::Floor | By::Peer(Peer::AxumResponseCache) => {}
            By::Redis => require("redis-server", "redis-server")?,
            By::Peer(Peer::Nginx) => require("nginx", "nginx-light")?,
            // It compiles its configuration.
            By::Peer(Peer::Varnish) => {
                require("varnishd", "varnish")?;
                require("gcc", "gcc")?;
            }
        }
    }
    Ok(())
}

fn row(subject: String, pairs: &[Pair]) -> Vec<String> {
    let of = |value: fn(&Pair) -> f64| spread(pairs.iter().map(value).collect());
    let throughput = of(|pair| pair.subject.per_second / pair.base.per_second);
    let cpu = of(|pair| pair.subject.cpu / pair.base.cpu);
    let shown = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.0}") };
    let ratio = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.3}") };
    let cpu_each =
        |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.2}") };
    let between = |(low, _, high): (f64, f64, f64)| format!("{}–{}", ratio(low), ratio(high));
    vec![
        subject,
        shown(of(|pair| pair.subject.per_second).1),
        ratio(throughput.1),
        between(throughput),
        cpu_each(of(|pair| pair.subject.cpu).1),
        ratio(cpu.1),
        between(cpu),
        shown(of(|pair| pair.subject.p50).1),
        shown(of(|pair| pair.subject.p99).1),
        shown(of(|pair| pair.base.p99).1),
        pairs.len().to_string(),
    ]
}
