//! Sockets that are open and silent.

use std::time::Duration;

use futures_util::future::join_all;

use crate::proxy::Proxy;
use crate::support::Server;
use crate::worker::{Worker, patient};

/// A breaker would hang up by itself, if no other connection's success kept it closed.
#[tokio::test]
async fn a_socket_that_a_firewall_has_forgotten_is_replaced() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let builder = patient(&proxy.url())
        .with_response_limit(Duration::from_millis(300))
        .with_connections(1)
        .with_breaker(1_000_000, Duration::from_secs(60));
    let worker = Worker::of(builder).await;
    worker.fill("a", &["t"], "a").await;
    worker.hit("a", "a").await;
    let opened = proxy.forget();
    assert!(worker.lookup("a").await.is_err(), "within its limit");
    // The kernel would notice nothing, since the proxy takes all that is sent.
    assert!(worker.answered("a", Duration::from_secs(10)).await);
    worker.hit("a", "a").await;
    assert_eq!(proxy.opened() - opened, 1);
    // After a rest, when calls carry a proof along, too.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let opened = proxy.forget();
    assert!(worker.answered("a", Duration::from_secs(10)).await);
    assert_eq!(proxy.opened() - opened, 1);
}

/// A long script or a fork is silence, too.
#[tokio::test]
async fn a_server_that_hangs_is_not_stormed() {
    const HANGS: Duration = Duration::from_secs(3);
    let server = Server::start(&[]);
    let builder = patient(&server.url())
        .with_response_limit(Duration::from_millis(100))
        .with_connect_limit(Duration::from_millis(500))
        .with_breaker(5, Duration::from_millis(500));
    let worker = Worker::of(builder).await;
    worker.fill("a", &["t"], "a").await;
    worker.hit("a", "a").await;
    let _: String = server.run(&["CONFIG", "RESETSTAT"]);
    server.signal("STOP");
    let load = async {
        let callers = (0..8).map(|_| async {
            loop {
                let _ = worker.lookup("a").await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        join_all(callers).await;
    };
    assert!(tokio::time::timeout(HANGS, load).await.is_err());
    server.signal("CONT");
    assert!(worker.answered("a", Duration::from_secs(10)).await);
    let opened: u64 =
        server.inner().info("stats", "total_connections_received").unwrap().parse().unwrap();
    // Two sockets, each replaced once in half a second at most; and one of the test's own.
    assert!(opened <= 2 * 6 + 2 + 1, "{opened} connections");
}
