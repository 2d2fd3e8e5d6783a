//! A slot that moves to another node of the cluster, with a step of the move between each pair of
//! calls.

use std::time::Duration;

use conformance_tests::servers;

use super::deployment::{Deployment, Place};
use super::fault::Fault;
use crate::support::Server;

/// The slots of the story's names.
fn slots(server: &Server, place: &Place) -> Vec<String> {
    let mut shards: Vec<u16> = place.names.iter().map(|name| place.shard(name)).collect();
    shards.dedup();
    let slot = |shard: &u16| {
        let name = format!("{{{}:{shard}}}", place.prefix);
        let slot: i64 = server.run(&["CLUSTER", "KEYSLOT", &name]);
        slot.to_string()
    };
    shards.iter().map(slot).collect()
}

fn nodes(deployment: &Deployment) -> (&Server, &Server) {
    let Deployment::Cluster(cluster) = deployment else { panic!("only a cluster has slots") };
    (&cluster.primaries[0], &cluster.primaries[1])
}

/// Waits until no news of an earlier move is under way. What has not been heard of yet would make the
/// next claim an old one; then in the end no node serves the slot.
fn settle(deployment: &Deployment) {
    let Deployment::Cluster(cluster) = deployment else { panic!("only a cluster has slots") };
    servers::wait_for("the nodes to agree", Duration::from_secs(60), || cluster.agrees()).unwrap();
}

fn id(server: &Server) -> String {
    server.run(&["CLUSTER", "MYID"])
}

fn open(deployment: &mut Deployment, place: &Place) {
    settle(deployment);
    let (from, to) = nodes(deployment);
    for slot in slots(from, place) {
        let _: String = to.run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        let _: String = from.run(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
    }
}

/// Moves the keys of the slots for which `chosen` holds.
fn send(deployment: &Deployment, place: &Place, chosen: fn(&str) -> bool) {
    let (from, to) = nodes(deployment);
    let port = to.port.to_string();
    for slot in slots(from, place) {
        let keys: Vec<String> = from.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        for name in keys.iter().filter(|name| chosen(name)) {
            let command = ["MIGRATE", "127.0.0.1", &port, name, "0", "20000", "REPLACE"];
            from.try_run(&command).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

/// Ends the move. What was made on the old node meanwhile is moved first, as the tools do.
fn close(deployment: &mut Deployment, place: &Place) {
    send(deployment, place, |_| true);
    let (from, to) = nodes(deployment);
    for slot in slots(from, place) {
        for server in [to, from] {
            let _: String = server.run(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
        }
    }
}

/// Gives the slots back, empty, for the next run.
fn back(deployment: &mut Deployment, place: &Place) {
    settle(deployment);
    let (from, to) = nodes(deployment);
    for slot in slots(from, place) {
        let keys: Vec<String> = to.run(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        for name in keys {
            let _ = to.try_run(&["DEL", &name]);
        }
        // Importing first: only then the taker's claim is newer than the giver's.
        let _: String = from.run(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(to)]);
        for server in [from, to] {
            let _: String = server.run(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(from)]);
        }
    }
}

fn is_meta(name: &str) -> bool {
    name.ends_with("}:m")
}

/// The metadata first, or the entries first.
pub(super) const MIGRATIONS: [Fault; 2] = [
    Fault {
        name: "slots on the move, metadata first",
        strikes: &[open, |d, p| send(d, p, is_meta), close],
        errors: false,
    },
    Fault {
        name: "slots on the move, entries first",
        strikes: &[open, |d, p| send(d, p, |name| !is_meta(name)), close],
        errors: false,
    },
];

/// The same, and back again. Until the nodes agree on whose a slot is, they may send a call to and
/// fro: an error, never a wrong answer.
pub(super) const THERE_AND_BACK: Fault =
    Fault { name: "slots there and back", strikes: &[open, close, back], errors: true };
