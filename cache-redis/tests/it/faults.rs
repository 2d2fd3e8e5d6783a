//! Loss, damage and rollback of what Redis holds: always a miss, never stale, and caching goes on.

use std::collections::HashSet;
use std::time::Duration;

use cache_core::key::Digest;
use cache_core::store::{PutOutcome, Store};
use cache_redis::RedisStore;

use crate::support::Server;
use crate::worker::{Worker, entry, key, patient};

const META: &str = "{rc:0}:m";

fn entry_name(name: &str) -> String {
    format!("{{rc:0}}:e:{}", Digest::of(name.as_bytes()).to_hex())
}

/// One way to lose data.
type Loss = fn(&Server);

const LOSSES: [(&str, Loss); 5] = [
    ("metadata lost", |server| {
        let _: i64 = server.run(&["DEL", META]);
    }),
    ("everything lost", |server| {
        let _: String = server.run(&["FLUSHALL"]);
    }),
    ("metadata of another type", |server| {
        let _: String = server.run(&["SET", META, "garbage"]);
    }),
    ("garbage in the metadata", |server| {
        let _: i64 = server.run(&["ZADD", META, "0.5", "#c"]);
    }),
    ("metadata emptied but for the clock", |server| {
        let _: i64 = server.run(&["ZREM", META, "#e", "#f"]);
    }),
];

#[tokio::test]
async fn metadata_lost_at_every_gap() {
    for (what, lose) in LOSSES {
        let server = Server::start(&[]);
        let (p1, p2) = (Worker::at(&server.url()).await, Worker::at(&server.url()).await);

        // Between put and lookup.
        p1.fill("a", &["t"], "old").await;
        lose(&server);
        p2.miss("a").await;
        p1.miss("a").await;

        // Between ticket and put.
        let ticket = p1.ticket("b").await;
        lose(&server);
        let outcome = p1.put(ticket, entry("b", &["t"], "old")).await;
        assert_eq!(outcome, PutOutcome::Superseded, "{what}");
        p2.miss("b").await;

        // Between put and invalidate, and between invalidate and lookup.
        p1.fill("c", &["t"], "old").await;
        lose(&server);
        p2.invalidate(&["t"]).await;
        p1.miss("c").await;
        p1.fill("d", &["t"], "old").await;
        let late = p1.ticket("late").await;
        p2.invalidate(&["t"]).await;
        lose(&server);
        p1.miss("d").await;
        let outcome = p1.put(late, entry("late", &["t"], "old")).await;
        assert_eq!(outcome, PutOutcome::Superseded, "{what}");

        // Caching goes on (I2).
        p1.fill("e", &["t"], "new").await;
        p1.hit("e", "new").await;
        p2.hit("e", "new").await;
    }
}

#[tokio::test]
async fn index_and_entry_lost() {
    let server = Server::start(&[]);
    let (p1, p2) = (Worker::at(&server.url()).await, Worker::at(&server.url()).await);
    p1.fill("a", &["t"], "a").await;
    p1.fill("b", &["t"], "b").await;
    let _: i64 = server.run(&["DEL", "{rc:0}:x:t:t"]);
    p2.invalidate(&["t"]).await;
    p1.miss("a").await;
    p1.fill("b", &["t"], "b").await;
    let _: i64 = server.run(&["DEL", &entry_name("b")]);
    p1.miss("b").await;
    let done = p2.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (0, true));
}

#[tokio::test]
async fn planted_types_and_garbage_are_misses() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    let name = entry_name("a");
    let plants: [&[&str]; 6] = [
        &["LPUSH", &name, "x"],
        &["SET", &name, ""],
        &["SET", &name, "garbage"],
        &["SET", &name, "RCE\u{2}from the future"],
        &["SETRANGE", &name, "200", "x"],
        &["SETRANGE", &name, "40", "another key"],
    ];
    for plant in plants {
        worker.fill("a", &["t"], "good").await;
        if plant[0] != "SETRANGE" {
            let _: i64 = server.run(&["DEL", &name]);
        }
        let _: redis::Value = server.run(plant);
        worker.miss("a").await;
        // Neither filling nor invalidating is disturbed.
        worker.invalidate(&["t"]).await;
        worker.miss("a").await;
        worker.fill("a", &["t"], "new").await;
        worker.hit("a", "new").await;
    }
}

#[tokio::test]
async fn an_entry_moved_under_another_key_is_a_miss() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    worker.fill("a", &["t"], "private").await;
    let _: i64 = server.run(&["COPY", &entry_name("a"), &entry_name("b")]);
    worker.miss("b").await;
    worker.hit("a", "private").await;
}

#[tokio::test]
async fn planted_index_does_not_disturb() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    let _: String = server.run(&["SET", "{rc:0}:x:t:t", "garbage"]);
    worker.fill("a", &["t"], "a").await;
    worker.hit("a", "a").await;
    worker.invalidate(&["t"]).await;
    worker.miss("a").await;
    worker.fill("a", &["t"], "a").await;
    assert_eq!(worker.invalidate(&["t"]).await.removed, 1, "the index has healed");
}

#[tokio::test]
async fn a_clock_set_back_by_hand_is_not_believed() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    for _ in 0..5 {
        worker.invalidate(&["other"]).await;
    }
    worker.fill("a", &["t"], "a").await;
    worker.invalidate(&["t"]).await;
    // The mark is gone and the clock is lower than the stamp.
    let _: i64 = server.run(&["ZREM", META, "t:t"]);
    let _: i64 = server.run(&["ZADD", META, "2", "#c"]);
    worker.miss("a").await;
}

/// The server comes back on the same port, behind handles that know nothing of it.
#[tokio::test]
async fn silent_reconnect_to_an_older_snapshot() {
    let mut server = Server::start(&["--dbfilename", "dump.rdb"]);
    let (p1, p2) = (Worker::at(&server.url()).await, Worker::at(&server.url()).await);
    p1.fill("a", &["t"], "old").await;
    let straddling = p1.ticket("b").await;
    let _: String = server.run(&["SAVE"]);
    p2.invalidate(&["t"]).await;
    p1.miss("a").await;
    server.kill();
    server.spawn();
    let restored: i64 = server.run(&["EXISTS", &entry_name("a"), META]);
    assert!(restored >= 1, "the snapshot is there");
    assert!(!p1.answered("a", Duration::from_secs(5)).await, "stale after a rollback");
    assert!(!p2.answered("a", Duration::from_secs(5)).await, "stale after a rollback");
    let outcome = p1.put(straddling, entry("b", &["t"], "old")).await;
    assert_eq!(outcome, PutOutcome::Superseded);
    p2.miss("b").await;
    p1.fill("a", &["t"], "new").await;
    p2.hit("a", "new").await;
}

/// The restored metadata is not believed even if the first to come is an invalidation or a put.
#[tokio::test]
async fn after_a_rollback_any_first_call_is_safe() {
    for first in ["put", "invalidate", "begin"] {
        let mut server = Server::start(&["--dbfilename", "dump.rdb"]);
        let p1 = Worker::at(&server.url()).await;
        p1.fill("a", &["t"], "old").await;
        let straddling = p1.ticket("b").await;
        let _: String = server.run(&["SAVE"]);
        p1.invalidate(&["t"]).await;
        server.kill();
        server.spawn();
        match first {
            "put" => {
                let outcome = p1.put(straddling, entry("b", &["t"], "old")).await;
                assert_eq!(outcome, PutOutcome::Superseded);
            }
            "invalidate" => {
                p1.invalidate(&["unrelated"]).await;
            }
            _ => {
                p1.0.begin(&key("c")).await.unwrap();
            }
        }
        p1.miss("a").await;
        p1.miss("b").await;
    }
}

#[tokio::test]
async fn a_killed_connection_costs_nothing() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    worker.fill("a", &["t"], "a").await;
    let _: i64 = server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
    worker.hit("a", "a").await;
    let _: i64 = server.run(&["CLIENT", "KILL", "TYPE", "normal"]);
    worker.invalidate(&["t"]).await;
    worker.miss("a").await;
}

#[tokio::test]
async fn scripts_are_loaded_again() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    for round in 0..2 {
        worker.fill("a", &["t"], "a").await;
        worker.hit("a", "a").await;
        let _: String = server.run(&["SCRIPT", "FLUSH"]);
        assert_eq!(worker.invalidate(&["t"]).await.removed, 1, "round {round}");
        let _: String = server.run(&["SCRIPT", "FLUSH"]);
    }
}

/// Same process, same connection, same run id: only the replication id tells.
#[tokio::test]
async fn failback_on_the_same_connection() {
    let (primary, other) = (Server::start(&[]), Server::start(&[]));
    let port = other.port.to_string();
    let interval = Duration::from_millis(200);
    let p1 = Worker::of(patient(&primary.url()).with_proof_interval(interval)).await;
    p1.fill("a", &["t"], "old").await;

    // The other server follows, is cut off, and so misses an invalidation that is acknowledged.
    let primary_port = primary.port.to_string();
    let _: String = other.run(&["REPLICAOF", "127.0.0.1", &primary_port]);
    wait_for_link(&other).await;
    let _: String = other.run(&["REPLICAOF", "NO", "ONE"]);
    p1.invalidate(&["t"]).await;
    p1.miss("a").await;

    // The primary follows the other one, takes its older data, and is promoted again.
    let _: String = primary.run(&["REPLICAOF", "127.0.0.1", &port]);
    wait_for_link(&primary).await;
    assert!(p1.lookup("a").await.is_err(), "a replica answers nothing");
    let _: String = primary.run(&["REPLICAOF", "NO", "ONE"]);
    tokio::time::sleep(interval).await;
    assert!(!p1.answered("a", Duration::from_secs(5)).await, "stale after a failback");
}

async fn wait_for_link(replica: &Server) {
    for _ in 0..500 {
        let info: String = replica.run(&["INFO", "replication"]);
        if info.contains("master_link_status:up") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no replication");
}

/// Its data is still there, its connection still open, and no proof is due.
#[tokio::test]
async fn a_demoted_server_is_not_believed() {
    let server = Server::start(&[]);
    let interval = Duration::from_secs(60);
    let worker = Worker::of(patient(&server.url()).with_proof_interval(interval)).await;
    worker.fill("a", &["t"], "old").await;
    worker.hit("a", "old").await;
    let _: String = server.run(&["REPLICAOF", "127.0.0.1", "1"]);
    assert!(worker.lookup("a").await.is_err(), "a replica answers nothing");
}

#[tokio::test]
async fn a_replica_is_refused() {
    let (primary, replica) = (Server::start(&[]), Server::start(&[]));
    let port = primary.port.to_string();
    let _: String = replica.run(&["REPLICAOF", "127.0.0.1", &port]);
    assert!(RedisStore::connect(&replica.url()).await.is_err());
}

#[tokio::test]
async fn epochs_never_repeat() {
    let mut server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    let mut epochs = HashSet::new();
    for round in 0..60 {
        if round % 20 == 19 {
            server.kill();
            server.spawn();
            worker.answered("k", Duration::from_secs(5)).await;
        }
        let ticket = worker.0.begin(&key("k")).await.unwrap();
        assert!(epochs.insert(ticket.stamp().epoch), "round {round}");
        let _: i64 = server.run(&["DEL", META]);
    }
}

#[tokio::test]
async fn trimming_raises_the_floor() {
    let server = Server::start(&[]);
    let builder = patient(&server.url()).with_max_marks(100);
    let worker = Worker::of(builder).await;
    worker.fill("old", &["t"], "old").await;
    for n in 0..300 {
        worker.invalidate(&[&format!("n{n}")]).await;
    }
    worker.miss("old").await;
    worker.fill("young", &["t"], "young").await;
    worker.invalidate(&["n0"]).await;
    worker.hit("young", "young").await;
    let marks: i64 = server.run(&["ZCARD", META]);
    assert!(marks <= 100 + 5, "{marks} members");
    // More tags in one call than there is room for: still in force, still exact for the young.
    worker.fill("many", &["n7"], "many").await;
    let names: Vec<String> = (0..200).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    worker.invalidate(&names).await;
    worker.miss("many").await;
    worker.fill("young", &["n7"], "young").await;
    worker.hit("young", "young").await;
}

#[tokio::test]
async fn the_clock_ends_in_a_new_epoch() {
    let server = Server::start(&[]);
    let worker = Worker::at(&server.url()).await;
    worker.fill("a", &["t"], "old").await;
    let _: i64 = server.run(&["ZADD", META, "4503599627370495", "#c"]);
    worker.invalidate(&["t"]).await;
    worker.miss("a").await;
    worker.fill("a", &["t"], "new").await;
    worker.hit("a", "new").await;
    worker.invalidate(&["t"]).await;
    worker.miss("a").await;
}
