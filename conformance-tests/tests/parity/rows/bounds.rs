//! A store that is full.

use conformance_tests::http::{Expect as _, Failure, Server, expect};
use conformance_tests::servers;

use super::needed;
use crate::column::{Column, Store};

/// What Redis may hold here, in bytes.
const REDIS_BYTES: u64 = 48 << 20;

/// The library's default for the memory store.
const MEMORY_BYTES: u64 = 256 << 20;

/// Fills the store by half more than it holds: it stays within its bounds, what is asked for all
/// the time stays in, what was stored last is there, and an invalidation still holds.
pub(crate) async fn c007_the_store_is_bounded(column: Column) -> Result<(), Failure> {
    let (redis, binary, limit, body) = match column.store {
        Store::Memory => (None, column.binary(), MEMORY_BYTES, 8_000_000),
        Store::Redis => {
            let args = ["--maxmemory", &REDIS_BYTES.to_string(), "--maxmemory-policy"];
            let redis = servers::Server::start(&[&args[..], &["allkeys-lfu"]].concat());
            let redis = redis.map_err(needed)?;
            let binary = column.over(&redis.url()).arg("--store-timeout=5s");
            (Some(redis), binary, REDIS_BYTES, 2_000_000)
        }
    };
    // Nothing is to expire meanwhile.
    let binary = binary.arg(r#"--policy={"ttl":"1h"}"#);
    let s = Server::start(&binary, "full").await.map_err(needed)?;
    s.get("/users/1").await?.miss()?;
    let rounds = limit * 3 / 2 / body;
    for round in 0..rounds {
        s.get("/users/1").await?.hit()?;
        s.get(&format!("/bytes/{body}?{round}")).await?.status(200)?;
    }
    s.get(&format!("/bytes/{body}?{}", rounds - 1)).await?.hit()?;
    let mut kept = 0;
    for round in 0..rounds {
        let answer = s.get(&format!("/bytes/{body}?{round}")).await?.status(200)?;
        kept += u64::from(answer.x_cache().as_deref() == Some("HIT"));
    }
    expect(kept * body <= limit, format!("at most {limit} bytes kept"), kept * body)?;
    if let Some(redis) = &redis {
        let info: String = redis.run(&["INFO", "memory"]).map_err(needed)?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used: u64 = used.and_then(|used| used.parse().ok()).unwrap_or(u64::MAX);
        expect(used <= limit + limit / 4, format!("about {limit} bytes used"), used)?;
    } else {
        let resident = resident(&s)?;
        let room = limit + (128 << 20);
        expect(resident <= room, format!("at most {room} bytes resident"), resident)?;
    }
    s.ask("PUT", "/users/1?value=v1").await?.status(200)?;
    s.get("/users/1").await?.miss()?.says("value", "v1")?;
    Ok(())
}

/// The memory that the process has now, in bytes.
fn resident(s: &Server) -> Result<u64, Failure> {
    let id = s.process_id().ok_or_else(|| needed("no process"))?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).map_err(needed)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    Ok(kib.ok_or_else(|| needed("no VmRSS"))? << 10)
}
