//! A new epoch whose reply is lost.

use std::time::Duration;

use cache_core::store::{Store, Ticket};

use crate::proxy::Proxy;
use crate::support::Server;
use crate::worker::{Worker, key, patient};

const META: &str = "{rc:0}:m";

/// The server is paused for writes, so that the reply to what is read gets through, and the one to
/// the new epoch does not.
#[tokio::test]
async fn an_epoch_whose_reply_was_lost_is_not_sent_again() {
    let server = Server::start(&[]);
    let proxy = Proxy::before(server.port).await;
    let cut = Worker::of(patient(&proxy.url()).with_connections(1)).await;
    let other = Worker::at(&server.url()).await;
    cut.miss("k").await;
    other.miss("k").await;

    let _: i64 = server.run(&["DEL", META]);
    let _: String = server.run(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    let minting = tokio::spawn(async move { cut.0.begin(&key("k")).await });
    until(|| info(&server).contains("\r\nblocked_clients:1\r\n")).await;
    proxy.swallow(true);
    let _: String = server.run(&["CLIENT", "UNPAUSE"]);
    until(|| server.run::<i64>(&["EXISTS", META]) == 1).await;

    // Others use the epoch, and then it is lost.
    let ticket: Ticket = other.0.begin(&key("a")).await.unwrap();
    let lost = ticket.stamp().epoch;
    other.fill("a", &["t"], "old").await;
    other.invalidate(&["t"]).await;
    other.miss("a").await;
    let _: i64 = server.run(&["DEL", META]);
    proxy.swallow(false);
    let _: i64 = server.run(&["CLIENT", "KILL", "TYPE", "normal"]);

    let ticket = minting.await.unwrap().unwrap();
    assert_ne!(ticket.stamp().epoch, lost);
    other.miss("a").await;
    other.fill("a", &["t"], "new").await;
    other.hit("a", "new").await;
}

fn info(server: &Server) -> String {
    server.run(&["INFO", "clients"])
}

async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not come");
}
