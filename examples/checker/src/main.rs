#![doc = include_str!("../README.md")]

mod args;
mod crew;
mod deployment;
mod error;
mod fault;
mod mutant;
mod protocol;
mod report;
mod run;
mod watch;
mod worker;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::args::{Command, USAGE};

/// Violations, or losses, were found.
const FOUND: u8 = 1;
/// It could not be found out.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            say(USAGE.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Command::Check(options)) => match check(&options) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(FOUND),
            Err(error) => failed(&error),
        },
        Ok(Command::Worker) => match worker::main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        Err(error) => failed(&error),
    }
}

/// Prints a line. A reader that has gone away is no reason to stop.
fn say(line: impl std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn failed(error: &dyn std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "checker: {error}");
    ExitCode::from(FAILED)
}

/// All runs; `true` if all is well.
fn check(options: &args::Options) -> Result<bool, error::Error> {
    let stop = Arc::new(AtomicBool::new(false));
    listen(Arc::clone(&stop))?;
    let mut sums = report::Sums::default();
    for (n, topology) in (0..options.runs)
        .flat_map(|n| options.topologies.iter().map(move |topology| (u64::from(n), *topology)))
    {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let outcome = run::run(options, topology, options.seed + n, &stop)?;
        sums.add(topology, &outcome);
    }
    Ok(sums.conclude())
}

/// Sets `stop` at SIGINT or SIGTERM, so that servers and workers are stopped, too.
fn listen(stop: Arc<AtomicBool>) -> Result<(), error::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let (mut interrupt, mut terminate) = signals;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        stop.store(true, Ordering::SeqCst);
    })?;
    Ok(())
}
