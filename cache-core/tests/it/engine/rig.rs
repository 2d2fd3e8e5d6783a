//! A route with a handler and a store whose steps the test controls.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::body::{Body, Frame, ReplyBody, Size};
use cache_core::clock::{Clock, ManualClock};
use cache_core::engine::mutant::Mutant;
use cache_core::engine::{Changes, Origin, Route, Spawn, Step};
use cache_core::entry::{Entry, codec};
use cache_core::key::Key;
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Selection, Stamp, Store, Ticket,
};
use cache_core::tag::Tag;
use cache_core::{Cache, Policy, RequestHead, StoreError, StoreErrorKind};
use cache_memory::MemoryStore;
use http::{HeaderMap, HeaderValue, Method, Response, Uri};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// A point at which work stops until the test lets it pass.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    shut: Arc<AtomicBool>,
    waiting: Arc<AtomicUsize>,
    passes: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { shut: Arc::default(), waiting: Arc::default(), passes: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    pub(crate) fn shut(&self) {
        self.shut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.shut.store(false, Ordering::SeqCst);
        self.passes.add_permits(1_000_000);
    }

    /// Returns when somebody stands before the gate.
    pub(crate) async fn reached(&self) {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    }

    async fn pass(&self) {
        if self.shut.load(Ordering::SeqCst) {
            self.waiting.fetch_add(1, Ordering::SeqCst);
            self.passes.acquire().await.unwrap().forget();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The memory store with gates before `begin` and behind `put`, and faults.
#[derive(Clone, Debug)]
pub(crate) struct GatedStore {
    pub(crate) inner: MemoryStore,
    pub(crate) before_begin: Gate,
    pub(crate) after_put: Gate,
    pub(crate) fail_puts: Arc<AtomicBool>,
    /// Never answers at once, as a remote store would not.
    pub(crate) waits: Arc<AtomicBool>,
    /// What is looked up, waiting, has been bytes in between.
    pub(crate) keeps_bytes: Arc<AtomicBool>,
    pub(crate) fail_lookups: Arc<AtomicBool>,
    pub(crate) fail_invalidations: Arc<AtomicBool>,
    pub(crate) hang: Arc<AtomicBool>,
    pub(crate) lookups: Arc<AtomicUsize>,
    pub(crate) puts: Arc<AtomicUsize>,
}

impl GatedStore {
    pub(crate) fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            before_begin: Gate::default(),
            after_put: Gate::default(),
            fail_puts: Arc::default(),
            waits: Arc::default(),
            keeps_bytes: Arc::default(),
            fail_lookups: Arc::default(),
            fail_invalidations: Arc::default(),
            hang: Arc::default(),
            lookups: Arc::default(),
            puts: Arc::default(),
        }
    }
}

pub(crate) fn shared(clock: &Arc<ManualClock>) -> Arc<dyn Clock> {
    Arc::<ManualClock>::clone(clock)
}

fn down() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "the test says so")
}

#[async_trait]
impl Store for GatedStore {
    fn guarantee(&self) -> Guarantee {
        self.inner.guarantee()
    }

    fn try_lookup(&self, key: &Key, hints: &[Tag]) -> Option<Lookup> {
        let waits = [&self.waits, &self.fail_lookups, &self.hang];
        if waits.iter().any(|flag| flag.load(Ordering::SeqCst)) {
            return None;
        }
        self.lookups.fetch_add(1, Ordering::SeqCst);
        self.inner.try_lookup(key, hints)
    }

    async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, StoreError> {
        self.lookups.fetch_add(1, Ordering::SeqCst);
        if self.hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fail_lookups.load(Ordering::SeqCst) {
            return Err(down());
        }
        tokio::task::yield_now().await;
        let found = self.inner.lookup(key, hints).await?;
        Ok(if self.keeps_bytes.load(Ordering::SeqCst) { through_bytes(found, key) } else { found })
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        self.before_begin.pass().await;
        self.inner.begin(key).await
    }

    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        if self.fail_puts.load(Ordering::SeqCst) {
            return Err(down());
        }
        let outcome = self.inner.put(ticket, entry).await;
        self.after_put.pass().await;
        outcome
    }

    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        if self.fail_invalidations.load(Ordering::SeqCst) {
            return Err(down());
        }
        self.inner.invalidate(what).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// As out of a store that keeps bytes.
fn through_bytes(found: Lookup, key: &Key) -> Lookup {
    match found {
        Lookup::Found(entry, ticket) => {
            let bytes = codec::encode(&entry, Stamp { epoch: 1, clock: 1 }).unwrap();
            Lookup::Found(codec::decode(&bytes, key).unwrap().0, ticket)
        }
        missed => missed,
    }
}

/// All of a reply's body.
fn whole(body: ReplyBody) -> Bytes {
    match body {
        ReplyBody::Absent => Bytes::new(),
        ReplyBody::Whole(bytes) => bytes,
        ReplyBody::Pieces(mut pieces) => {
            let stated = pieces.left();
            let all: Vec<u8> = std::iter::from_fn(|| pieces.next_piece()).flatten().collect();
            assert_eq!(all.len() as u64, stated);
            Bytes::from(all)
        }
    }
}

/// What the handler does.
pub(crate) type Handler = dyn Fn(&HeaderMap, usize) -> Response<&'static str> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) cache: Cache,
    pub(crate) store: GatedStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) route: Route,
    pub(crate) runs: Arc<AtomicUsize>,
    pub(crate) in_handler: Gate,
    pub(crate) handler: Arc<Handler>,
}

/// An answer as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl Rig {
    pub(crate) fn new(policy: Policy, mutant: Option<Mutant>) -> Self {
        let clock = Arc::new(ManualClock::default());
        let memory = MemoryStore::builder().clock(shared(&clock)).build().unwrap();
        let store = GatedStore::new(memory);
        let mut builder = Cache::builder(store.clone())
            .store_timeout(Duration::from_secs(5))
            .clock(shared(&clock));
        if let Some(mutant) = mutant {
            builder = builder.mutant(mutant);
        }
        let cache = builder.build().unwrap();
        let route = Route::new(&cache, policy).unwrap();
        let handler: Arc<Handler> = Arc::new(|_, run| {
            Response::new(
                ["zero", "first", "second", "third", "fourth"].get(run).copied().unwrap_or("more"),
            )
        });
        Self {
            cache,
            store,
            clock,
            route,
            runs: Arc::default(),
            in_handler: Gate::default(),
            handler,
        }
    }

    pub(crate) fn handler(
        mut self,
        handler: impl Fn(&HeaderMap, usize) -> Response<&'static str> + Send + Sync + 'static,
    ) -> Self {
        self.handler = Arc::new(handler);
        self
    }

    /// Returns when so many lookups were made. On one thread, the request behind the last of them
    /// has then gone as far as it can.
    pub(crate) async fn looked_up(&self, times: usize) {
        while self.store.lookups.load(Ordering::SeqCst) < times {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Like [`get`](Self::get), beside what the test does next.
    pub(crate) fn ask(&self, path: &'static str) -> JoinHandle<Answer> {
        let rig = self.clone();
        tokio::spawn(async move { rig.get(path).await })
    }

    pub(crate) async fn get_with(
        &self,
        path: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Answer {
        self.request(Method::GET, path, fields).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        fields: &[(&'static str, &'static str)],
    ) -> Answer {
        let origin = self.origin(method, path, fields);
        let step = self.route.attend(&origin.head());
        let response = match step {
            Step::Reply(reply) => reply.into_response(whole),
            Step::Forward(pending) => {
                let life = self.route.lifeline();
                let served = self.route.serve(pending, origin, TestSpawn, life).await.unwrap();
                if let Some((refresh, origin)) = served.refresh {
                    tokio::spawn(async move {
                        let _ = Route::run_refresh(refresh, origin, TestSpawn).await;
                    });
                }
                let (parts, mut body) = served.response.into_parts();
                let mut whole = Vec::new();
                while let Some(frame) = std::future::poll_fn(|cx| body.poll_frame(cx)).await {
                    if let Ok(Frame::Data(data)) = frame {
                        whole.extend_from_slice(&data);
                    }
                }
                Response::from_parts(parts, Bytes::from(whole))
            }
        };
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The handler with one request.
    pub(crate) fn origin(
        &self,
        method: Method,
        path: &str,
        fields: &[(&'static str, &'static str)],
    ) -> TestOrigin {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        TestOrigin { method, uri: path.parse().unwrap(), headers, rig: self.clone() }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TestSpawn;

impl<T: Future<Output = ()> + Send + 'static> Spawn<T> for TestSpawn {
    fn spawn(&self, task: T) {
        tokio::spawn(task);
    }
}

pub(crate) struct TestOrigin {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    rig: Rig,
}

impl Origin for TestOrigin {
    type Body = TestBody;
    type Error = Infallible;

    fn head(&self) -> RequestHead<'_> {
        RequestHead::new(&self.method, &self.uri, &self.headers)
    }

    async fn body(&mut self, _limit: usize) -> Option<Bytes> {
        Some(Bytes::new())
    }

    async fn run(mut self, changes: Changes) -> Result<Response<TestBody>, Infallible> {
        for (name, value) in changes.fields {
            match value {
                Some(value) => drop(self.headers.insert(name, value)),
                None => drop(self.headers.remove(name)),
            }
        }
        let run = self.rig.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let response = (self.rig.handler)(&self.headers, run);
        self.rig.in_handler.pass().await;
        Ok(response.map(TestBody::from))
    }
}

#[derive(Debug)]
pub(crate) struct TestBody(VecDeque<Bytes>);

impl From<&'static str> for TestBody {
    fn from(text: &'static str) -> Self {
        Self(VecDeque::from([Bytes::from_static(text.as_bytes())]))
    }
}

impl Body for TestBody {
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::Data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size(&self) -> Size {
        Size::exact(self.0.iter().map(|bytes| bytes.len() as u64).sum())
    }
}
