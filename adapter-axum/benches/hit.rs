//! One request in the process: a bare handler beside a hit from memory.
//!
//! `cargo bench -p adapter-axum` prints time and allocations of each; only their ratio in one run
//! means something.

use std::time::Duration;

use adapter_axum::{Cache, CacheLayer, Policy};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use cache_memory::MemoryStore;
use divan::{AllocProfiler, Bencher};
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const SIZES: [usize; 2] = [1 << 10, 16 << 10];

fn main() {
    divan::main();
}

#[divan::bench(args = SIZES)]
fn bare_handler(bencher: Bencher<'_, '_>, size: usize) {
    measure(bencher, &router(size));
}

#[divan::bench(args = SIZES)]
fn hit_on_a_route(bencher: Bencher<'_, '_>, size: usize) {
    measure(bencher, &router(size).layer(layer()));
}

#[divan::bench(args = SIZES)]
fn hit_around_the_application(bencher: Bencher<'_, '_>, size: usize) {
    measure(bencher, &layer().layer(router(size)));
}

fn router(size: usize) -> Router {
    let body = Bytes::from(vec![b'x'; size]);
    Router::new().route("/hit", get(move || std::future::ready(body.clone())))
}

fn layer() -> CacheLayer {
    let policy = Policy::ttl(Duration::from_secs(3600)).tags(["one", "two"]);
    match Cache::new(MemoryStore::new()).layer(policy) {
        Ok(layer) => layer,
        Err(error) => unreachable!("a valid policy: {error}"),
    }
}

fn measure<S>(bencher: Bencher<'_, '_>, service: &S)
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: std::fmt::Debug,
{
    let Ok(runtime) = Runtime::new() else { return };
    let ask = |request| {
        let service = service.clone();
        runtime.block_on(async move {
            let answer = service.oneshot(request).await.map(Response::into_body);
            answer.is_ok_and(|body| !http_body::Body::is_end_stream(&body))
        })
    };
    assert!(ask(request()), "the first answer fills the cache");
    bencher.with_inputs(request).bench_local_values(ask);
}

fn request() -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/hit");
    request.headers_mut().insert("host", http::HeaderValue::from_static("bench"));
    request
}
