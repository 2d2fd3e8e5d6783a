//! The tower contract: the service that was readied is the one that is called.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use adapter_axum::{Cache, Invalidation, Policy};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use cache_memory::MemoryStore;
use tower::{Layer as _, Service, ServiceExt as _};

/// Panics when it is called without having been readied; its clones are not ready.
#[derive(Debug, Default)]
struct Probe {
    ready: bool,
}

impl Clone for Probe {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request> for Probe {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called without being ready");
        ready(Ok(Response::new(Body::from("ok"))))
    }
}

#[tokio::test]
async fn a_readied_service_is_called_on_every_way() {
    let cache = Cache::new(MemoryStore::new());
    let mut cached =
        cache.layer(Policy::ttl(Duration::from_secs(60))).unwrap().layer(Probe::default());
    for uri in ["/a", "/a", "/b"] {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        cached.ready().await.unwrap().call(request).await.unwrap();
    }
    let write = cache.invalidate_layer(Invalidation::new().tag("t")).unwrap();
    let mut write = write.layer(Probe::default());
    for _ in 0..2 {
        let request = Request::post("/a").body(Body::empty()).unwrap();
        write.ready().await.unwrap().call(request).await.unwrap();
    }
}
