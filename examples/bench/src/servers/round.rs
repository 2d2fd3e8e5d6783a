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

/// So many misses leave the default store far from full,
const FILLING: f64 = 100_000.0;

/// and after so many it has been full for long: of 1 KiB it holds some 155 000.
const FULL: f64 = 250_000.0;

/// In how many rounds a store must have become full.
const FILLING_ROUNDS: usize = 100;

/// What one round of a subject and one of its base gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) base: Round,
    pub(crate) subject: Round,
}

/// What was measured of a subject.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    pub(crate) pairs: Vec<Pair>,
    /// Of misses: those while nothing had to go yet for what came in.
    pub(crate) filling: Vec<Pair>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    requests: f64,
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
pub(crate) fn compare(subject: Subject, options: &Servers) -> Result<Compared, Error> {
    let redis = match subject.by {
        By::Redis => Some(Redis::start(options.load_core)?),
        By::Memory | By::Floor | By::Peer(_) => None,
    };
    let contest = Contest { subject, redis: redis.as_ref(), options };
    let base = Server::start(subject.base(), contest.redis, options)?;
    let server = Server::start(subject, contest.redis, options)?;
    let (ask_base, ask) = (load(subject.base(), &base)?, load(subject, &server)?);
    let pair = || {
        let base = contest.round(&base, &ask_base)?;
        Ok(Pair { base, subject: contest.round(&server, &ask)? })
    };
    let counts =
        |pair: &Pair| options.smoke || pair.base.counts(subject) && pair.subject.counts(subject);
    let filling = if subject.fills_its_store() && !options.smoke {
        filled(pair)?.into_iter().filter(counts).collect()
    } else {
        Vec::new()
    };
    let mut pairs = Vec::new();
    for _ in 0..options.pairs * PATIENCE {
        pairs.extend(Some(pair()?).filter(counts));
        if pairs.len() == options.pairs {
            break;
        }
    }
    Ok(Compared { pairs, filling })
}

/// Goes on until the store is full. A server that has run for a while has a full one, for each
/// entry that comes in one goes, and its memory is there. Gives the pairs of before.
fn filled(pair: impl Fn() -> Result<Pair, Error>) -> Result<Vec<Pair>, Error> {
    let (mut filling, mut requests) = (Vec::new(), 0.0);
    for _ in 0..FILLING_ROUNDS {
        let pair = pair()?;
        requests += pair.subject.requests;
        if requests <= FILLING {
            filling.push(pair);
        }
        if requests >= FULL {
            return Ok(filling);
        }
    }
    Err(Error::other(format!("{requests} misses in {FILLING_ROUNDS} rounds fill no store")))
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
            requests,
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
