//! Measures the cache.
//!
//! * `bench instructions` counts the instructions of one call in the process, under callgrind.
//! * `bench servers` compares whole servers, each on one core, under load from another.
//! * `bench scale` has many entries, many invalidations and many misses in the process.
//! * `bench results` does all of it and writes the figures down with the facts of the machine.
//!
//! Its README says what each figure means and how far it can be trusted.

mod args;
mod case;
mod error;
mod figures;
mod instructions;
mod results;
mod say;
mod scale;
mod servers;
mod table;

use std::process::ExitCode;

use crate::args::Command;
use crate::error::Error;
use crate::say::{complain, say};

fn main() -> ExitCode {
    let command = match args::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            complain(format_args!("bench: {error} (see --help)"));
            return ExitCode::from(2);
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Help => say(args::USAGE.trim_end()),
        Command::Instructions(options) => instructions::run(&options)?,
        Command::Servers(options) => servers::run(&options)?,
        Command::Scale(options) => scale::run(&options)?,
        Command::Results(options) => results::run(&options)?,
        Command::Serve { subject, redis } => servers::serve(&subject, redis.as_deref())?,
        Command::Heads { address, path, connections, seconds } => {
            servers::ask_for_heads(address, &path, connections, seconds)?;
        }
        Command::Calls { case, count } => instructions::calls(&case, count)?,
    }
    Ok(())
}
