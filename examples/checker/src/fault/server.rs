//! Faults of whole servers.

use std::time::Duration;

use conformance_tests::servers::{Cluster, ServerError, Signal, wait_for};

use super::Field;
use crate::deployment::{FAILOVER_AFTER, Topology};
use crate::error::Error;

/// How long a promotion may take; Sentinels wait up to 6 s between two.
const PROMOTION_LIMIT: Duration = Duration::from_secs(30);

/// A primary stands still, not long enough to be replaced.
pub(super) fn pause(field: &mut Field<'_>) -> Result<(), Error> {
    let place = field.some_primary()?;
    let longest = match field.deployment.topology() {
        Topology::Single => 3_000,
        Topology::Sentinel | Topology::Cluster => 800,
    };
    field.deployment.node(place)?.signal(Signal::Stop)?;
    let time = field.some_time(50, longest);
    field.hold(time)?;
    Ok(field.deployment.node(place)?.signal(Signal::Continue)?)
}

/// A primary crashes and starts again with nothing.
pub(super) fn restart_empty(field: &mut Field<'_>) -> Result<(), Error> {
    let place = field.some_primary()?;
    let pause = field.some_time(0, 300);
    let node = field.deployment.node_mut(place)?;
    node.kill();
    forget_snapshot(node.dir());
    std::thread::sleep(pause);
    Ok(node.spawn()?)
}

/// A primary crashes and starts again with what it had a while before.
pub(super) fn restart_snapshot(field: &mut Field<'_>) -> Result<(), Error> {
    let place = field.some_primary()?;
    field.deployment.node(place)?.run::<()>(&["SAVE"])?;
    let time = field.some_time(100, 1_000);
    field.hold(time)?;
    let node = field.deployment.node_mut(place)?;
    node.kill();
    node.spawn()?;
    forget_snapshot(node.dir());
    Ok(())
}

/// A primary crashes; its replica, which has all that was acknowledged or nearly so, takes over.
pub(super) fn fail_over(field: &mut Field<'_>) -> Result<(), Error> {
    let primary = field.some_primary()?;
    let replica = field.deployment.replica_of(primary)?;
    field.deployment.node_mut(primary)?.kill();
    promoted(field, replica)
}

/// A primary goes on without its replica for a while and crashes; the replica, which knows nothing
/// of that while, takes over.
pub(super) fn fail_over_with_loss(field: &mut Field<'_>) -> Result<(), Error> {
    let primary = field.some_primary()?;
    let replica = field.deployment.replica_of(primary)?;
    field.deployment.node(replica)?.signal(Signal::Stop)?;
    let time = field.some_time(200, 700);
    field.hold(time)?;
    field.deployment.node_mut(primary)?.kill();
    field.deployment.node(replica)?.signal(Signal::Continue)?;
    promoted(field, replica)
}

/// A primary stands still until it is replaced, and goes on as if nothing had happened.
pub(super) fn fail_over_while_paused(field: &mut Field<'_>) -> Result<(), Error> {
    let primary = field.some_primary()?;
    let replica = field.deployment.replica_of(primary)?;
    field.deployment.node(primary)?.signal(Signal::Stop)?;
    let done = promoted(field, replica);
    let time = field.some_time(0, 500);
    field.hold(time)?;
    field.deployment.node(primary)?.signal(Signal::Continue)?;
    done
}

/// A shard's slot moves to another primary, key by key.
pub(super) fn migrate(field: &mut Field<'_>) -> Result<(), Error> {
    let meta = format!("{}:m", field.some_shard());
    // A slot that is moved while news of another move is under way may end up with nobody.
    wait_for("the nodes to agree", FAILOVER_AFTER * 60, || {
        Cluster::agree(&field.deployment.up().collect::<Vec<_>>())
    })?;
    let primaries = field.deployment.primaries();
    // The others redirect.
    let owns = |place: &usize| {
        field.deployment.node(*place).is_ok_and(|node| node.try_run(&["EXISTS", &meta]).is_ok())
    };
    let (from, others): (Vec<_>, Vec<_>) = primaries.into_iter().partition(owns);
    let chosen = field.random.below(u32::try_from(others.len()).unwrap_or(u32::MAX)) as usize;
    let (Some(from), Some(to)) = (from.first(), others.get(chosen)) else {
        return Err(ServerError::new("nowhere to migrate to").into());
    };
    let nodes = &field.deployment;
    let (source, target) = (nodes.node(*from)?, nodes.node(*to)?);
    let slot = source.run::<i64>(&["CLUSTER", "KEYSLOT", &meta])?.to_string();
    let ids: [String; 2] = [source.run(&["CLUSTER", "MYID"])?, target.run(&["CLUSTER", "MYID"])?];
    target.run::<()>(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[0]])?;
    source.run::<()>(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[1]])?;
    let port = target.port().to_string();
    wait_for("the keys to move", FAILOVER_AFTER * 20, || {
        let some = ["CLUSTER", "GETKEYSINSLOT", &slot, "3"];
        let Ok(names) = source.run::<Vec<String>>(&some) else { return false };
        for name in &names {
            // It may have gone meanwhile.
            let _ = source.try_run(&["MIGRATE", "127.0.0.1", &port, name, "0", "1000"]);
        }
        names.is_empty()
            && target.try_run(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]).is_ok()
            && source.try_run(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]).is_ok()
    })?;
    for node in nodes.up() {
        // The others learn it anyhow.
        let _ = node.try_run(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[1]]);
    }
    Ok(())
}

fn promoted(field: &Field<'_>, replica: usize) -> Result<(), Error> {
    Ok(wait_for("a promotion", PROMOTION_LIMIT, || field.deployment.leads(replica))?)
}

fn forget_snapshot(dir: &std::path::Path) {
    let _ = std::fs::remove_file(dir.join("dump.rdb"));
}
