//! Rounds of load, and what makes one count.

use std::time::Duration;

use super::load::{self, Load};
use super::process::Others;
use super::server::{Redis, Server};
use super::subject::{By, Subject};
use crate::args::Servers;
use crate::case::{Ask, SPREAD};
use crate::error::Error;

/// Of the server's core, while a round runs. Below, something else took part of it.
const BUSY: f64 = 0.90;

/// What others may have of all cores during a round, in parts of one core.
const OTHERS: f64 = 0.10;

/// How often more than wanted a pair of rounds may be tried.
const PATIENCE: usize = 3;

/// What one round of a subject and one of its base gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) base: Round,
    pub(crate) subject: Round,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) per_second: f64,
    /// Processor time of one request, in microseconds.
    pub(crate) cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Part of the server's core that the server had.
    busy: f64,
    /// Processor time of others, in parts of one core.
    others: f64,
}

impl Round {
    fn counts(&self, subject: Subject) -> bool {
        self.others <= OTHERS && (self.busy >= BUSY || !subject.fills_its_core())
    }
}

/// A subject and its base take turns: A B A B.
pub(crate) fn compare(subject: Subject, options: &Servers) -> Result<Vec<Pair>, Error> {
    let redis = match subject.by {
        By::Redis => Some(Redis::start(options.load_core)?),
        By::Memory | By::Peer(_) => None,
    };
    let contest = Contest { subject, redis: redis.as_ref(), options };
    let base = Server::start(subject.base(), contest.redis, options)?;
    let server = Server::start(subject, contest.redis, options)?;
    let (ask_base, ask) = (load(subject.base(), &base)?, load(subject, &server)?);
    let mut pairs = Vec::new();
    for _ in 0..options.pairs * PATIENCE {
        let pair =
            Pair { base: contest.round(&base, &ask_base)?, subject: contest.round(&server, &ask)? };
        let counts = pair.base.counts(subject) && pair.subject.counts(subject);
        if counts || options.smoke {
            pairs.push(pair);
        }
        if pairs.len() == options.pairs {
            break;
        }
    }
    Ok(pairs)
}

struct Contest<'a> {
    subject: Subject,
    redis: Option<&'a Redis>,
    options: &'a Servers,
}

impl Contest<'_> {
    fn round(&self, server: &Server, load: &Load) -> Result<Round, Error> {
        let connections = self.subject.connections.unwrap_or(self.options.connections);
        let (others, cpu, redis) = (Others::read()?, server.cpu()?, self.redis_cpu()?);
        let seen = load.run(self.options.load_core, connections, self.options.seconds)?;
        let cpu = server.cpu()?.saturating_sub(cpu);
        let redis = self.redis_cpu()?.saturating_sub(redis);
        let others = Others::read()?.since(others, cpu + redis);
        let requests = seen.requests.max(1.0);
        Ok(Round {
            per_second: requests / seen.seconds,
            cpu: cpu.as_secs_f64() * 1e6 / requests,
            p50: seen.p50,
            p99: seen.p99,
            busy: cpu.as_secs_f64() / seen.seconds,
            others: others.as_secs_f64() / seen.seconds,
        })
    }

    fn redis_cpu(&self) -> Result<Duration, Error> {
        self.redis.map_or(Ok(Duration::ZERO), Redis::cpu)
    }
}

/// The requests for a subject, and a check that they are answered as they should be.
fn load(subject: Subject, server: &Server) -> Result<Load, Error> {
    let (case, address) = (subject.case, server.address());
    let first: Vec<_> = case.filling_field().into_iter().collect();
    if case.ask == Ask::Spread {
        for number in 1..SPREAD {
            load::ask(address, "GET", &case.path(number), &first)?;
        }
    }
    let first = load::ask(address, "GET", &case.path(0), &first)?;
    let field = case.request_field(first.field("etag"));
    if case.ask == Ask::Stale {
        // Its life is a second; ages are rounded down.
        std::thread::sleep(Duration::from_secs(2));
    }
    let fields: Vec<_> = field.clone().into_iter().collect();
    let answer = load::ask(address, case.method(), &case.path(1), &fields)?;
    let x_cache = answer.field("x-cache");
    // This peer does not say it; its handler would not have answered a second time.
    let says = !subject.answers_once() || subject.by == By::Memory;
    let expected = if says { case.expects(answer.status, x_cache) } else { answer.status == 200 };
    if !expected {
        return Err(Error::other(format!(
            "{subject}: answered with {}, x-cache {x_cache:?}",
            answer.status
        )));
    }
    Ok(Load { address, ask: case.ask, field })
}
