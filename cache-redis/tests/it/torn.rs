//! A lookup of which the server gets one part long before the other: whatever happens in between, what
//! comes of it is one instant's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache_core::store::{Lookup, PutOutcome, Selection, Store};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::Server;
use crate::worker::{Worker, entry, key, patient, tag, tags};

/// Between a client and its server; holds back once what comes from `mark` on.
#[derive(Debug)]
struct Tear {
    mark: &'static [u8],
    is_armed: AtomicBool,
    torn: Notify,
    mended: Notify,
}

impl Tear {
    fn at(mark: &'static [u8]) -> Arc<Self> {
        let is_armed = AtomicBool::new(false);
        Arc::new(Self { mark, is_armed, torn: Notify::new(), mended: Notify::new() })
    }

    async fn before(self: &Arc<Self>, server: &Server) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let (tear, server) = (Arc::clone(self), server.inner().port());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
                tokio::spawn(Arc::clone(&tear).pass(client, server));
            }
        });
        url
    }

    async fn pass(self: Arc<Self>, client: TcpStream, server: TcpStream) {
        let (mut asks, mut hears) = client.into_split();
        let (mut answers, mut gets) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut answers, &mut hears).await });
        let mut buffer = vec![0; 1 << 16];
        while let Ok(length @ 1..) = asks.read(&mut buffer).await {
            let mut bytes = &buffer[..length];
            let at = bytes.windows(self.mark.len()).position(|window| window == self.mark);
            if let Some(at) = at
                && self.is_armed.swap(false, Ordering::SeqCst)
            {
                gets.write_all(&bytes[..at]).await.unwrap();
                bytes = &bytes[at..];
                self.torn.notify_one();
                self.mended.notified().await;
            }
            gets.write_all(bytes).await.unwrap();
        }
    }
}

/// A ticket that comes with an entry is no newer than the finding: with it nobody puts again what was
/// invalidated in between, as a handler's 304 would.
#[tokio::test]
async fn what_is_invalidated_within_a_lookup_is_not_put_again_with_its_ticket() {
    for mark in [&b"*7\r\n$7\r\nZMSCORE\r\n"[..], b"$2\r\n#f\r\n", b"*3\r\n$4\r\nWAIT\r\n"] {
        let server = Server::start(&[]);
        let tear = Tear::at(mark);
        let slow = |url: &str| {
            patient(url).with_connections(1).with_proof_interval(Duration::from_secs(60))
        };
        let worker = Worker::of(slow(&tear.before(&server).await)).await;
        let other = Worker::of(slow(&server.url())).await;
        worker.fill("a", &["t"], "old").await;
        let hints = [tag("t")];
        // Nothing is owed a proof of its incarnation any more.
        assert!(matches!(worker.0.lookup(&key("a"), &hints).await, Ok(Lookup::Found(..))));
        tear.is_armed.store(true, Ordering::SeqCst);
        let looking = tokio::spawn({
            let (worker, hints) = (worker.clone(), hints.clone());
            // Two at once, which share what they read.
            async move {
                let key = key("a");
                tokio::join!(worker.0.lookup(&key, &hints), worker.0.lookup(&key, &hints))
            }
        });
        tear.torn.notified().await;
        other.0.invalidate(&Selection::Tags(tags(&["t"]))).await.unwrap();
        tear.mended.notify_one();
        let mut is_new = false;
        for outcome in <[_; 2]>::from(looking.await.unwrap()) {
            match outcome.unwrap() {
                Lookup::Found(found, Some(ticket)) => {
                    assert_eq!(&found.body()[..], b"old");
                    assert_eq!(worker.put(ticket, found).await, PutOutcome::Superseded);
                }
                Lookup::Found(_, None) => {}
                Lookup::Miss(ticket) => {
                    // It was found to be invalid, so this ticket is of a later instant.
                    let put = worker.put(ticket, entry("a", &["t"], "new")).await;
                    assert_eq!(put, PutOutcome::Stored);
                    is_new = true;
                }
                other => panic!("{other:?}"),
            }
        }
        let after = other.0.lookup(&key("a"), &hints).await.unwrap();
        assert_eq!(matches!(after, Lookup::Found(..)), is_new, "{after:?}");
    }
}
