//! The command line.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use lexopt::prelude::{Long, Short, ValueExt};

use crate::deployment::Topology;
use crate::fault::{self, FaultKind};
use crate::mutant::Mutant;

pub(crate) const USAGE: &str = "\
Starts Redis servers and processes that share a cache on them, breaks both, and checks
that nothing stale was served after an invalidation had returned.

Usage: checker [OPTIONS]

Options:
  --topology NAME   single, sentinel, cluster or all [default: all]
  --seconds N       how long each run goes on [default: 60]
  --runs N          runs of each topology, with seeds SEED, SEED+1, … [default: 1]
  --seed N          what decides every random choice [default: 1]
  --workers N       processes [default: 3]
  --faults LIST     all, none, light (no server stops), or names with commas [default: all]
  --mutant NAME     check a broken store instead: naive, unproven (single topology only)
  -h, --help        print this text

Exit codes: 0 nothing found; 1 violations or losses, printed with their events; 2 could not run.
The program redis-server, or $REDIS_SERVER_BIN, is needed.
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Check(Options),
    /// A process of a run: not for people.
    Worker,
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) topologies: Vec<Topology>,
    pub(crate) duration: Duration,
    pub(crate) runs: u32,
    pub(crate) seed: u64,
    pub(crate) workers: u32,
    pub(crate) faults: Vec<&'static FaultKind>,
    pub(crate) mutant: Option<Mutant>,
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Command, lexopt::Error> {
    let mut options = Options {
        topologies: Topology::ALL.to_vec(),
        duration: Duration::from_secs(60),
        runs: 1,
        seed: 1,
        workers: 3,
        faults: fault::named("all").unwrap_or_default(),
        mutant: None,
    };
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("topology") => {
                let name = parser.value()?.string()?;
                options.topologies = match Topology::named(&name) {
                    Some(topology) => vec![topology],
                    None if name == "all" => Topology::ALL.to_vec(),
                    None => return Err(refused("topology", &name)),
                };
            }
            Long("seconds") => {
                options.duration =
                    Duration::from_secs(parser.value()?.parse::<NonZeroU64>()?.get());
            }
            Long("runs") => options.runs = parser.value()?.parse::<NonZeroU32>()?.get(),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("workers") => {
                let workers = parser.value()?;
                options.workers = workers.parse::<u32>()?;
                if !(2..=64).contains(&options.workers) {
                    return Err(refused("workers", &workers.string()?));
                }
            }
            Long("faults") => {
                let names = parser.value()?.string()?;
                options.faults = fault::named(&names).ok_or_else(|| refused("faults", &names))?;
            }
            Long("mutant") => {
                let name = parser.value()?.string()?;
                let mutant = Mutant::named(&name).ok_or_else(|| refused("mutant", &name))?;
                options.mutant = Some(mutant);
            }
            Long("worker") => return Ok(Command::Worker),
            Short('h') | Long("help") => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    if options.mutant.is_some() {
        options.topologies.retain(|topology| *topology == Topology::Single);
        if options.topologies.is_empty() {
            return Err("mutants know the single topology only".into());
        }
    }
    Ok(Command::Check(options))
}

fn refused(option: &str, value: &str) -> lexopt::Error {
    format!("invalid argument for option '--{option}': '{value}'").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        match parse(arguments.iter().map(Into::into)) {
            Ok(Command::Check(options)) => Ok(options),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn everything_is_checked_by_default() {
        let options = parsed(&[]).unwrap();
        assert_eq!(options.topologies, Topology::ALL);
        assert_eq!(options.faults.len(), fault::ALL.len());
    }

    #[test]
    fn a_mutant_is_checked_on_a_single_server() {
        assert_eq!(parsed(&["--mutant", "naive"]).unwrap().topologies, [Topology::Single]);
        let error = parsed(&["--mutant=naive", "--topology=cluster"]).unwrap_err();
        assert!(error.contains("single"), "{error}");
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (arguments, expected) in [
            (&["--topology", "ring"][..], "ring"),
            (&["--faults", "cut,none-such"], "none-such"),
            (&["--seconds", "0"], "0"),
            (&["--workers", "1"], "1"),
            (&["--mutant", "x"], "x"),
            (&["--nonsense"], "--nonsense"),
        ] {
            let message = parsed(arguments).unwrap_err();
            assert!(message.contains(expected), "{arguments:?}: {message}");
        }
    }
}
