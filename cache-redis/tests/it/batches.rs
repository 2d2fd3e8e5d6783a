//! Lookups at once, which share the question for the shard's state and the proof that a primary answers.

use std::time::Duration;

use cache_core::store::{Lookup, Store, StoreError};
use futures_util::future::join_all;

use crate::gaps::deployment::Deployment;
use crate::support::Server;
use crate::worker::{Worker, key, patient, tag};

const LOOKUPS: usize = 200;

fn name(number: usize) -> String {
    format!("k{number}")
}

async fn fill(worker: &Worker) {
    for number in 0..LOOKUPS {
        worker.fill(&name(number), &["t"], &format!("body {number}")).await;
    }
}

/// In one trip each, all at once.
async fn look_up(worker: &Worker) -> Vec<Result<Lookup, StoreError>> {
    let hints = [tag("t")];
    let calls = (0..LOOKUPS).map(|number| {
        let hints = &hints;
        async move { worker.0.lookup(&key(&name(number)), hints).await }
    });
    join_all(calls).await
}

/// No proof of the incarnation is due while a test lasts, and no failure stops the calls.
async fn lasting(server: &Server) -> Worker {
    let builder = patient(&server.url())
        .with_proof_interval(Duration::from_secs(60))
        .with_breaker(100_000, Duration::from_millis(10));
    Worker::of(builder).await
}

fn assert_hits(found: Vec<Result<Lookup, StoreError>>) {
    for (number, found) in found.into_iter().enumerate() {
        let Ok(Lookup::Found(entry, _)) = found else { panic!("{number}: {found:?}") };
        assert_eq!(entry.body(), &format!("body {number}").into_bytes());
    }
}

fn calls(server: &Server, command: &str) -> usize {
    let stats: String = server.run(&["INFO", "commandstats"]);
    let line =
        stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

async fn share_proofs(deployment: Deployment) {
    let worker = Worker::of(patient(&deployment.url()).with_connections(1)).await;
    fill(&worker).await;
    // How large entries are is known to a socket once it has had some and has written again.
    for _ in 0..2 {
        assert_hits(look_up(&worker).await);
    }
    for server in deployment.primaries() {
        let _: String = server.run(&["CONFIG", "RESETSTAT"]);
    }
    assert_hits(look_up(&worker).await);
    let total = |command| -> usize {
        deployment.primaries().into_iter().map(|server| calls(server, command)).sum()
    };
    let proofs = total("wait");
    // Each lookup whose connection owed a proof of its incarnation had its own.
    assert!((1..=LOOKUPS / 4).contains(&proofs), "{proofs} proofs of {LOOKUPS} lookups");
    // The entries, and the shard's state with the marks of all: once a batch and shard.
    for command in ["mget", "zmscore"] {
        let calls = total(command);
        assert!((1..=LOOKUPS * 3 / 4).contains(&calls), "{calls} {command} for {LOOKUPS} lookups");
    }
}

#[tokio::test]
async fn lookups_at_once_share_proofs() {
    share_proofs(Deployment::single()).await;
}

#[tokio::test]
async fn lookups_at_once_share_proofs_under_sentinel() {
    share_proofs(Deployment::sentinel()).await;
}

#[tokio::test]
async fn lookups_at_once_share_proofs_on_a_cluster() {
    share_proofs(Deployment::cluster()).await;
}

/// Its data is still there, its connections still open, and no proof of the incarnation is due.
#[tokio::test]
async fn lookups_at_once_of_a_demoted_server_are_all_refused() {
    let server = Server::start(&[]);
    let worker = lasting(&server).await;
    fill(&worker).await;
    assert_hits(look_up(&worker).await);
    let _: String = server.run(&["REPLICAOF", "127.0.0.1", "1"]);
    for found in look_up(&worker).await {
        assert!(found.is_err(), "a replica answers nothing: {found:?}");
    }
    // It is a primary again, which may have lost something meanwhile.
    let _: String = server.run(&["REPLICAOF", "NO", "ONE"]);
    assert!(!worker.answered(&name(0), Duration::from_secs(5)).await, "believed after a failback");
    for found in look_up(&worker).await {
        assert!(matches!(found, Ok(Lookup::Miss(_))), "{found:?}");
    }
    fill(&worker).await;
    assert_hits(look_up(&worker).await);
}

/// Whatever falls between the reads of lookups and their proof: no lookup is served by what was so
/// before it began.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_at_once_beside_demotions_are_never_stale() {
    let server = Server::start(&[]);
    let worker = lasting(&server).await;
    for _ in 0..20 {
        fill(&worker).await;
        let looking = tokio::spawn({
            let worker = worker.clone();
            async move { join_all((0..5).map(|_| look_up(&worker))).await }
        });
        let _: String = server.run(&["REPLICAOF", "127.0.0.1", "1"]);
        // From here on nothing is believed that is there now.
        let late = tokio::spawn({
            let worker = worker.clone();
            async move { look_up(&worker).await }
        });
        for found in looking.await.unwrap().into_iter().flatten() {
            assert!(!matches!(found, Ok(Lookup::Miss(_))), "{found:?}");
        }
        for found in late.await.unwrap() {
            assert!(found.is_err(), "{found:?}");
        }
        let _: String = server.run(&["REPLICAOF", "NO", "ONE"]);
        assert!(!worker.answered(&name(0), Duration::from_secs(5)).await);
    }
}
