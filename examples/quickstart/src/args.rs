//! The command line.

use std::fmt;
use std::path::PathBuf;

use lexopt::prelude::{Long, Short, ValueExt};

pub(crate) const USAGE: &str = "\
An axum API over SQLite whose answers come from the cache.

Usage: quickstart [OPTIONS]

Options:
  --listen ADDRESS  where to listen; port 0 takes a free one [default: 127.0.0.1:3000]
  --db PATH         keep the database in this file [default: a temporary file]
  --store STORE     where cached answers are kept: memory, or a Redis server's URL,
                    such as redis://127.0.0.1:6379 [default: memory]
  -h, --help        print this text
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Serve(Options),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) listen: String,
    /// `None`: a temporary file.
    pub(crate) db: Option<PathBuf>,
    pub(crate) store: StoreKind,
}

impl Default for Options {
    fn default() -> Self {
        Self { listen: "127.0.0.1:3000".to_owned(), db: None, store: StoreKind::Memory }
    }
}

/// Where cached answers are kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    /// Of this URL. It may hold a password.
    Redis(String),
}

impl fmt::Debug for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "Memory",
            Self::Redis(_) => "Redis(…)",
        })
    }
}

/// Reads the arguments, without the program's name.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Command, lexopt::Error> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => options.listen = parser.value()?.string()?,
            Long("db") => options.db = Some(parser.value()?.into()),
            Long("store") => options.store = store(&parser.value()?.string()?)?,
            Short('h') | Long("help") => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Serve(options))
}

fn store(name: &str) -> Result<StoreKind, String> {
    match name {
        "memory" => Ok(StoreKind::Memory),
        url if url.starts_with("redis") || url.starts_with("unix:") => {
            Ok(StoreKind::Redis(url.to_owned()))
        }
        _ => Err(format!(
            "invalid argument for option '--store': no store '{name}'; \
             try 'memory' or 'redis://127.0.0.1:6379'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Command, String> {
        parse(arguments.iter().map(Into::into)).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_the_defaults_hold() {
        assert_eq!(parsed(&[]), Ok(Command::Serve(Options::default())));
    }

    #[test]
    fn both_spellings_of_a_value_are_read() {
        let expected = Options {
            listen: "[::1]:0".to_owned(),
            db: Some("cities.db".into()),
            store: StoreKind::Memory,
        };
        let arguments = ["--listen", "[::1]:0", "--db=cities.db", "--store=memory"];
        assert_eq!(parsed(&arguments), Ok(Command::Serve(expected)));
    }

    #[test]
    fn a_redis_url_is_taken_and_not_shown() {
        let Ok(Command::Serve(options)) = parsed(&["--store", "redis://:secret@localhost"]) else {
            panic!("refused")
        };
        assert_eq!(options.store, StoreKind::Redis("redis://:secret@localhost".to_owned()));
        assert!(!format!("{options:?}").contains("secret"));
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (arguments, expected) in [
            (&["--listen"][..], "--listen"),
            (&["--nonsense"], "--nonsense"),
            (&["--store", "etcd://localhost"], "etcd://localhost"),
            (&["extra"], "extra"),
        ] {
            let message = parsed(arguments).unwrap_err();
            assert!(message.contains(expected), "{arguments:?}: {message}");
        }
    }
}
