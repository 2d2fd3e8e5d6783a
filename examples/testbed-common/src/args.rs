//! The command line.

use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use cache_core::Policy;
use cache_core::policy::Span;
use lexopt::prelude::{Long, Short, ValueExt};

/// The text of `--help`, after the program's name.
pub const OPTIONS: &str = "\
Options:
  --listen ADDRESS  where to listen; port 0 takes a free one [default: 127.0.0.1:0]
  --store STORE     memory, redis://…, rediss://…, unix://…, redis-sentinel://…,
                    redis-cluster://… [default: memory]
  --prefix PREFIX   what the store's keys begin with [default: tb:]
  --policy JSON     settings laid over the application-wide policy, such as {\"ttl\":\"5s\"}
  --workers N       worker threads, 1 to 512 [default: the number of cores]
  --store-timeout D the longest that one call of the store may take, such as 2s
                    [default: 250ms]
  --cas-file DIR    keep the registers of /cas in this directory, for several processes
  -h, --help        print this text
";

/// The most worker threads: as many as actix starts.
const MAX_WORKERS: usize = 512;

/// What to do.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the testbeds handle both")]
pub enum Command {
    /// Print the usage.
    Help,
    /// Serve.
    Serve(Box<Options>),
}

/// How to serve.
#[derive(Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The store's name or address. It may hold a password.
    pub store: String,
    /// What the store's keys begin with.
    pub prefix: String,
    /// The application-wide policy: the testbed's own under what `--policy` says.
    pub policy: Policy,
    /// Worker threads.
    pub workers: NonZeroUsize,
    /// The longest that one call of the store may take; the library's default if `None`.
    pub store_timeout: Option<Duration>,
    /// Where several processes keep the registers of `/cas`.
    pub cas_dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            store: "memory".to_owned(),
            prefix: "tb:".to_owned(),
            // Two processes on different ports share entries.
            policy: Policy::new().host_in_key(false),
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            store_timeout: None,
            cas_dir: None,
        }
    }
}

/// Reads the arguments, without the program's name.
///
/// # Errors
///
/// What cannot be understood, named.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => options.listen = value(&mut parser, "--listen")?,
            Long("store") => options.store = parser.value()?.string()?,
            Long("prefix") => options.prefix = parser.value()?.string()?,
            Long("workers") => options.workers = workers(&mut parser)?,
            Long("store-timeout") => {
                let limit: Span = value(&mut parser, "--store-timeout")?;
                options.store_timeout = Some(limit.0);
            }
            Long("cas-file") => options.cas_dir = Some(parser.value()?.into()),
            Long("policy") => {
                let text = parser.value()?.string()?;
                let policy: Policy = serde_json::from_str(&text)
                    .map_err(|error| lexopt::Error::from(format!("--policy: {error}")))?;
                options.policy = policy.over(&options.policy);
            }
            Short('h') | Long("help") => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Command::Serve(Box::new(options)))
}

/// The value of an option, which a refusal names.
fn value<T: FromStr<Err: Display>>(
    parser: &mut lexopt::Parser,
    option: &str,
) -> Result<T, lexopt::Error> {
    let text = parser.value()?.string()?;
    text.parse().map_err(|error| format!("{option} {text:?}: {error}").into())
}

fn workers(parser: &mut lexopt::Parser) -> Result<NonZeroUsize, lexopt::Error> {
    let text = parser.value()?.string()?;
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= MAX_WORKERS);
    count.ok_or_else(|| {
        format!("--workers {text:?}: expected a number from 1 to {MAX_WORKERS}").into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        match parse(arguments.iter().map(Into::into)) {
            Ok(Command::Serve(options)) => Ok(*options),
            Ok(Command::Help) => Err("help".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn everything_is_read() {
        let options = parsed(&[
            "--listen=127.0.0.1:81",
            "--store",
            "redis://h:1/2",
            "--prefix=p:",
            "--workers=3",
            "--store-timeout=2s",
            "--cas-file=/tmp/x",
            r#"--policy={"ttl":"5s"}"#,
        ])
        .unwrap();
        assert_eq!(options.listen.port(), 81);
        assert_eq!(options.store_timeout, Some(Duration::from_secs(2)));
        assert_eq!((options.store.as_str(), options.prefix.as_str()), ("redis://h:1/2", "p:"));
        assert_eq!(options.workers.get(), 3);
        assert_eq!(options.cas_dir.unwrap().to_str(), Some("/tmp/x"));
        let policy = serde_json::to_string(&options.policy).unwrap();
        assert_eq!(policy, r#"{"ttl":"5s","host_in_key":false}"#);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (arguments, expected) in [
            (&["--listen"][..], "--listen"),
            (&["--nonsense"], "--nonsense"),
            (&["--listen", "nowhere"], "--listen \"nowhere\""),
            (&["--workers", "0"], "--workers \"0\""),
            (&["--workers", "many"], "--workers \"many\""),
            (&["--workers", "513"], "1 to 512"),
            (&["--store-timeout", "soon"], "--store-timeout"),
            (&["--policy", r#"{"tll":"5s"}"#], "tll"),
            (&["--policy", r#"{"ttl":"soon"}"#], "ttl"),
            (&["--policy", r#"{"status_header":{"name":"a b"}}"#], "status_header"),
        ] {
            let message = parsed(arguments).unwrap_err();
            assert!(message.contains(expected), "{arguments:?}: {message}");
        }
    }
}
