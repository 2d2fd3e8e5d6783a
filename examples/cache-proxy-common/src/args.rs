//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use cache_core::Policy;
use http::uri::{Authority, Scheme, Uri};
use lexopt::prelude::{Long, Short, ValueExt};

use crate::fields;

/// The text of `--help`, after the program's name.
pub const OPTIONS: &str = "\
Options:
  --origin URL      the server behind, such as http://127.0.0.1:8000
  --listen ADDRESS  where to listen; port 0 takes a free one [default: 127.0.0.1:0]
  --store STORE     memory, redis://…, rediss://…, unix://…, redis-sentinel://…,
                    redis-cluster://… [default: memory]
  --prefix PREFIX   what the store's keys begin with [default: proxy:]
  --store-timeout MS
                    how long the store may take before the origin is asked [default: 250]
  --policy JSON     settings laid over the proxy's policy, such as {\"keep\":\"1d\"}
  --safe            keep the library's own rules for cookies: a request with Cookie bypasses the
                    cache, a response with Set-Cookie is not stored
  --patience SECS   how long the origin may take to begin its answer, connecting included, and
                    between two pieces of it [default: 30]
  --workers N       worker threads [default: the number of cores]
  -h, --help        print this text
";

/// The proxy's policy: a shared cache by RFC 9111, as other proxies are set up. Cookies are
/// ordinary fields, for an origin that speaks to shared caches says with `Cache-Control` what is
/// private.
const POLICY: &str = r#"{"mode":"http","stale_if_error":"0s"}"#;

/// What `--safe` leaves out of it.
const COOKIES: &str = r#"{"cookies":"rfc","set_cookie":"danger_replay"}"#;

/// What to do.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the proxies handle both")]
pub enum Command {
    /// Print the usage.
    Help,
    /// Serve.
    Serve(Box<Options>),
}

/// How to serve.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The server behind.
    pub origin: Authority,
    /// The store's name or address. It may hold a password.
    pub store: String,
    /// What the store's keys begin with.
    pub prefix: String,
    /// How long the store may take before the origin is asked.
    pub store_timeout: Duration,
    /// The policy of everything that passes.
    pub policy: Policy,
    /// How long the origin may take for each of its steps.
    pub patience: Duration,
    /// Worker threads.
    pub workers: NonZeroUsize,
}

/// Reads the arguments, without the program's name.
///
/// # Errors
///
/// What cannot be understood, named.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut origin = None;
    let (mut store, mut prefix) = ("memory".to_owned(), "proxy:".to_owned());
    let mut patience = Duration::from_secs(30);
    let mut store_timeout = Duration::from_millis(250);
    let mut workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (mut own, mut safe) = (Policy::new(), false);
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("origin") => origin = Some(authority(&parser.value()?.string()?)?),
            Long("listen") => listen = parser.value()?.parse()?,
            Long("store") => store = parser.value()?.string()?,
            Long("prefix") => prefix = parser.value()?.string()?,
            Long("workers") => workers = parser.value()?.parse()?,
            Long("safe") => safe = true,
            Long("patience") => {
                let seconds = parser.value()?.parse::<std::num::NonZeroU32>()?;
                patience = Duration::from_secs(seconds.get().into());
            }
            Long("store-timeout") => {
                let millis = parser.value()?.parse::<std::num::NonZeroU32>()?;
                store_timeout = Duration::from_millis(millis.get().into());
            }
            Long("policy") => own = policy(&parser.value()?.string()?)?.over(&own),
            Short('h') | Long("help") => return Ok(Command::Help),
            _ => return Err(argument.unexpected()),
        }
    }
    let mut base = policy(POLICY)?;
    if !safe {
        base = policy(COOKIES)?.over(&base);
    }
    let origin = origin.ok_or("--origin is missing")?;
    let policy = own.over(&base).condition(|head| fields::reach_the_origin(head.headers()));
    let options =
        Options { listen, origin, store, prefix, store_timeout, policy, patience, workers };
    Ok(Command::Serve(Box::new(options)))
}

fn policy(text: &str) -> Result<Policy, lexopt::Error> {
    serde_json::from_str(text).map_err(|error| format!("--policy: {error}").into())
}

/// Only scheme and authority: a path would have to be joined with every target.
fn authority(text: &str) -> Result<Authority, lexopt::Error> {
    let wrong = || format!("--origin: {text:?} is no http://HOST[:PORT]");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let plain = uri.scheme() == Some(&Scheme::HTTP) && matches!(uri.path(), "" | "/");
    let authority = uri.into_parts().authority.filter(|a| plain && !a.as_str().contains('@'));
    Ok(authority.ok_or_else(wrong)?)
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
            "--origin=http://[::1]:8000",
            "--listen=127.0.0.1:81",
            "--store",
            "redis://h:1/2",
            "--prefix=p:",
            "--store-timeout=900",
            "--workers=3",
            "--patience=2",
            r#"--policy={"max_body":10}"#,
            "--safe",
        ])
        .unwrap();
        assert_eq!((options.listen.port(), options.origin.as_str()), (81, "[::1]:8000"));
        assert_eq!((options.store.as_str(), options.prefix.as_str()), ("redis://h:1/2", "p:"));
        assert_eq!(options.store_timeout, Duration::from_millis(900));
        assert_eq!((options.workers.get(), options.patience), (3, Duration::from_secs(2)));
        let policy = serde_json::to_string(&options.policy).unwrap();
        assert!(policy.contains(r#""max_body":10"#) && policy.contains(r#""mode":"http""#));
        assert!(!policy.contains("cookie"), "{policy}");
    }

    #[test]
    fn cookies_are_ordinary_fields_unless_safe() {
        let options = parsed(&["--origin=http://h"]).unwrap();
        let policy = serde_json::to_string(&options.policy).unwrap();
        assert!(policy.contains(r#""cookies":"rfc""#), "{policy}");
        assert!(policy.contains(r#""set_cookie":"danger_replay""#), "{policy}");
        assert!(policy.contains(r#""stale_if_error":"0s""#), "{policy}");
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (arguments, expected) in [
            (&[][..], "--origin"),
            (&["--origin=https://h"], "--origin"),
            (&["--origin=http://h/path"], "--origin"),
            (&["--origin=http://u:p@h"], "--origin"),
            (&["--origin=h:1"], "--origin"),
            (&["--origin=http://h", "--patience=0"], "0"),
            (&["--origin=http://h", "--store-timeout=soon"], "soon"),
            (&["--nonsense"], "--nonsense"),
            (&["--policy", r#"{"tll":"5s"}"#], "tll"),
        ] {
            let message = parsed(arguments).unwrap_err();
            assert!(message.contains(expected), "{arguments:?}: {message}");
        }
    }
}
