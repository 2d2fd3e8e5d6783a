//! Ways in, settings, and what is shown of them.

use std::num::NonZeroU16;
use std::time::Duration;

use cache_core::store::{Guarantee, PutOutcome, Refusal, Store};
use cache_redis::{ConnectError, RedisStore};

use crate::support::Server;
use crate::worker::{Worker, entry, key, patient};

#[tokio::test]
async fn password_database_and_socket() {
    let mut server = Server::prepare(&["--requirepass", "s3cret", "--unixsocket", "socket"])
        .with_password("s3cret");
    server.spawn();
    let socket = server.dir.join("socket");
    let socket = socket.to_str().unwrap();
    let port = server.port;
    let worker = Worker::at(&format!("redis://:s3cret@127.0.0.1:{port}/3")).await;
    worker.fill("a", &["t"], "a").await;
    let same = Worker::at(&format!("unix://{socket}?pass=s3cret&db=3")).await;
    same.hit("a", "a").await;
    let elsewhere = Worker::at(&format!("redis://default:s3cret@127.0.0.1:{port}")).await;
    elsewhere.miss("a").await;

    for url in [format!("redis://127.0.0.1:{port}"), format!("redis://:wr0ng@127.0.0.1:{port}")] {
        let error = RedisStore::connect(&url).await.unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(matches!(error, ConnectError::Store(_)), "{shown}");
        assert!(!shown.contains("wr0ng"), "{shown}");
    }
    for shown in [
        format!("{:?}", worker.0),
        format!("{:?}", RedisStore::builder("redis://u:s3cret@h").unwrap()),
    ] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

/// The connect limit counts at the start, not only the short one of a request.
#[tokio::test]
async fn a_server_that_is_slow_to_connect_does_not_fail_the_start() {
    let server = Server::start(&[]);
    server.signal("STOP");
    let builder = RedisStore::builder(&server.url())
        .unwrap()
        .with_connect_limit(Duration::from_secs(10))
        .with_response_limit(Duration::from_millis(200));
    let starting = tokio::spawn(builder.connect());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!starting.is_finished(), "it gave up");
    server.signal("CONT");
    starting.await.unwrap().unwrap();
}

#[tokio::test]
async fn settings_out_of_range_name_their_field() {
    let builder = || RedisStore::builder("redis://127.0.0.1:1").unwrap();
    for (builder, field) in [
        (builder().with_prefix("a{b"), "prefix"),
        (builder().with_prefix(""), "prefix"),
        (builder().with_connections(0), "connections"),
        (builder().with_shards(NonZeroU16::MAX), "shards"),
        (builder().with_response_limit(Duration::ZERO), "response_limit"),
        (builder().with_connect_limit(Duration::MAX), "connect_limit"),
        (builder().with_proof_interval(Duration::MAX), "proof_interval"),
        (builder().with_breaker(0, Duration::from_secs(1)), "breaker.threshold"),
        (builder().with_max_marks(1), "max_marks"),
        (builder().with_reclaim_step(0), "reclaim_step"),
        (builder().with_max_entry(usize::MAX), "max_entry"),
    ] {
        match builder.connect().await.unwrap_err() {
            ConnectError::Config(error) => {
                assert_eq!(error.field(), field);
                assert!(error.to_string().contains(field), "{error}");
            }
            other => panic!("{field}: {other:?}"),
        }
    }
    assert!(matches!(RedisStore::builder("nonsense"), Err(ConnectError::Config(_))));
}

#[tokio::test]
async fn prefixes_are_apart_and_listed() {
    let server = Server::start(&[]);
    let of = |prefix: &str| patient(&server.url()).with_prefix(prefix);
    let one = Worker::of(of("a*")).await;
    let two = Worker::of(of("ab")).await;
    let three = Worker::of(of("a*:0")).await;
    for worker in [&one, &two, &three] {
        worker.fill("k", &["t"], "body").await;
    }
    let _: String = server.run(&["SET", "{a*:0}foreign", "x"]);
    one.invalidate(&["t"]).await;
    one.miss("k").await;
    two.hit("k", "body").await;
    three.hit("k", "body").await;
    one.fill("k", &["t"], "body").await;
    let mut names = one.0.keys(100).await.unwrap();
    names.sort();
    assert_eq!(names.len(), 4, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("{a*:0}:")), "{names:?}");
    assert_eq!(one.0.keys(2).await.unwrap().len(), 2);
    assert_eq!(one.0.guarantee(), Guarantee::Linearizable);
}

#[tokio::test]
async fn shards_must_agree() {
    let server = Server::start(&[]);
    let of = |shards| {
        let shards = NonZeroU16::new(shards).unwrap();
        patient(&server.url()).with_shards(shards)
    };
    let four = Worker::of(of(4)).await;
    for n in 0..40 {
        four.fill(&format!("k{n}"), &["t"], "body").await;
    }
    let done = four.invalidate(&["t"]).await;
    assert_eq!((done.removed, done.complete), (40, true));
    for n in 0..40 {
        four.miss(&format!("k{n}")).await;
    }
    let error = of(8).connect().await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(format!("{error:?}").contains("4 shards elsewhere"), "{error:?} {source}");
}

#[tokio::test]
async fn a_large_entry_is_refused() {
    let server = Server::start(&[]);
    let worker = Worker::of(patient(&server.url()).with_max_entry(1_000)).await;
    let ticket = worker.0.begin(&key("a")).await.unwrap();
    let outcome = worker.put(ticket, entry("a", &["t"], &"x".repeat(1_001))).await;
    assert_eq!(outcome, PutOutcome::Refused(Refusal::TooLarge));
    worker.miss("a").await;
}
