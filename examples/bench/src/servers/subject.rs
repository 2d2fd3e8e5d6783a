//! What is measured.

use std::fmt;
use std::str::FromStr;

use cache_core::Policy;

use crate::case::{Ask, Case, Framework, Place};
use crate::error::Error;

/// A server, and how it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) by: By,
    pub(crate) case: Case,
    /// That the load generator keeps open, where it is not as many as for all.
    pub(crate) connections: Option<usize>,
    /// Served by two threads on both cores, which the load generator shares with them.
    pub(crate) both_cores: bool,
}

/// What keeps the responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// This library, in memory; a bare handler has its bytes ready.
    Memory,
    /// This library, in Redis; a bare handler asks Redis for its bytes by one `GET`.
    Redis,
    /// No cache that anybody would use: the least that a miss can cost.
    Floor,
    Peer(Peer),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    AxumResponseCache,
    Nginx,
    Varnish,
}

const SIZES: [usize; 3] = [1 << 10, 16 << 10, 256 << 10];

impl By {
    const ALL: [Self; 6] = [
        Self::Memory,
        Self::Redis,
        Self::Floor,
        Self::Peer(Peer::AxumResponseCache),
        Self::Peer(Peer::Nginx),
        Self::Peer(Peer::Varnish),
    ];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Memory => "",
            Self::Redis => "redis:",
            Self::Floor => "floor:",
            Self::Peer(Peer::AxumResponseCache) => "axum-response-cache:",
            Self::Peer(Peer::Nginx) => "nginx:",
            Self::Peer(Peer::Varnish) => "varnish:",
        }
    }
}

/// All subjects that are compared with a base, those of peers on request.
pub(crate) fn all(peers: bool) -> Vec<Subject> {
    let mut all = Vec::new();
    for framework in Framework::ALL {
        for place in [Place::Around, Place::Route] {
            all.extend(SIZES.map(|size| Subject::new(framework, place, Ask::Hit, size)));
            all.extend(
                [Ask::Full, Ask::NotModified, Ask::Head, Ask::Range, Ask::Stale, Ask::Miss]
                    .map(|ask| Subject::new(framework, place, ask, 1 << 10)),
            );
        }
        if framework == Framework::Actix {
            let front = |ask, size| Subject::new(framework, Place::Front, ask, size);
            all.extend([front(Ask::Hit, 1 << 10), front(Ask::Hit, 16 << 10)]);
            all.push(front(Ask::NotModified, 1 << 10));
        }
        let hit = Subject::new(framework, Place::Around, Ask::Hit, 1 << 10);
        all.push(Subject { both_cores: true, ..hit });
    }
    all.extend(on_redis());
    let miss = Subject::new(Framework::Axum, Place::Around, Ask::Miss, 1 << 10);
    all.push(Subject { by: By::Floor, ..miss });
    if peers {
        for peer in [Peer::AxumResponseCache, Peer::Nginx, Peer::Varnish] {
            let place = if peer == Peer::AxumResponseCache { Place::Route } else { Place::Around };
            all.extend([1 << 10, 16 << 10].map(|size| Subject {
                by: By::Peer(peer),
                ..Subject::new(Framework::Axum, place, Ask::Hit, size)
            }));
        }
    }
    all
}

/// What the store does is the same wherever the cache is; what a framework adds shows at one load.
fn on_redis() -> impl Iterator<Item = Subject> {
    use Framework::{Actix, Axum};
    const LOADS: &[usize] = &[1, 16, 64];
    let rows: [(_, _, _, _, &[usize]); 12] = [
        (Axum, Place::Around, Ask::Hit, 1, LOADS),
        (Axum, Place::Around, Ask::Hit, 16, LOADS),
        (Axum, Place::Around, Ask::Hit, 256, &[16]),
        (Axum, Place::Around, Ask::NotModified, 1, &[16]),
        (Axum, Place::Around, Ask::Head, 1, &[16]),
        (Axum, Place::Around, Ask::Range, 1, &[16]),
        (Axum, Place::Around, Ask::Stale, 1, &[16]),
        (Axum, Place::Around, Ask::Spread, 1, &[16, 64]),
        (Axum, Place::Route, Ask::Hit, 1, &[16]),
        (Actix, Place::Around, Ask::Hit, 1, &[16]),
        (Actix, Place::Around, Ask::Hit, 16, &[16]),
        (Actix, Place::Route, Ask::Hit, 1, &[16]),
    ];
    rows.into_iter().flat_map(|(framework, place, ask, kib, loads)| {
        let case = Subject::new(framework, place, ask, kib << 10);
        loads.iter().map(move |&load| Subject { by: By::Redis, connections: Some(load), ..case })
    })
}

impl Subject {
    pub(crate) const fn new(framework: Framework, place: Place, ask: Ask, size: usize) -> Self {
        let case = Case { framework, place, ask, size };
        Self { by: By::Memory, case, connections: None, both_cores: false }
    }

    /// What it is measured against: the same body from a bare handler, under the same load. HEAD
    /// is answered without a body there, too, and what is under many names is so there.
    pub(crate) fn base(self) -> Self {
        let ask = match self.case.ask {
            same @ (Ask::Head | Ask::Spread | Ask::Miss) => same,
            _ => Ask::Hit,
        };
        let by = if self.by == By::Redis { By::Redis } else { By::Memory };
        Self { by, case: Case { place: Place::Bare, ask, ..self.case }, ..self }
    }

    /// Where a bare server of its framework has the response from that a peer is to keep.
    pub(crate) const fn origin(self) -> Self {
        Self::new(Framework::Axum, Place::Bare, Ask::Hit, self.case.size)
    }

    /// Whether its core is all that its throughput depends on: then a round in which that core was
    /// not busy was disturbed.
    pub(crate) fn fills_its_core(self) -> bool {
        // Large bodies keep the load generator as busy as the server.
        self.by != By::Redis && !self.both_cores && self.case.size < 256 << 10
    }

    /// Whether each of its requests adds to what is stored, until the store is full.
    pub(crate) fn fills_its_store(self) -> bool {
        self.case.ask == Ask::Miss
    }

    pub(crate) fn policy(self) -> Policy {
        match self.by {
            By::Redis => self.case.policy().tags(["one", "two"]),
            By::Memory | By::Floor | By::Peer(_) => self.case.policy(),
        }
    }

    /// Whether the handler must not be asked twice: a refresh that never ends, or a peer that is
    /// to have kept the first answer.
    pub(crate) fn answers_once(self) -> bool {
        self.case.ask == Ask::Stale || self.by == By::Peer(Peer::AxumResponseCache)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.by.prefix(), self.case)?;
        if let Some(connections) = self.connections {
            write!(f, "/c{connections}")?;
        }
        if self.both_cores { f.write_str("/2cores") } else { Ok(()) }
    }
}

impl FromStr for Subject {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (rest, both_cores) = match text.strip_suffix("/2cores") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let (rest, connections) = match rest.rsplit_once("/c") {
            Some((rest, number)) => {
                let read = number.parse();
                (rest, Some(read.map_err(|_| Error::other(format!("no subject '{text}'")))?))
            }
            None => (rest, None),
        };
        let prefixed = By::ALL.into_iter().filter(|by| !by.prefix().is_empty());
        let (by, rest) = prefixed
            .filter_map(|by| Some((by, rest.strip_prefix(by.prefix())?)))
            .next()
            .unwrap_or((By::Memory, rest));
        Ok(Self { by, case: rest.parse()?, connections, both_cores })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for subject in all(true) {
            for one in [subject, subject.base()] {
                assert_eq!(one.to_string().parse::<Subject>().ok(), Some(one), "{one}");
            }
        }
        assert!("axum/around/hit/1KiB/cmany".parse::<Subject>().is_err());
    }

    #[test]
    fn a_base_is_no_subject() {
        assert!(all(true).iter().all(|subject| subject.case.place != Place::Bare));
        let redis: Subject = "redis:axum/around/hit/1KiB/c16".parse().unwrap();
        assert_eq!(redis.base().to_string(), "redis:axum/bare/hit/1KiB/c16");
        let nginx: Subject = "nginx:axum/around/hit/1KiB".parse().unwrap();
        assert_eq!(nginx.base().to_string(), "axum/bare/hit/1KiB");
    }
}
