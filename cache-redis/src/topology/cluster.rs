//! A cluster: its map of slots, and the vote of its primaries.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt};
use redis::{Pipeline, Value};

use super::Topology;
use super::ask::ask;
use crate::connection::{Node, text};
use crate::error::Fault;
use crate::layout::SLOTS;
use crate::url::Address;

impl Topology {
    /// Asks known nodes, then the seeds, one after the other, for the map of slots.
    pub(super) async fn ask_cluster(&self, seeds: &[Address]) -> Result<(), Fault> {
        let mut candidates: Vec<Address> =
            self.served().iter().map(|node| node.address().clone()).collect();
        candidates.extend(
            seeds.iter().filter(|seed| !candidates.contains(seed)).cloned().collect::<Vec<_>>(),
        );
        let mut pipe = Pipeline::with_capacity(1);
        pipe.cmd("CLUSTER").arg("SLOTS");
        let mut last = Fault::NoRoute(0);
        for candidate in candidates {
            let answer = ask(&self.dial, &candidate, &pipe).await;
            match answer.and_then(|value| slot_ranges(&value, &candidate)) {
                Ok(ranges) if !ranges.is_empty() => {
                    self.take_ranges(&ranges);
                    return Ok(());
                }
                Ok(_) => last = Fault::Unsupported("a server without cluster mode".to_owned()),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn take_ranges(&self, ranges: &[Range]) {
        if ranges.iter().any(|range| range.replicas) {
            self.replicas_seen.store(true, Ordering::Relaxed);
        }
        let mut primaries: Vec<Arc<Node>> = Vec::new();
        for range in ranges {
            if !primaries.iter().any(|known| *known.address() == range.primary) {
                primaries.push(self.node(&range.primary));
            }
        }
        *self.primaries.write().unwrap_or_else(PoisonError::into_inner) = primaries;
        let found: Vec<Option<Arc<Node>>> = self
            .slots
            .iter()
            .map(|slot| {
                ranges
                    .iter()
                    .find(|range| (range.first..=range.last).contains(slot))
                    .map(|range| self.node(&range.primary))
            })
            .collect();
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        for (route, found) in routes.iter_mut().zip(found) {
            // A slot that nobody serves at the moment keeps its node, whose answer says so.
            if found.is_some() {
                *route = found;
            }
        }
    }

    /// The primary of a shard, as soon as a majority of the cluster's primaries agrees on it.
    pub(super) async fn cluster_vote(&self, shard: u16) -> Result<Address, Fault> {
        let Some(slot) = self.slots.get(usize::from(shard)).copied() else {
            return Err(Fault::NoRoute(shard));
        };
        let voters = self.primaries.read().unwrap_or_else(PoisonError::into_inner).clone();
        let quorum = voters.len() / 2 + 1;
        let mut asked: FuturesUnordered<_> = voters
            .iter()
            .map(|voter| async move {
                let mut pipe = Pipeline::with_capacity(1);
                pipe.cmd("CLUSTER").arg("SLOTS");
                let conn = voter.conn(false).await?;
                let mut values = conn.send(&pipe, 1).await?;
                let map = values.pop().ok_or(Fault::Protocol("CLUSTER SLOTS"))?;
                let ranges = slot_ranges(&map, voter.address())?;
                let range = ranges.into_iter().find(|r| (r.first..=r.last).contains(&slot));
                range.map(|range| range.primary).ok_or(Fault::NoRoute(shard))
            })
            .collect();
        let mut votes: Vec<Address> = Vec::new();
        while let Some(answer) = asked.next().await {
            let Ok(address) = answer else { continue };
            if votes.iter().filter(|vote| **vote == address).count() + 1 >= quorum {
                return Ok(address);
            }
            votes.push(address);
        }
        Err(Fault::Unproven)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    primary: Address,
    replicas: bool,
}

/// Reads `CLUSTER SLOTS`.
fn slot_ranges(value: &Value, asked: &Address) -> Result<Vec<Range>, Fault> {
    const WRONG: Fault = Fault::Protocol("CLUSTER SLOTS");
    let Value::Array(ranges) = value else { return Err(WRONG) };
    let mut read = Vec::with_capacity(ranges.len());
    for range in ranges {
        let Value::Array(range) = range else { return Err(WRONG) };
        let [Value::Int(first), Value::Int(last), Value::Array(primary), replicas @ ..] =
            range.as_slice()
        else {
            return Err(WRONG);
        };
        let [host, Value::Int(port), ..] = primary.as_slice() else { return Err(WRONG) };
        let host = if matches!(host, Value::Nil) { "" } else { text(host)? };
        let port = u16::try_from(*port).map_err(|_| WRONG)?;
        let slot = |slot: &i64| u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS).ok_or(WRONG);
        read.push(Range {
            first: slot(first)?,
            last: slot(last)?,
            primary: at(host, port, asked).ok_or(WRONG)?,
            replicas: !replicas.is_empty(),
        });
    }
    Ok(read)
}

pub(super) fn at(host: &str, port: u16, asked: &Address) -> Option<Address> {
    let host = match (host, asked) {
        ("" | "?", Address::Tcp { host, .. }) => host.as_str(),
        ("" | "?", Address::Unix(_)) => return None,
        (host, _) => host,
    };
    Some(Address::Tcp { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_map_of_slots_is_read() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), bulk("id")]);
        let range = |first, last, nodes: Vec<Value>| {
            Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
        };
        let asked = tcp("asked", 1);
        let map = Value::Array(vec![
            range(0, 10, vec![node(bulk("a"), 1), node(bulk("b"), 2)]),
            range(11, 16383, vec![node(Value::Nil, 3)]),
        ]);
        assert_eq!(
            slot_ranges(&map, &asked).unwrap(),
            [
                Range { first: 0, last: 10, primary: tcp("a", 1), replicas: true },
                Range { first: 11, last: 16383, primary: tcp("asked", 3), replicas: false },
            ]
        );
        for garbage in [
            Value::Nil,
            Value::Array(vec![Value::Nil]),
            Value::Array(vec![range(0, 16384, vec![node(bulk("a"), 1)])]),
            Value::Array(vec![range(0, 1, vec![node(bulk("a"), -1)])]),
            Value::Array(vec![range(0, 1, vec![])]),
        ] {
            assert!(slot_ranges(&garbage, &asked).is_err(), "{garbage:?}");
        }
    }
}
