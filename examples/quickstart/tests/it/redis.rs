//! Two processes, one Redis, one database file: one cache.

use conformance_tests::servers::Server;

use crate::program::{Program, run};

const PARIS: &str = "/cities/2988507";

#[test]
fn two_processes_are_one_cache() {
    let redis = Server::start(&[]).unwrap();
    let url = redis.url();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cities.db");
    let start =
        || Program::start_with(|command| command.arg("--db").arg(&path).args(["--store", &url]));
    let (one, other) = (start(), start());
    let first = one.get(PARIS);
    assert_eq!(first.cache(), "MISS");
    let second = other.get(PARIS);
    assert_eq!((second.cache(), &second.body), ("HIT", &first.body));
    assert_eq!(second.header("etag"), first.header("etag"));

    // A write to one is seen by both, at once.
    let written = other.put("/cities/2988507?population=2200000");
    assert_eq!(written.json()["answers_removed"], 1);
    let changed = one.get(PARIS);
    assert_eq!((changed.cache(), &changed.json()["population"]), ("MISS", &2_200_000.into()));
    assert_eq!(other.get(PARIS).cache(), "HIT");

    // Both may stop; the answers stay for the next.
    let (code, _) = one.stop();
    assert_eq!(code, Some(0));
    drop(other);
    let third = start();
    assert_eq!(third.get(PARIS).cache(), "HIT");
}

/// Each temporary database is another one, whatever is left in Redis.
#[test]
fn another_database_is_another_cache() {
    let redis = Server::start(&[]).unwrap();
    let url = redis.url();
    let start = || Program::start_with(|command| command.args(["--store", &url]));
    let one = start();
    one.put("/cities/2988507?population=7");
    assert_eq!(one.get(PARIS).json()["population"], 7);
    let other = start();
    let reply = other.get(PARIS);
    assert_eq!((reply.cache(), &reply.json()["population"]), ("MISS", &2_138_551.into()));
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let nowhere =
        format!("redis://:secret@127.0.0.1:{}", conformance_tests::servers::free_port().unwrap());
    let output = run(&["--listen", "127.0.0.1:0", "--store", &nowhere]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("cannot use the store") && !message.contains("secret"), "{message}");
}

/// Redis goes: requests are answered as if there were no cache. It comes back: so does caching.
#[test]
fn without_redis_it_goes_on() {
    let mut redis = Server::start(&[]).unwrap();
    let url = redis.url();
    let program = Program::start_with(|command| command.args(["--store", &url]));
    assert_eq!(program.get(PARIS).cache(), "MISS");
    assert_eq!(program.get(PARIS).cache(), "HIT");
    redis.kill();
    for _ in 0..10 {
        let reply = program.get(PARIS);
        assert_eq!((reply.status, &reply.json()["population"]), (200, &2_138_551.into()));
    }
    redis.spawn().unwrap();
    for _ in 0..100 {
        if program.get(PARIS).cache() == "HIT" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("caching is not back");
}
