//! Answers from a store that has the response: decided and put together, up to a table that a
//! server can send. Compare with `head_cloned`, which no server can do without.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cache_core::body::{Body, Frame, Size};
use cache_core::engine::{Changes, Origin, Route, Spawn, Step};
use cache_core::{Cache, Policy, RequestHead};
use cache_memory::MemoryStore;
use divan::{Bencher, black_box};
use http::{HeaderMap, Method, Response, Uri, header};

use super::{request, response, table};

const SIZES: [usize; 2] = [1 << 10, 16 << 10];

#[divan::bench]
fn head_cloned(bencher: Bencher<'_, '_>) {
    let head = response();
    bencher.bench(|| black_box(&head).clone());
}

#[divan::bench(args = SIZES)]
fn hit(bencher: Bencher<'_, '_>, size: usize) {
    measure(bencher, size, &Method::GET, &request(), 200);
}

/// One after the other of so many: the tables of more than a thread remembers are laid out anew.
#[divan::bench(args = [1, 256, 4_096])]
fn hit_among(bencher: Bencher<'_, '_>, count: usize) {
    let uris: Vec<Uri> =
        (0..count).map(|number| format!("/api/users/{number}").parse().unwrap()).collect();
    let (route, request) = (filled_with(&uris, 1 << 10), request());
    let mut next = uris.iter().cycle();
    bencher.bench_local(|| {
        let uri = next.next().unwrap();
        match route.attend(&RequestHead::new(&Method::GET, uri, black_box(&request))) {
            Step::Reply(reply) => reply.into_response(|body| body),
            Step::Forward(_) => panic!("it is stored"),
        }
    });
}

/// Decided, but not yet in a table.
#[divan::bench]
fn hit_decided(bencher: Bencher<'_, '_>) {
    let (route, uri, request) = (filled(1 << 10), uri(), request());
    bencher.bench(|| {
        let request = black_box(&request);
        match route.attend(&RequestHead::new(&Method::GET, &uri, request)) {
            Step::Reply(reply) => reply,
            Step::Forward(_) => panic!("it is stored"),
        }
    });
}

#[divan::bench]
fn head(bencher: Bencher<'_, '_>) {
    measure(bencher, 1 << 10, &Method::HEAD, &request(), 200);
}

#[divan::bench]
fn not_modified(bencher: Bencher<'_, '_>) {
    let mut headers = request();
    headers.insert(header::IF_NONE_MATCH, response()[header::ETAG].clone());
    measure(bencher, 1 << 10, &Method::GET, &headers, 304);
}

#[divan::bench]
fn range(bencher: Bencher<'_, '_>) {
    let mut headers = request();
    headers.extend(table(&[("range", "bytes=0-511")]));
    measure(bencher, 1 << 10, &Method::GET, &headers, 206);
}

fn measure(
    bencher: Bencher<'_, '_>,
    size: usize,
    method: &Method,
    request: &HeaderMap,
    status: u16,
) {
    let (route, uri) = (filled(size), uri());
    let answer = || match route.attend(&RequestHead::new(method, &uri, black_box(request))) {
        Step::Reply(reply) => reply.into_response(|body| body),
        Step::Forward(_) => panic!("it is stored"),
    };
    assert_eq!(answer().status(), status);
    bencher.bench(answer);
}

fn uri() -> Uri {
    Uri::from_static("/api/users/2988507/orders?page=2")
}

/// A route whose store has the response.
fn filled(size: usize) -> Route {
    filled_with(&[uri()], size)
}

/// A route whose store has the responses of these targets.
fn filled_with(uris: &[Uri], size: usize) -> Route {
    let cache = Cache::new(MemoryStore::new());
    let policy = Policy::ttl(Duration::from_secs(3_600)).tags(["users", "orders"]);
    let route = Route::new(&cache, policy).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for uri in uris {
        let body = Bytes::from(vec![b'x'; size]);
        let origin = Handler { uri: uri.clone(), headers: request(), body };
        let Step::Forward(pending) = route.attend(&origin.head()) else {
            panic!("nothing is stored")
        };
        runtime.block_on(async {
            let life = route.lifeline();
            let Ok(served) = route.serve(pending, origin, Nowhere, life).await;
            let mut body = served.response.into_body();
            while std::future::poll_fn(|cx| body.poll_frame(cx)).await.is_some() {}
        });
    }
    route
}

struct Handler {
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Origin for Handler {
    type Body = Whole;
    type Error = Infallible;

    fn head(&self) -> RequestHead<'_> {
        RequestHead::new(&Method::GET, &self.uri, &self.headers)
    }

    async fn body(&mut self, _limit: usize) -> Option<Bytes> {
        Some(Bytes::new())
    }

    async fn run(self, _changes: Changes) -> Result<Response<Whole>, Infallible> {
        let mut answer = Response::new(Whole(Some(self.body)));
        *answer.headers_mut() = response();
        answer.headers_mut().remove(header::VARY);
        Ok(answer)
    }
}

/// A body of one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Infallible>>> {
        Poll::Ready(self.0.take().map(|piece| Ok(Frame::Data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size(&self) -> Size {
        Size::exact(self.0.as_ref().map_or(0, Bytes::len) as u64)
    }
}

/// Nothing goes on in the background here.
#[derive(Clone, Copy)]
struct Nowhere;

impl<T> Spawn<T> for Nowhere {
    fn spawn(&self, _task: T) {}
}
