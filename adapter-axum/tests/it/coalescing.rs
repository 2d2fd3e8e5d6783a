//! Many clients, one run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::routing::get;
use cache_memory::MemoryStore;
use tokio::sync::Notify;

use super::wire;

#[derive(Clone, Default)]
struct Slow {
    runs: Arc<AtomicUsize>,
    entered: Arc<Notify>,
    go: Arc<Notify>,
}

impl Slow {
    fn app(&self, cache: &Cache) -> Router {
        let slow = self.clone();
        let handler = get(move || {
            let slow = slow.clone();
            async move {
                let run = slow.runs.fetch_add(1, Ordering::SeqCst) + 1;
                slow.entered.notify_one();
                slow.go.notified().await;
                format!("run {run}")
            }
        });
        let policy = Policy::ttl(Duration::from_secs(60)).tag("t");
        Router::new().route("/slow", handler.layer(cache.layer(policy).unwrap()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c095_a_thousand_cold_requests_run_the_handler_once() {
    let cache = Cache::new(MemoryStore::new());
    let slow = Slow::default();
    let address = wire::serve(slow.app(&cache)).await;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        clients.push(tokio::spawn(async move {
            wire::read_all(wire::send(address, "/slow").await).await
        }));
    }
    slow.entered.notified().await;
    slow.go.notify_one();
    for client in clients {
        let answer = String::from_utf8(client.await.unwrap()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("run 1"), "{answer}");
    }
    assert_eq!(slow.runs.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c095_a_leader_whose_client_leaves_still_serves_its_followers() {
    let cache = Cache::new(MemoryStore::new());
    let slow = Slow::default();
    let address = wire::serve(slow.app(&cache)).await;
    let leader = wire::send(address, "/slow").await;
    slow.entered.notified().await;
    let mut followers = Vec::new();
    for _ in 0..50 {
        followers.push(tokio::spawn(async move {
            wire::read_all(wire::send(address, "/slow").await).await
        }));
    }
    drop(leader);
    // The server notices the closed connection on its own time; the fill must not.
    tokio::time::sleep(Duration::from_millis(100)).await;
    slow.go.notify_one();
    for follower in followers {
        let answer = String::from_utf8(follower.await.unwrap()).unwrap();
        assert!(answer.ends_with("run 1"), "{answer}");
    }
    assert_eq!(slow.runs.load(Ordering::SeqCst), 1);
    assert!(cache.stats().collapsed > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c096_a_fill_that_straddles_an_invalidation_is_never_served() {
    for name in ["tag", "key", "namespace", "clear"] {
        let namespace = Policy::new().namespace(adapter_axum::policy::setting::Namespace::new("n"));
        let cache =
            Cache::from(Cache::builder(MemoryStore::new()).policy(namespace).build().unwrap());
        let slow = Slow::default();
        let address = wire::serve(slow.app(&cache)).await;
        let first = wire::send(address, "/slow").await;
        slow.entered.notified().await;
        let done = match name {
            "tag" => cache.invalidate_tags(["t"]).await,
            "key" => cache.namespace("n").invalidate_keys(["/slow"]).await,
            "namespace" => cache.invalidate_namespace("n").await,
            _ => cache.clear().await,
        };
        done.unwrap();
        slow.go.notify_one();
        assert!(String::from_utf8(wire::read_all(first).await).unwrap().ends_with("run 1"));
        slow.go.notify_one();
        let second = wire::read_all(wire::send(address, "/slow").await).await;
        assert!(String::from_utf8(second).unwrap().ends_with("run 2"), "by {name}");
        let third = wire::read_all(wire::send(address, "/slow").await).await;
        assert!(String::from_utf8(third).unwrap().ends_with("run 2"), "by {name}");
    }
}
