//! What can happen between two calls. Each fault is a list of strikes; the first falls into one
//! gap, the others a few steps later.

use std::time::Duration;

use conformance_tests::servers;

use crate::gaps::deployment::{Deployment, Place};
use crate::support::Server;

pub(super) type Strike = fn(&mut Deployment, &Place);

#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub(super) name: &'static str,
    pub(super) strikes: &'static [Strike],
    /// Whether calls may fail while it lasts. A loss of data is no reason to.
    pub(super) errors: bool,
}

const fn loss(name: &'static str, strikes: &'static [Strike]) -> Fault {
    Fault { name, strikes, errors: false }
}

fn metas(deployment: &Deployment, place: &Place, command: &str, args: &[&str]) {
    for shard in 0..place.shards {
        let meta = place.meta(shard);
        deployment.everywhere(&[&[command, &meta], args].concat());
    }
}

fn entries(deployment: &Deployment, place: &Place, command: &str, args: &[&str]) {
    for name in &place.names {
        let name = place.entry(name);
        deployment.everywhere(&[&[command, &name], args].concat());
    }
}

/// The same where there is an entry; `SETRANGE` would make one.
fn damage(deployment: &Deployment, place: &Place, offset: &str, bytes: &str) {
    let script = "if redis.call('EXISTS', KEYS[1]) == 1 then \
                  redis.call('SETRANGE', KEYS[1], ARGV[1], ARGV[2]) end";
    for name in &place.names {
        let name = place.entry(name);
        deployment.everywhere(&["EVAL", script, "1", &name, offset, bytes]);
    }
}

fn indexes(deployment: &Deployment, place: &Place, command: &str, args: &[&str]) {
    for shard in 0..place.shards {
        for index in ["t:t", "#all"] {
            let index = place.index(shard, index);
            deployment.everywhere(&[&[command, &index], args].concat());
        }
    }
}

/// Data that goes.
pub(super) const LOSSES: [Fault; 6] = [
    loss("metadata lost", &[|d, p| metas(d, p, "DEL", &[])]),
    loss("indexes lost", &[|d, p| indexes(d, p, "DEL", &[])]),
    loss("entries lost", &[|d, p| entries(d, p, "DEL", &[])]),
    loss("marks lost with the clock", &[|d, p| metas(d, p, "ZREMRANGEBYSCORE", &["(0", "+inf"])]),
    loss("FLUSHALL", &[|d, _| d.everywhere(&["FLUSHALL"])]),
    loss("SCRIPT FLUSH", &[|d, _| d.everywhere(&["SCRIPT", "FLUSH"])]),
];

/// Data that is not ours, or no longer.
pub(super) const PLANTS: [Fault; 12] = [
    loss("metadata of another type", &[|d, p| metas(d, p, "SET", &["garbage"])]),
    loss("garbage in the metadata", &[|d, p| metas(d, p, "ZADD", &["0.5", "#c"])]),
    loss("infinity in the metadata", &[|d, p| metas(d, p, "ZADD", &["+inf", "#c"])]),
    loss("metadata without an epoch", &[|d, p| metas(d, p, "ZREM", &["#e", "#f"])]),
    loss(
        "entries of another type",
        &[|d, p| {
            entries(d, p, "DEL", &[]);
            entries(d, p, "LPUSH", &["x"]);
        }],
    ),
    loss("empty entries", &[|d, p| entries(d, p, "SET", &[""])]),
    loss("garbage for entries", &[|d, p| entries(d, p, "SET", &["garbage"])]),
    loss("entries of a newer format", &[|d, p| damage(d, p, "3", "\u{2}")]),
    loss("entries in a foreign codec", &[|d, p| damage(d, p, "4", "\u{7f}")]),
    loss("entries with another digest", &[|d, p| damage(d, p, "40", "another key")]),
    loss(
        "an entry under another name",
        &[|d, p| {
            let [one, other, _] = &p.names;
            d.everywhere(&["COPY", &p.entry(one), &p.entry(other), "REPLACE"]);
        }],
    ),
    loss("indexes of another type", &[|d, p| indexes(d, p, "SET", &["garbage"])]),
];

/// Sockets that go.
pub(super) const CONNECTIONS: [Fault; 1] = [loss("connections killed", &[|d, _| d.hang_up()])];

/// A server that hangs for two steps.
pub(super) const PAUSE: Fault = Fault {
    name: "paused and resumed",
    strikes: &[|d, _| d.first().signal("STOP"), |d, _| d.first().signal("CONT")],
    errors: true,
};

/// A server that comes back with what it had at the first strike.
pub(super) const OLDER_SNAPSHOT: Fault = Fault {
    name: "restarted from an older snapshot",
    strikes: &[
        |d, _| save(d.first()),
        |d, _| {
            d.first().kill();
            d.first().spawn();
        },
    ],
    errors: true,
};

/// Waits for a snapshot that is under way: a primary makes one for a replica that comes back.
fn save(server: &Server) {
    let saved = || server.try_run(&["SAVE"]).is_ok();
    servers::wait_for("the snapshot", Duration::from_secs(20), saved).unwrap();
}

/// A server that comes back empty.
pub(super) const RESTART: Fault = Fault {
    name: "restarted without its data",
    strikes: &[|d, _| {
        let server = d.first();
        server.kill();
        let _ = std::fs::remove_file(server.dir.join("dump.rdb"));
        server.spawn();
    }],
    errors: true,
};

/// Memory that is full, without eviction, and free again later.
pub(super) const FULL: Fault = loss(
    "noeviction and full",
    &[
        |d, _| {
            d.everywhere(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
            d.everywhere(&["CONFIG", "SET", "maxmemory", "1"]);
        },
        |d, _| d.everywhere(&["CONFIG", "SET", "maxmemory", "0"]),
    ],
);

macro_rules! eviction {
    ($policy:literal) => {
        loss(concat!("evicting by ", $policy), &[|d, p| evict(d, p, $policy)])
    };
}

/// Every policy that evicts.
pub(super) const EVICTIONS: [Fault; 7] = [
    eviction!("allkeys-lru"),
    eviction!("allkeys-lfu"),
    eviction!("allkeys-random"),
    eviction!("volatile-lru"),
    eviction!("volatile-lfu"),
    eviction!("volatile-random"),
    eviction!("volatile-ttl"),
];

/// Lets foreign keys push everything else out that the policy gives up.
fn evict(deployment: &mut Deployment, place: &Place, policy: &str) {
    let filler = "x".repeat(4_096);
    for server in deployment.primaries() {
        let info: String = server.run(&["INFO", "memory"]);
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        let limit = (used.parse::<u64>().unwrap() + 40_000).to_string();
        let _: String = server.run(&["CONFIG", "SET", "maxmemory-policy", policy]);
        let _: String = server.run(&["CONFIG", "SET", "maxmemory", &limit]);
        let mut pipe = redis::pipe();
        for n in 0..64 {
            // In the slot of one shard or another, so that each node of a cluster gets some.
            let name = format!("{{{}:{}}}filler:{n}", place.prefix, n % place.shards);
            pipe.cmd("SET").arg(name).arg(&filler).arg("PX").arg(2_000).ignore();
        }
        // What does not fit, or belongs to another node, is refused.
        let _ = pipe.exec(&mut server.raw());
        let _: String = server.run(&["CONFIG", "SET", "maxmemory", "0"]);
    }
}
