//! The command line.

use std::net::SocketAddr;

use lexopt::prelude::{Long, Short, Value, ValueExt};

pub(crate) const USAGE: &str = "\
Measures the cache.

Usage: bench instructions [--only TEXT] [--profile] [--smoke]
         Instructions of one call in the process, counted by callgrind.
           --only TEXT  only cases whose name contains TEXT
           --profile    also print where the instructions are
           --smoke      run every case once without valgrind, check its answers, count nothing
       bench servers [--only TEXT] [--pairs N] [--seconds N] [--connections N] [--peers]
                     [--server-core N] [--load-core N] [--smoke]
         Throughput, processor time and latency of whole servers beside bare ones.
           --only TEXT      only subjects whose name contains TEXT
           --pairs N        rounds of each subject and of its base [default: 5]
           --seconds N      of a round [default: 2]
           --connections N  that are kept open, where the subject does not say [default: 32]
           --peers          other caches, too: axum-response-cache, nginx and Varnish
           --server-core N  where servers run [default: 0]
           --load-core N    where load generator and Redis run [default: 1]
           --smoke          one pair of one second, whatever else the machine does
       bench scale [--only TEXT] [--smoke]
         Many entries, many invalidations, many misses, hit ratios; in the process.
           --only TEXT      only parts whose name contains TEXT: cores, memory, misses, ratio, storm
           --smoke          small numbers, to see that it works
       bench results [options of servers]
         All of these; writes RESULTS.md beside the README, with the facts of this machine.
       bench serve SUBJECT [--redis URL]
         One of these servers, until it is ended.
       bench heads ADDRESS PATH CONNECTIONS SECONDS
         A load generator for HEAD.
       bench calls CASE COUNT
         What `instructions` runs under callgrind.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Instructions(Instructions),
    Servers(Servers),
    Scale(Scale),
    Results(Servers),
    Serve { subject: String, redis: Option<String> },
    Heads { address: SocketAddr, path: String, connections: usize, seconds: u64 },
    Calls { case: String, count: usize },
}

/// How to compare servers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Servers {
    pub(crate) only: Option<String>,
    pub(crate) pairs: usize,
    pub(crate) seconds: u64,
    pub(crate) connections: usize,
    pub(crate) peers: bool,
    pub(crate) server_core: usize,
    pub(crate) load_core: usize,
    pub(crate) smoke: bool,
}

impl Default for Servers {
    fn default() -> Self {
        Self {
            only: None,
            pairs: 5,
            seconds: 2,
            connections: 32,
            peers: false,
            server_core: 0,
            load_core: 1,
            smoke: false,
        }
    }
}

/// What to do many times.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scale {
    pub(crate) only: Option<String>,
    pub(crate) smoke: bool,
}

/// How to count instructions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Instructions {
    pub(crate) only: Option<String>,
    pub(crate) profile: bool,
    pub(crate) smoke: bool,
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    match parser.next()? {
        None | Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(Value(name)) => match name.string()?.as_str() {
            "instructions" => instructions(&mut parser),
            "servers" => Ok(Command::Servers(servers(&mut parser)?)),
            "scale" => scale(&mut parser),
            "results" => Ok(Command::Results(servers(&mut parser)?)),
            "serve" => serve(&mut parser),
            "heads" => heads(&mut parser),
            "calls" => calls(&mut parser),
            other => Err(format!("no command '{other}'").into()),
        },
        Some(other) => Err(other.unexpected()),
    }
}

fn instructions(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut options = Instructions::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => options.only = Some(parser.value()?.string()?),
            Long("profile") => options.profile = true,
            Long("smoke") => options.smoke = true,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Instructions(options))
}

fn servers(parser: &mut lexopt::Parser) -> Result<Servers, lexopt::Error> {
    let mut options = Servers::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => options.only = Some(parser.value()?.string()?),
            Long("pairs") => options.pairs = positive(parser)?,
            Long("seconds") => options.seconds = positive(parser)? as u64,
            Long("connections") => options.connections = positive(parser)?,
            Long("peers") => options.peers = true,
            Long("server-core") => options.server_core = parser.value()?.parse()?,
            Long("load-core") => options.load_core = parser.value()?.parse()?,
            Long("smoke") => {
                (options.smoke, options.pairs, options.seconds) = (true, 1, 1);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(options)
}

fn positive(parser: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    let value: usize = parser.value()?.parse()?;
    if value == 0 { Err("0 where something must be counted".into()) } else { Ok(value) }
}

fn scale(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut options = Scale::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => options.only = Some(parser.value()?.string()?),
            Long("smoke") => options.smoke = true,
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Scale(options))
}

fn serve(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let subject = parser.value()?.string()?;
    let mut redis = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("redis") => redis = Some(parser.value()?.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Serve { subject, redis })
}

fn heads(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    Ok(Command::Heads {
        address: parser.value()?.parse()?,
        path: parser.value()?.string()?,
        connections: parser.value()?.parse()?,
        seconds: parser.value()?.parse()?,
    })
}

fn calls(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    Ok(Command::Calls { case: parser.value()?.string()?, count: parser.value()?.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(Into::into)).map_err(|error| error.to_string())
    }

    #[test]
    fn commands_and_their_options_are_read() {
        assert_eq!(parsed(&[]), Ok(Command::Help));
        let options = Instructions { only: Some("axum".to_owned()), profile: true, smoke: false };
        assert_eq!(
            parsed(&["instructions", "--only=axum", "--profile"]),
            Ok(Command::Instructions(options))
        );
        let options = Servers { pairs: 7, peers: true, ..Servers::default() };
        assert_eq!(parsed(&["servers", "--pairs", "7", "--peers"]), Ok(Command::Servers(options)));
        assert_eq!(
            parsed(&["serve", "a", "--redis", "b"]),
            Ok(Command::Serve { subject: "a".to_owned(), redis: Some("b".to_owned()) })
        );
        let calls = Command::Calls { case: "axum/bare".to_owned(), count: 5 };
        assert_eq!(parsed(&["calls", "axum/bare", "5"]), Ok(calls));
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (arguments, expected) in [
            (&["dance"][..], "dance"),
            (&["instructions", "--fast"], "--fast"),
            (&["servers", "--pairs", "0"], "0"),
        ] {
            let message = parsed(arguments).unwrap_err();
            assert!(message.contains(expected), "{arguments:?}: {message}");
        }
    }
}
