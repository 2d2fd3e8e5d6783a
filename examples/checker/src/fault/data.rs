//! Faults of what the servers hold.

use conformance_tests::servers::{Server, ServerError};

use super::Field;
use crate::error::Error;

/// A shard's clock, epoch and marks are gone.
pub(super) fn lose_metadata(field: &mut Field<'_>) -> Result<(), Error> {
    let name = format!("{}:m", field.some_shard());
    field.deployment.run_at_owner(&["UNLINK", &name])?;
    Ok(())
}

/// Some of the sets that list an invalidation's entries are gone.
pub(super) fn lose_indexes(field: &mut Field<'_>) -> Result<(), Error> {
    for_some(field, "x", |node, name, _| node.run::<i64>(&["UNLINK", name]).map(drop))
}

/// Some of the entries are gone.
pub(super) fn lose_entries(field: &mut Field<'_>) -> Result<(), Error> {
    for_some(field, "e", |node, name, _| node.run::<i64>(&["UNLINK", name]).map(drop))
}

/// A shard's metadata become something else, or lose what proves them.
pub(super) fn garble_metadata(field: &mut Field<'_>) -> Result<(), Error> {
    let name = format!("{}:m", field.some_shard());
    let command: &[&str] = match field.random.below(5) {
        0 => &["SET", &name, "garbage"],
        1 => &["ZREM", &name, "#e"],
        2 => &["ZREM", &name, "#i"],
        3 => &["ZREM", &name, "#c"],
        _ => &["ZADD", &name, "XX", "17.5", "#e"],
    };
    field.deployment.run_at_owner(command)?;
    Ok(())
}

/// Some entries become something else, are damaged, or become another's.
pub(super) fn garble_entries(field: &mut Field<'_>) -> Result<(), Error> {
    let mut other: Option<String> = None;
    let kind = field.random.below(4);
    for_some(field, "e", |node, name, life| {
        let before = other.replace(name.to_owned());
        // What is planted goes by itself after a while.
        match (kind, before) {
            (0, _) => node.run::<()>(&["SET", name, "garbage", "PX", life]),
            (1, _) => {
                node.run::<i64>(&["UNLINK", name])?;
                node.run::<i64>(&["LPUSH", name, "garbage"])?;
                node.run::<i64>(&["PEXPIRE", name, life]).map(drop)
            }
            (2, Some(before)) => node.run::<i64>(&["COPY", &before, name, "REPLACE"]).map(drop),
            _ => node.run::<i64>(&["SETRANGE", name, "60", "damaged"]).map(drop),
        }
    })
}

/// One server forgets everything.
pub(super) fn flush(field: &mut Field<'_>) -> Result<(), Error> {
    let place = field.some_primary()?;
    let how = if field.random.percent(50) { "SYNC" } else { "ASYNC" };
    Ok(field.deployment.node(place)?.run(&["FLUSHALL", how])?)
}

/// All servers forget the scripts they know.
pub(super) fn flush_scripts(field: &mut Field<'_>) -> Result<(), Error> {
    for place in field.deployment.primaries() {
        field.deployment.node(place)?.run::<()>(&["SCRIPT", "FLUSH"])?;
    }
    Ok(())
}

/// One server has to evict something for a while.
pub(super) fn evict(field: &mut Field<'_>) -> Result<(), Error> {
    let place = field.some_primary()?;
    let policies = ["allkeys-random", "allkeys-lru", "allkeys-lfu", "volatile-random"];
    let policy = policies.get(field.random.below(4) as usize).copied().unwrap_or("allkeys-lru");
    let excess = u64::from(1_000 + field.random.below(100_000));
    let node = field.deployment.node(place)?;
    let used: Option<u64> = node.info("memory", "used_memory").and_then(|used| used.parse().ok());
    let used = used.ok_or_else(|| ServerError::new("a server does not say what it uses"))?;
    squeeze(field, place, policy, used.saturating_sub(excess).max(1))
}

/// One server is full for a while and evicts nothing.
pub(super) fn full(field: &mut Field<'_>) -> Result<(), Error> {
    let place = field.some_primary()?;
    squeeze(field, place, "noeviction", 1)
}

fn squeeze(field: &mut Field<'_>, place: usize, policy: &str, limit: u64) -> Result<(), Error> {
    let set = |field: &Field<'_>, policy: &str, limit: u64| {
        let node = field.deployment.node(place)?;
        node.run::<()>(&["CONFIG", "SET", "maxmemory-policy", policy])?;
        node.run::<()>(&["CONFIG", "SET", "maxmemory", &limit.to_string()])
    };
    set(field, policy, limit)?;
    let time = field.some_time(100, 600);
    field.hold(time)?;
    Ok(set(field, "noeviction", 0)?)
}

/// Some keys of one kind at one server, each with a life in milliseconds that is short.
fn for_some(
    field: &mut Field<'_>,
    kind: &str,
    mut each: impl FnMut(&Server, &str, &str) -> Result<(), ServerError>,
) -> Result<(), Error> {
    let place = field.some_primary()?;
    let pattern = format!("{{{}:*}}:{kind}:*", field.prefix);
    let node = field.deployment.node(place)?;
    let mut names: Vec<String> = node.run(&["KEYS", &pattern])?;
    names.sort_unstable();
    let share = 10 + field.random.below(90);
    names.retain(|_| field.random.percent(share));
    let life = (200 + field.random.below(2_000)).to_string();
    let node = field.deployment.node(place)?;
    for name in names {
        // It may have gone meanwhile, or the whole server may have lost its part.
        let _ = each(node, &name, &life);
    }
    Ok(())
}
