//! What is counted.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use cache_core::Policy;

use super::{actix, axum};
use crate::error::Error;

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) framework: Framework,
    pub(crate) place: Place,
    pub(crate) ask: Ask,
    /// Of the body, in bytes.
    pub(crate) size: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framework {
    Axum,
    Actix,
}

/// Where the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: the handler answers.
    Bare,
    /// Around the application: a hit is answered before routing.
    Around,
    /// On the route: a hit is answered after routing.
    Route,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A stored response.
    Hit,
    /// One with two tags, stale windows, and a field nominated by the policy.
    Full,
    /// The same with a field nominated by the handler, so that the record of nominated fields is
    /// looked up before the response.
    Varied,
    /// A stored response that the client has.
    NotModified,
    /// The head of a stored response.
    Head,
    /// A response that is not stored yet.
    Miss,
}

const FRAMEWORKS: [Framework; 2] = [Framework::Axum, Framework::Actix];
const PLACES: [Place; 3] = [Place::Bare, Place::Around, Place::Route];
const ASKS: [Ask; 6] = [Ask::Hit, Ask::Full, Ask::Varied, Ask::NotModified, Ask::Head, Ask::Miss];
const SIZES: [usize; 2] = [1 << 10, 16 << 10];

/// All cases, bare ones first.
pub(crate) fn all() -> Vec<Case> {
    let mut all = Vec::new();
    for framework in FRAMEWORKS {
        for place in PLACES {
            for ask in ASKS {
                for size in SIZES {
                    let case = Case { framework, place, ask, size };
                    // The handler itself is asked in two ways only.
                    if place != Place::Bare || matches!(ask, Ask::Hit | Ask::Miss) {
                        all.push(case);
                    }
                }
            }
        }
    }
    all
}

impl Case {
    /// Fills the cache, checks an answer, then makes the counted calls.
    pub(crate) fn run(self, count: usize) -> Result<(), Error> {
        match self.framework {
            Framework::Axum => axum::run(self, count),
            Framework::Actix => actix::run(self, count),
        }
    }

    pub(crate) fn body(self) -> Bytes {
        Bytes::from(vec![b'x'; self.size])
    }

    /// The path that the `number`th call asks for. Misses must not meet.
    pub(crate) fn path(self, number: usize) -> String {
        match self.ask {
            Ask::Miss => format!("/item?number={number}"),
            _ => "/item".to_owned(),
        }
    }

    pub(crate) const fn method(self) -> &'static str {
        match self.ask {
            Ask::Head => "HEAD",
            _ => "GET",
        }
    }

    /// What the request carries beside its host. `etag` is the stored response's.
    pub(crate) fn request_field(self, etag: Option<&str>) -> Option<(&'static str, String)> {
        match self.ask {
            Ask::Full | Ask::Varied => Some(("accept-language", "en".to_owned())),
            Ask::NotModified => etag.map(|etag| ("if-none-match", etag.to_owned())),
            Ask::Hit | Ask::Head | Ask::Miss => None,
        }
    }

    /// The field that the handler nominates.
    pub(crate) fn vary(self) -> Option<&'static str> {
        (self.ask == Ask::Varied).then_some("accept-language")
    }

    pub(crate) fn policy(self) -> Policy {
        let plain = Policy::ttl(Duration::from_secs(3600));
        let full = || {
            plain
                .clone()
                .tags(["one", "two"])
                .stale_while_revalidate(Duration::from_secs(60))
                .stale_if_error(Duration::from_secs(600))
        };
        match self.ask {
            Ask::Full => full().vary(["accept-language"]),
            Ask::Varied => full(),
            Ask::Hit | Ask::NotModified | Ask::Head | Ask::Miss => plain,
        }
    }

    /// Whether an answer to a counted call is what the case is about.
    pub(crate) fn expects(self, status: u16, x_cache: Option<&str>) -> bool {
        let expected_status = if self.ask == Ask::NotModified { 304 } else { 200 };
        let expected_x_cache = match (self.place, self.ask) {
            (Place::Bare, _) => None,
            (_, Ask::Miss) => Some("MISS"),
            _ => Some("HIT"),
        };
        (status, x_cache) == (expected_status, expected_x_cache)
    }

    pub(crate) fn unexpected(self, status: u16, x_cache: Option<&str>) -> Error {
        Error::other(format!("{self}: answered with {status}, x-cache {x_cache:?}"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let framework = match self.framework {
            Framework::Axum => "axum",
            Framework::Actix => "actix",
        };
        let place = match self.place {
            Place::Bare => "bare",
            Place::Around => "around",
            Place::Route => "route",
        };
        let ask = match self.ask {
            Ask::Hit => "hit",
            Ask::Full => "full",
            Ask::Varied => "varied",
            Ask::NotModified => "304",
            Ask::Head => "head",
            Ask::Miss => "miss",
        };
        write!(f, "{framework}/{place}/{ask}/{}KiB", self.size >> 10)
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        all()
            .into_iter()
            .find(|case| case.to_string() == text)
            .ok_or_else(|| Error::other(format!("no case '{text}'")))
    }
}
