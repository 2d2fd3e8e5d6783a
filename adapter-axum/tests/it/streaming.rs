//! Bodies that come in pieces.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use cache_memory::MemoryStore;
use futures_util::stream::{self, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};

use super::wire;

fn app(cache: &Cache, body: impl Fn(usize) -> Body + Clone + Send + Sync + 'static) -> Router {
    let runs = Arc::new(AtomicUsize::new(0));
    let handler = get(move || {
        let (runs, body) = (Arc::clone(&runs), body.clone());
        async move { body(runs.fetch_add(1, Ordering::SeqCst) + 1) }
    });
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60))).unwrap();
    Router::new().route("/s", handler.layer(layer))
}

/// Like [`app`], with a body that is what is sent.
fn fed(cache: &Cache) -> (Router, mpsc::Sender<Bytes>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let app = app(cache, move |_| {
        let receiver = receiver.lock().unwrap().take().unwrap();
        Body::from_stream(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), receiver))
        }))
    });
    (app, sender)
}

fn text(chunks: Vec<Result<&'static str, std::io::Error>>) -> Body {
    Body::from_stream(stream::iter(chunks.into_iter().map(|chunk| chunk.map(Bytes::from))))
}

#[tokio::test]
async fn c028_a_stream_is_stored_at_its_end_and_its_hit_has_a_tag() {
    let cache = Cache::new(MemoryStore::new());
    let app = app(&cache, |run| text(vec![Ok("a"), Ok(if run == 1 { "b" } else { "c" })]));
    let miss = wire::get(&app, "/s").await;
    assert_eq!((miss.text(), miss.cache(), miss.field("etag")), ("ab", "MISS", ""));
    let hit = wire::get(&app, "/s").await;
    assert_eq!((hit.text(), hit.cache(), hit.field("etag").len()), ("ab", "HIT", 66));
}

#[tokio::test]
async fn c029_a_failing_stream_stores_nothing() {
    let cache = Cache::new(MemoryStore::new());
    let app = app(&cache, |_| text(vec![Ok("a"), Err(std::io::Error::other("broken"))]));
    let address = wire::serve(app.clone()).await;
    let answer = wire::read_all(wire::send(address, "/s").await).await;
    assert!(!answer.ends_with(b"0\r\n\r\n"), "the client must notice");
    assert_eq!(cache.stats().stored, 0);
    assert_eq!(cache.stats().reasons.get("body-failed"), Some(&1));
}

#[tokio::test]
async fn c029_a_body_shorter_than_announced_is_not_stored() {
    let cache = Cache::new(MemoryStore::new());
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60))).unwrap();
    let handler = get(|| async { ([("content-length", "9")], text(vec![Ok("short")])) });
    let app = Router::new().route("/s", handler.layer(layer));
    wire::get(&app, "/s").await;
    assert_eq!(cache.stats().stored, 0);
}

/// A body that says that it has nine bytes, and gives this text so many times.
struct Untrue(&'static str, usize);

impl axum::body::HttpBody for Untrue {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        let again = self.1.checked_sub(1).map(|left| {
            self.1 = left;
            Ok(http_body::Frame::data(Bytes::from(self.0)))
        });
        std::task::Poll::Ready(again)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(9)
    }
}

#[tokio::test]
async fn c029_a_body_that_ends_before_its_size_is_not_stored_and_its_client_notices() {
    let cache = Cache::new(MemoryStore::new());
    let app = app(&cache, |_| Body::new(Untrue("short", 1)));
    let address = wire::serve(app).await;
    for _ in 0..2 {
        let answer = wire::read_all(wire::send(address, "/s").await).await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.is_empty() || !text.contains("content-length: 5"), "{text}");
    }
    assert_eq!(cache.stats().stored, 0);
    assert_eq!(cache.stats().reasons.get("body-failed"), Some(&2));
}

#[tokio::test]
async fn a_body_that_goes_on_beyond_its_size_is_not_gathered_for_ever() {
    let cache = Cache::new(MemoryStore::new());
    let app = app(&cache, |_| Body::new(Untrue("a kilobyte of text, or so", usize::MAX)));
    let address = wire::serve(app).await;
    let answer = wire::read_all(wire::send(address, "/s").await);
    tokio::time::timeout(Duration::from_secs(30), answer).await.unwrap();
    assert_eq!(cache.stats().stored, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c028_chunks_go_out_as_they_come() {
    let cache = Cache::new(MemoryStore::new());
    let (app, sender) = fed(&cache);
    let address = wire::serve(app).await;
    let mut client = wire::send(address, "/s").await;
    let mut seen = Vec::new();
    for chunk in ["first", "second"] {
        sender.send(Bytes::from(chunk)).await.unwrap();
        // The next chunk is not sent before this one has arrived.
        while !String::from_utf8_lossy(&seen).contains(chunk) {
            client.read_buf(&mut seen).await.unwrap();
        }
    }
    drop(sender);
    wire::read_all(client).await;
    assert_eq!(cache.stats().stored, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c030_a_hundred_mebibytes_pass_in_bounded_memory() {
    const CHUNK: usize = 64 << 10;
    const CHUNKS: usize = 1600;
    let cache = Cache::new(MemoryStore::new());
    // Every chunk in existence holds a permit: unbounded buffering would never end.
    let room = Arc::new(Semaphore::new((24 << 20) / CHUNK));
    let app = {
        let room = Arc::clone(&room);
        app(&cache, move |_| {
            let room = Arc::clone(&room);
            Body::from_stream(stream::iter(0..CHUNKS).then(move |_| {
                let room = Arc::clone(&room);
                async move {
                    let permit = room.acquire_owned().await.unwrap();
                    Ok::<_, Infallible>(Bytes::from_owner(Held {
                        _permit: permit,
                        bytes: vec![b'x'; CHUNK],
                    }))
                }
            }))
        })
    };
    let address = wire::serve(app).await;
    let mut client = wire::send(address, "/s").await;
    let mut total = 0_usize;
    let mut buffer = vec![0; CHUNK];
    loop {
        match client.read(&mut buffer).await.unwrap() {
            0 => break,
            read => total += read,
        }
    }
    assert!(total > CHUNK * CHUNKS);
    assert_eq!(cache.stats().reasons.get("too-large"), Some(&1));
    assert_eq!(room.available_permits(), (24 << 20) / CHUNK, "nothing is kept");
}

struct Held {
    _permit: tokio::sync::OwnedSemaphorePermit,
    bytes: Vec<u8>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test(start_paused = true)]
async fn one_detached_place_is_enough_for_a_handler_and_its_stream() {
    let cache = Cache::from(Cache::builder(MemoryStore::new()).max_detached(1).build().unwrap());
    let pause = || tokio::time::sleep(Duration::from_millis(10));
    let handler = move || async move {
        pause().await;
        Body::from_stream(stream::once(pause()).map(|()| Ok::<_, std::io::Error>("x")))
    };
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60))).unwrap();
    let app = Router::new().route("/s", get(handler).layer(layer));
    let client = tokio::time::timeout(Duration::from_millis(5), wire::get(&app, "/s"));
    assert!(client.await.is_err(), "it leaves before the head");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(wire::get(&app, "/s").await.cache(), "HIT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_does_not_end_the_fill() {
    let cache = Cache::new(MemoryStore::new());
    let (app, sender) = fed(&cache);
    let address = wire::serve(app.clone()).await;
    let mut client = wire::send(address, "/s").await;
    sender.send(Bytes::from("one ")).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("one ") {
        client.read_buf(&mut seen).await.unwrap();
    }
    drop(client);
    // The receiver must still be read although nobody is there.
    for _ in 0..64 {
        sender.send(Bytes::from_static(&[b'y'; 1024])).await.unwrap();
    }
    drop(sender);
    while cache.stats().stored == 0 {
        tokio::task::yield_now().await;
    }
    let hit = wire::get_with(&app, "/s", &[("host", "test")]).await;
    assert_eq!((hit.cache(), hit.body.len()), ("HIT", 4 + 64 * 1024));
}
