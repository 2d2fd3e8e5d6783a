//! An application in the process, cached or bare.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adapter_axum::{Cache, CacheService};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use cache_core::{Policy, Store};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::error::Error;

/// A service of the application.
pub(crate) trait App:
    Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> App for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// One KiB under `/item`, whatever the query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handler {
    runs: Arc<AtomicUsize>,
    /// How long it works.
    takes: Duration,
}

impl Handler {
    pub(crate) fn taking(takes: Duration) -> Self {
        Self { takes, ..Self::default() }
    }

    /// How often it has run.
    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }

    /// The application without a cache.
    pub(crate) fn bare(&self) -> Router {
        let (body, handler) = (Bytes::from(vec![b'x'; 1 << 10]), self.clone());
        let answer = move || {
            let (body, handler) = (body.clone(), handler.clone());
            async move {
                handler.runs.fetch_add(1, Ordering::Relaxed);
                if !handler.takes.is_zero() {
                    tokio::time::sleep(handler.takes).await;
                }
                body
            }
        };
        Router::new().route("/item", get(answer))
    }

    /// A cache around it, with two tags and an hour.
    pub(crate) fn cached(&self, store: impl Store) -> Result<(Cache, CacheService<Router>), Error> {
        let cache = Cache::new(store);
        let policy = Policy::ttl(Duration::from_secs(3_600)).tags(["kept", "other"]);
        let layer = cache.layer(policy).map_err(|error| Error::other(error.to_string()))?;
        Ok((cache, layer.layer(self.bare())))
    }
}

/// One request and all of its answer.
pub(crate) async fn ask<S: App>(service: &S, number: usize) -> Result<(), Error> {
    let request = Request::builder().uri(format!("/item?n={number}")).header("host", "bench");
    let request = request.body(Body::empty());
    let request = request.map_err(|error| Error::other(error.to_string()))?;
    let Ok(response) = service.clone().oneshot(request).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await;
    match body {
        Ok(body) if status.is_success() && body.len() == 1 << 10 => Ok(()),
        _ => Err(Error::other(format!("answered with {status}"))),
    }
}

pub(crate) fn runtime(threads: usize) -> Result<tokio::runtime::Runtime, Error> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().map_err(Error::io("making a runtime"))
}
