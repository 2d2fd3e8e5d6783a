//! One kind of request to one kind of application: what both `instructions` and `servers` measure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use cache_core::Policy;

use crate::error::Error;

/// An application, and what is asked of it.
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
    /// Nowhere: the handler answers with bytes that it has ready.
    Bare,
    /// Around the application: a hit is answered before routing.
    Around,
    /// On the route: a hit is answered after routing.
    Route,
    /// In front of the application: a hit is answered before the framework makes a request of its
    /// own. With axum that is where `Around` is.
    Front,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// A stored response.
    Hit,
    /// One of [`SPREAD`] stored responses, one after the other.
    Spread,
    /// One with two tags, stale windows, and a field nominated by the policy.
    Full,
    /// The same with a field nominated by the handler, so that the record of nominated fields is
    /// looked up before the response.
    Varied,
    /// A stored response that the client has.
    NotModified,
    /// The head of a stored response.
    Head,
    /// The first half of a stored response.
    Range,
    /// A stale response, while a refresh never ends.
    Stale,
    /// A response that is not stored yet.
    Miss,
}

/// Fewer than a thread remembers the keys and heads of.
pub(crate) const SPREAD: usize = 100;

impl Framework {
    pub(crate) const ALL: [Self; 2] = [Self::Axum, Self::Actix];

    const fn name(self) -> &'static str {
        match self {
            Self::Axum => "axum",
            Self::Actix => "actix",
        }
    }
}

impl Place {
    pub(crate) const ALL: [Self; 4] = [Self::Bare, Self::Around, Self::Route, Self::Front];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Around => "around",
            Self::Route => "route",
            Self::Front => "front",
        }
    }
}

impl Ask {
    pub(crate) const ALL: [Self; 9] = [
        Self::Hit,
        Self::Spread,
        Self::Full,
        Self::Varied,
        Self::NotModified,
        Self::Head,
        Self::Range,
        Self::Stale,
        Self::Miss,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Spread => "spread",
            Self::Full => "full",
            Self::Varied => "varied",
            Self::NotModified => "304",
            Self::Head => "head",
            Self::Range => "range",
            Self::Stale => "stale",
            Self::Miss => "miss",
        }
    }
}

impl Case {
    pub(crate) fn body(self) -> Bytes {
        Bytes::from(vec![b'x'; self.size])
    }

    /// Whether the framework has the place.
    pub(crate) fn exists(self) -> bool {
        self.place != Place::Front || self.framework == Framework::Actix
    }

    /// The path that the `number`th call asks for. Misses must not meet.
    pub(crate) fn path(self, number: usize) -> String {
        match self.ask {
            Ask::Miss => format!("/item?number={number}"),
            Ask::Spread => format!("/item?number={}", number % SPREAD),
            _ => "/item".to_owned(),
        }
    }

    pub(crate) const fn method(self) -> &'static str {
        match self.ask {
            Ask::Head => "HEAD",
            _ => "GET",
        }
    }

    /// What the request that fills the cache carries beside its host.
    pub(crate) fn filling_field(self) -> Option<(&'static str, String)> {
        match self.ask {
            Ask::Full | Ask::Varied => Some(("accept-language", "en".to_owned())),
            _ => None,
        }
    }

    /// What a measured request carries beside its host. `etag` is the stored response's.
    pub(crate) fn request_field(self, etag: Option<&str>) -> Option<(&'static str, String)> {
        match self.ask {
            Ask::Full | Ask::Varied => self.filling_field(),
            Ask::NotModified => etag.map(|etag| ("if-none-match", etag.to_owned())),
            Ask::Range => Some(("range", format!("bytes=0-{}", self.size / 2 - 1))),
            Ask::Hit | Ask::Spread | Ask::Head | Ask::Stale | Ask::Miss => None,
        }
    }

    /// The field that the handler nominates.
    pub(crate) fn vary(self) -> Option<&'static str> {
        (self.ask == Ask::Varied).then_some("accept-language")
    }

    pub(crate) fn policy(self) -> Policy {
        let plain = Policy::ttl(Duration::from_secs(3_600));
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
            Ask::Stale => Policy::ttl(Duration::from_secs(1))
                .stale_while_revalidate(Duration::from_secs(86_400)),
            Ask::Hit | Ask::Spread | Ask::NotModified | Ask::Head | Ask::Range | Ask::Miss => plain,
        }
    }

    /// Whether an answer is what the case is about.
    pub(crate) fn expects(self, status: u16, x_cache: Option<&str>) -> bool {
        let expected = match (self.place, self.ask) {
            // The handler knows neither conditions nor ranges.
            (Place::Bare, _) => (200, None),
            (_, Ask::Miss) => (200, Some("MISS")),
            (_, Ask::NotModified) => (304, Some("HIT")),
            (_, Ask::Range) => (206, Some("HIT")),
            _ => (200, Some("HIT")),
        };
        (status, x_cache) == expected
    }

    pub(crate) fn unexpected(self, status: u16, x_cache: Option<&str>) -> Error {
        Error::other(format!("{self}: answered with {status}, x-cache {x_cache:?}"))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (framework, place, ask) = (self.framework.name(), self.place.name(), self.ask.name());
        write!(f, "{framework}/{place}/{ask}/{}KiB", self.size >> 10)
    }
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let mut parts = text.split('/');
            let (framework, place, ask) = (parts.next()?, parts.next()?, parts.next()?);
            let size: usize = parts.next()?.strip_suffix("KiB")?.parse().ok()?;
            Some(Self {
                framework: Framework::ALL.into_iter().find(|known| known.name() == framework)?,
                place: Place::ALL.into_iter().find(|known| known.name() == place)?,
                ask: Ask::ALL.into_iter().find(|known| known.name() == ask)?,
                size: size.checked_mul(1 << 10)?,
            })
            .filter(|case| parts.next().is_none() && case.exists())
        };
        read().ok_or_else(|| Error::other(format!("no case '{text}'")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for framework in Framework::ALL {
            for place in Place::ALL {
                for ask in Ask::ALL {
                    let case = Case { framework, place, ask, size: 16 << 10 };
                    let read = case.to_string().parse::<Case>().ok();
                    assert_eq!(read, Some(case).filter(|case| case.exists()));
                }
            }
        }
        for wrong in ["", "axum/around/hit", "axum/around/hit/1KiB/more", "axum/around/hit/1"] {
            assert!(wrong.parse::<Case>().is_err(), "{wrong}");
        }
    }
}
