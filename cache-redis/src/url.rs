//! What a connection URL says. Pure.

use std::fmt;
use std::path::PathBuf;

use crate::error::ConfigError;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const MAX_HOSTS: usize = 64;

/// Where the data lives and how to get in. `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) place: Place,
    pub(crate) tls: bool,
    pub(crate) db: i64,
    pub(crate) credentials: Credentials,
}

/// A user name and a password. `Debug` shows neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
}

/// The shapes of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Single(Address),
    Sentinel { sentinels: Vec<Address>, master: String },
    Cluster { seeds: Vec<Address> },
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

impl Target {
    /// Reads a URL of one of the schemes in the crate's documentation.
    pub(crate) fn parse(url: &str) -> Result<Self, ConfigError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| fail("no `://`, as in `redis://127.0.0.1:6379`"))?;
        let (base, tls) = match scheme {
            "rediss" => ("redis", true),
            "rediss-sentinel" => ("redis-sentinel", true),
            "rediss-cluster" => ("redis-cluster", true),
            other => (other, false),
        };
        if tls && !cfg!(feature = "tls") {
            return Err(fail("TLS needs the crate's feature `tls`"));
        }
        if base == "unix" {
            return Self::parse_unix(rest);
        }
        if rest.contains(['?', '#']) {
            return Err(fail(
                "a query or fragment is not understood here; settings go to the builder",
            ));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Credentials::parse(user)?, hosts),
            None => (Credentials::default(), authority),
        };
        let (place, db) = match base {
            "redis" => (Place::Single(one(addresses(hosts, REDIS_PORT)?)?), database(path)?),
            "redis-sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(fail(
                        "no name of the master, as in `redis-sentinel://h:p/mymaster`",
                    ));
                }
                let sentinels = addresses(hosts, SENTINEL_PORT)?;
                let master = decode(master)?;
                (Place::Sentinel { sentinels, master }, database(db)?)
            }
            "redis-cluster" => {
                if database(path)? != 0 {
                    return Err(fail("a cluster has database 0 only"));
                }
                (Place::Cluster { seeds: addresses(hosts, REDIS_PORT)? }, 0)
            }
            _ => {
                return Err(fail(
                    "unknown scheme; known are redis, rediss, unix, redis-sentinel, \
                     rediss-sentinel, redis-cluster, rediss-cluster",
                ));
            }
        };
        Ok(Self { place, tls, db, credentials })
    }

    fn parse_unix(rest: &str) -> Result<Self, ConfigError> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') {
            return Err(fail("the path of a socket is absolute, as in `unix:///run/redis.sock`"));
        }
        let mut target = Self {
            place: Place::Single(Address::Unix(PathBuf::from(decode(path)?))),
            tls: false,
            db: 0,
            credentials: Credentials::default(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("db", value)) => target.db = database(value)?,
                Some(("user", value)) => target.credentials.username = Some(decode(value)?),
                Some(("pass", value)) => target.credentials.password = Some(decode(value)?),
                _ => return Err(fail("a socket's query knows `db`, `user` and `pass`")),
            }
        }
        Ok(target)
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let (user, password) = match text.split_once(':') {
            Some((user, password)) => (user, Some(decode(password)?)),
            None => (text, None),
        };
        let username = if user.is_empty() { None } else { Some(decode(user)?) };
        Ok(Self { username, password })
    }
}

impl Address {
    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port`.
    pub(crate) fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None => default_port,
        };
        let fine = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_graphic());
        fine.then(|| Self::Tcp { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Without credentials: error messages name it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |addresses: &[Address]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Single(address) => address.fmt(f),
            Self::Sentinel { sentinels, master } => {
                write!(f, "{master} of the Sentinels {}", listed(sentinels))
            }
            Self::Cluster { seeds } => write!(f, "the cluster of {}", listed(seeds)),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("place", &self.place)
            .field("tls", &self.tls)
            .field("db", &self.db)
            .field("credentials", &self.credentials)
            .finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = self.username.is_some() || self.password.is_some();
        f.write_str(if given { "<hidden>" } else { "<none>" })
    }
}

fn addresses(hosts: &str, default_port: u16) -> Result<Vec<Address>, ConfigError> {
    let parsed: Option<Vec<Address>> =
        hosts.split(',').map(|host| Address::parse(host, default_port)).collect();
    let parsed = parsed.ok_or_else(|| fail("a host is not `host`, `host:port` or `[v6]:port`"))?;
    if parsed.len() > MAX_HOSTS { Err(fail("more than 64 hosts")) } else { Ok(parsed) }
}

fn one(mut addresses: Vec<Address>) -> Result<Address, ConfigError> {
    match (addresses.pop(), addresses.is_empty()) {
        (Some(address), true) => Ok(address),
        _ => Err(fail("several hosts need `redis-sentinel://` or `redis-cluster://`")),
    }
}

fn database(text: &str) -> Result<i64, ConfigError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().ok().filter(|db| *db >= 0).ok_or_else(|| fail("the database is not a number"))
}

fn decode(text: &str) -> Result<String, ConfigError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next(), bytes.next()]
                .map(|digit| digit.and_then(|digit| char::from(digit).to_digit(16)));
            let [Some(high), Some(low)] = digits else {
                return Err(fail("`%` without two hexadecimal digits"));
            };
            out.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).map_err(|_| fail("percent-encoding that is not UTF-8"))
}

/// The URL is never repeated in the error: it may hold a password.
fn fail(problem: &str) -> ConfigError {
    ConfigError::new("url", None, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn every_scheme() {
        let cases = [
            ("redis://h", Place::Single(tcp("h", 6379)), false, 0),
            ("redis://h:1/3", Place::Single(tcp("h", 1)), false, 3),
            ("redis://[::1]:7/", Place::Single(tcp("::1", 7)), false, 0),
            (
                "unix:///run/r.sock?db=2",
                Place::Single(Address::Unix("/run/r.sock".into())),
                false,
                2,
            ),
            (
                "redis-sentinel://a:1,b/mine/4",
                Place::Sentinel {
                    sentinels: vec![tcp("a", 1), tcp("b", 26379)],
                    master: "mine".into(),
                },
                false,
                4,
            ),
            (
                "redis-cluster://a:1,b:2",
                Place::Cluster { seeds: vec![tcp("a", 1), tcp("b", 2)] },
                false,
                0,
            ),
        ];
        for (url, place, tls, db) in cases {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.place, target.tls, target.db), (place, tls, db), "{url}");
        }
    }

    #[test]
    fn credentials_are_decoded_and_hidden() {
        let target = Target::parse("redis://us%40er:p%3Ass@h:1").unwrap();
        assert_eq!(target.credentials.username.as_deref(), Some("us@er"));
        assert_eq!(target.credentials.password.as_deref(), Some("p:ss"));
        let shown = format!("{target:?}");
        assert!(!shown.contains("p:ss") && !shown.contains("us@er"), "{shown}");
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not() {
        for url in [
            "h:1",
            "http://h",
            "redis://:secret@",
            "redis://:secret@a,b",
            "redis://:secret@h:0",
            "redis://:secret@h:99999",
            "redis://:secret@h/x",
            "redis://:secret@h?x=1",
            "redis://:secret%zz@h",
            "redis-sentinel://:secret@h",
            "redis-cluster://:secret@h/1",
            "unix://:secret@relative",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{url}: {error}");
        }
    }
}
