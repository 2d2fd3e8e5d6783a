//! Which life of which server a connection reaches. Pure.
//!
//! Redis may lose acknowledged writes: by a failover to a replica that lags, by a restart from an
//! older snapshot. Each such event changes the *run id* of the process that answers or the
//! *replication id* of the data it holds. The incarnation folds both into 52 bits; the shard's
//! metadata carries the incarnation it was written in. If the server that answers has another
//! one, the metadata may have been rolled back and is replaced by a new epoch: the shard turns
//! cold, never stale.
//!
//! **Proof per physical connection.** A connection is one socket, shared by our own task
//! ([`wire`](crate::connection)) or, with TLS, by `redis::aio::MultiplexedConnection`: neither ever
//! reconnects, they only fail (redis-rs 1.8, `src/aio/multiplexed_connection.rs`; the silent
//! reconnects live in `ConnectionManager` and in the cluster client, which this crate does not
//! use). So a connection reads `INFO server` and `INFO replication` before its first use, and
//! keeps what they said for as long as the socket lives; no `CLIENT GETNAME` is needed. Two things
//! can still change behind a living socket: the server may be demoted (every pipeline therefore
//! ends with `WAIT 0 0`, which replicas refuse; lookups that are written together share one, see
//! `connection/wire/batch.rs`), and it may be demoted and promoted again, its data
//! rolled back in between (the replication id changes: `INFO replication` is sent along in the
//! pipeline once per `proof_interval`, and after every time-out).

use crate::error::Fault;

/// One life of one server's data: 52 bits, exact as a sorted set's score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Incarnation(pub(crate) u64);

/// What `INFO replication` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replication {
    pub(crate) id: u64,
    pub(crate) primary: bool,
    pub(crate) replicas: u64,
}

/// What `INFO server` said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) run_id: u64,
    pub(crate) version: (u32, u32),
}

const BITS: u64 = (1 << 52) - 1;

impl Incarnation {
    /// The sum of the leading 52 bits of both ids. The scripts compute the same.
    pub(crate) const fn of(server: &Server, replication: &Replication) -> Self {
        Self(server.run_id.wrapping_add(replication.id) & BITS)
    }
}

impl Server {
    pub(crate) fn read(info: &str) -> Result<Self, Fault> {
        let run_id = leading_bits(field(info, "run_id")?)?;
        let mut version = field(info, "redis_version")?.split('.').map(|part| part.parse().ok());
        let (Some(Some(major)), Some(Some(minor))) = (version.next(), version.next()) else {
            return Err(Fault::Protocol("redis_version of INFO"));
        };
        Ok(Self { run_id, version: (major, minor) })
    }

    /// Redis 7.0 is the first with script flags (`allow-oom`).
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let (major, minor) = self.version;
        if major >= 7 {
            return Ok(());
        }
        Err(Fault::Unsupported(format!("Redis {major}.{minor}; 7.0 is the oldest that works")))
    }
}

impl Replication {
    pub(crate) fn read(info: &str) -> Result<Self, Fault> {
        Ok(Self {
            id: leading_bits(field(info, "master_replid")?)?,
            primary: field(info, "role")? == "master",
            replicas: field(info, "connected_slaves")?.parse().unwrap_or(0),
        })
    }
}

fn field<'i>(info: &'i str, name: &str) -> Result<&'i str, Fault> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
        .ok_or_else(|| Fault::Unsupported(format!("INFO without `{name}` proves no incarnation")))
}

/// The first 13 hexadecimal digits.
fn leading_bits(id: &str) -> Result<u64, Fault> {
    id.get(..13)
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(Fault::Protocol("an id of INFO"))
}

/// 52 random bits, at least 1, from the operating system. Redis' own random repeats across fresh
/// servers, so it must never make an epoch.
pub(crate) fn fresh_epoch() -> Result<u64, Fault> {
    let bits = getrandom::u64().map_err(|_| Fault::Entropy)? & BITS;
    Ok(bits.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:fffffffffffff000aa\r\n";
    const REPLICATION: &str = "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
        master_replid:0000000000002aaaaa\r\nmaster_replid2:9999999999999\r\n";

    #[test]
    fn both_ids_count_and_the_sum_stays_within_52_bits() {
        let server = Server::read(SERVER).unwrap();
        let replication = Replication::read(REPLICATION).unwrap();
        assert_eq!(server.version, (7, 0));
        assert_eq!(replication, Replication { id: 2, primary: true, replicas: 2 });
        assert_eq!(Incarnation::of(&server, &replication), Incarnation(1));
    }

    #[test]
    fn what_proves_nothing_is_an_error() {
        assert!(Server::read("").is_err());
        assert!(Server::read("run_id:short\r\nredis_version:7.0.0").is_err());
        assert!(Replication::read("role:master\r\nconnected_slaves:0\r\n").is_err());
        assert!(Server { run_id: 1, version: (6, 2) }.check().is_err());
        assert!(Server { run_id: 1, version: (8, 0) }.check().is_ok());
    }

    #[test]
    fn epochs_differ() {
        let epochs: std::collections::HashSet<u64> =
            (0..1000).map(|_| fresh_epoch().unwrap()).collect();
        assert_eq!(epochs.len(), 1000);
        assert!(epochs.iter().all(|epoch| (1..1 << 52).contains(epoch)));
    }
}
