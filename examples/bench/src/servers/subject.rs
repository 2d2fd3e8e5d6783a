//! What is measured. (`wrk` waits for the body of an answer to HEAD, so there is no HEAD.)

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use cache_core::Policy;

use super::load::{self, Load};
use super::process::Server;
use crate::error::Error;

/// A server, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// No cache: the handler answers with bytes that it has ready.
    Bare,
    Around,
    Route,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Hit,
    NotModified,
    /// The first half of the body.
    Range,
    /// Stale, while a refresh never ends.
    Stale,
    /// A response that is never stored already.
    Miss,
}

/// All subjects, bare ones first.
pub(crate) fn all() -> Vec<Subject> {
    let mut all = Vec::new();
    for framework in [Framework::Axum, Framework::Actix] {
        for place in [Place::Bare, Place::Around, Place::Route] {
            for size in [1 << 10, 16 << 10, 256 << 10] {
                all.push(Subject { framework, place, ask: Ask::Hit, size });
            }
            if place != Place::Bare {
                for ask in [Ask::NotModified, Ask::Range, Ask::Stale, Ask::Miss] {
                    all.push(Subject { framework, place, ask, size: 1 << 10 });
                }
            }
        }
    }
    all
}

impl Subject {
    pub(crate) fn is_base(self) -> bool {
        self.place == Place::Bare
    }

    /// What it is measured against: the same body from a bare handler.
    pub(crate) const fn base(self) -> Self {
        Self { place: Place::Bare, ask: Ask::Hit, ..self }
    }

    pub(crate) fn policy(self) -> Policy {
        match self.ask {
            Ask::Stale => Policy::ttl(Duration::from_secs(1))
                .stale_while_revalidate(Duration::from_secs(86_400)),
            _ => Policy::ttl(Duration::from_secs(86_400)),
        }
    }

    /// The requests for it, and a check that they are answered as they should be.
    pub(crate) fn load(self, server: &Server, cached: Option<()>) -> Result<Load, Error> {
        let url = format!("http://{}/item", server.address());
        let first = load::ask(server.address(), "/item", &[])?;
        let mut fields = Vec::new();
        match self.ask {
            Ask::NotModified => fields.push(("if-none-match".to_owned(), first.field("etag")?)),
            Ask::Range => {
                fields.push(("range".to_owned(), format!("bytes=0-{}", self.size / 2 - 1)));
            }
            Ask::Stale => std::thread::sleep(Duration::from_secs(2)),
            Ask::Hit | Ask::Miss => {}
        }
        if cached.is_some() {
            let path = if self.ask == Ask::Miss { "/item?n=first" } else { "/item" };
            let answer = load::ask(server.address(), path, &fields)?;
            let status = match self.ask {
                Ask::NotModified => 304,
                Ask::Range => 206,
                _ => 200,
            };
            let said = if self.ask == Ask::Miss { "MISS" } else { "HIT" };
            if answer.status != status || answer.field("x-cache")? != said {
                return Err(Error::other(format!("{self}: answered {answer:?}")));
            }
        }
        Ok(Load { url, fields, distinct: self.ask == Ask::Miss })
    }
}

impl fmt::Display for Subject {
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
            Ask::NotModified => "304",
            Ask::Range => "range",
            Ask::Stale => "stale",
            Ask::Miss => "miss",
        };
        write!(f, "{framework}/{place}/{ask}/{}KiB", self.size >> 10)
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = all().into_iter().find(|subject| subject.to_string() == text);
        found.ok_or_else(|| Error::other(format!("no subject '{text}'")))
    }
}
