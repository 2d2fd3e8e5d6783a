//! The least that a miss can cost: what any cache must do that keeps bodies with entity tags.
//!
//! A key is a hash of path and query, an entry is a table of fields and a body. No policy is asked,
//! nothing expires, nothing can be invalidated, and many that want one key all ask the handler.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::ETAG;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tower::Service;

/// As the memory store has.
const ROOM: u64 = 256 << 20;
/// Of an entry, beside its body.
const MORE: u64 = 300;
/// As long as ours.
const STATUS: &str = "response-cache; fwd=uri-miss; fwd-status=200; stored; ttl=3600";

/// Keeps what the service inside answers.
#[derive(Clone)]
pub(crate) struct Floor<S> {
    inner: S,
    kept: Arc<Cache<u64, Kept, ByBytes>>,
    hashes: RandomState,
}

#[derive(Clone)]
struct Kept {
    fields: Arc<HeaderMap>,
    body: Bytes,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<u64, Kept> for ByBytes {
    fn weight(&self, _: &u64, val: &Kept) -> u64 {
        val.body.len() as u64 + MORE
    }
}

impl<S> Floor<S> {
    pub(crate) fn new(inner: S) -> Self {
        let entries = usize::try_from(ROOM / (1_024 + MORE)).unwrap_or(usize::MAX);
        let kept = Arc::new(Cache::with_weighter(entries, ROOM, ByBytes));
        Self { inner, kept, hashes: RandomState::new() }
    }
}

impl<S> Service<Request> for Floor<S>
where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request) -> Self::Future {
        let key = self.hashes.hash_one(req.uri());
        if let Some(Kept { fields, body }) = self.kept.get(&key) {
            let mut response = Response::new(Body::from(body));
            *response.headers_mut() = (*fields).clone();
            return Box::pin(std::future::ready(Ok(response)));
        }
        let (answered, kept) = (self.inner.call(req), Arc::clone(&self.kept));
        Box::pin(async move {
            let (mut head, body) = answered.await?.into_parts();
            let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
                return Ok(Response::from_parts(head, Body::empty()));
            };
            head.headers.insert(ETAG, tag_of(&body));
            // No buffer is kept that others hold.
            let copy = Bytes::copy_from_slice(&body);
            kept.insert(key, Kept { fields: Arc::new(head.headers.clone()), body: copy });
            head.headers.insert("x-cache", HeaderValue::from_static("MISS"));
            head.headers.insert("cache-status", HeaderValue::from_static(STATUS));
            Ok(Response::from_parts(head, Body::from(body)))
        })
    }
}

fn tag_of(body: &Bytes) -> HeaderValue {
    let mut tag = [b'"'; 66];
    let [_, digits @ .., _] = &mut tag;
    for (pair, byte) in digits.chunks_exact_mut(2).zip(Sha256::digest(body)) {
        pair.copy_from_slice(&[byte >> 4, byte & 15].map(digit));
    }
    HeaderValue::from_bytes(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' - 10 + value }
}
