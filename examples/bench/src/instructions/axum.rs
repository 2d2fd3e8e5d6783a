//! Calls of an axum application.

use std::hint::black_box;
use std::pin::Pin;

use adapter_axum::{Cache, CacheLayer};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::header::{ETAG, VARY};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use cache_memory::MemoryStore;
use tokio::runtime::Runtime;
use tower::{Layer as _, Service, ServiceExt as _};

use super::counted::run_counted;
use crate::case::{Case, Place};
use crate::error::Error;

pub(crate) fn run(case: Case, count: usize) -> Result<(), Error> {
    match case.place {
        Place::Bare => measure(case, &router(case), count),
        Place::Route => measure(case, &router(case).layer(layer(case)?), count),
        Place::Around | Place::Front => measure(case, &layer(case)?.layer(router(case)), count),
    }
}

fn router(case: Case) -> Router {
    let body = case.body();
    let handler = move || {
        let body = body.clone();
        std::future::ready(match case.vary() {
            Some(name) => ([(VARY, name)], body).into_response(),
            None => body.into_response(),
        })
    };
    // As the server does before the first request; else routes would be made anew for each.
    Router::new().route("/item", get(handler)).with_state(())
}

fn layer(case: Case) -> Result<CacheLayer, Error> {
    Cache::new(MemoryStore::new())
        .layer(case.policy())
        .map_err(|error| Error::other(error.to_string()))
}

fn measure<S>(case: Case, service: &S, count: usize) -> Result<(), Error>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: std::fmt::Debug,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("making a runtime"))?;
    let etag = prepare(case, service, &runtime)?;
    let mut requests =
        (0..count).map(|n| request(case, n, etag.as_deref())).collect::<Result<Vec<_>, _>>()?;
    run_counted(&mut || {
        runtime.block_on(async {
            for request in requests.drain(..) {
                // As the server does: a clone per request.
                if let Ok(response) = service.clone().oneshot(request).await {
                    drain(black_box(response)).await;
                }
            }
        });
    });
    Ok(())
}

/// Two calls: one that fills, one that must be what is counted. Gives the response's entity tag.
fn prepare<S>(case: Case, service: &S, runtime: &Runtime) -> Result<Option<String>, Error>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: std::fmt::Debug,
{
    runtime.block_on(async {
        let ask = async |request| {
            let answer = service.clone().oneshot(request).await;
            answer.map_err(|error| Error::other(format!("{case}: {error:?}")))
        };
        let response = ask(plain(case)?).await?;
        let etag = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.map(str::to_owned);
        drain(response).await;

        let response = ask(request(case, usize::MAX, etag.as_deref())?).await?;
        let x_cache = response.headers().get("x-cache").and_then(|value| value.to_str().ok());
        if !case.expects(response.status().as_u16(), x_cache) {
            return Err(case.unexpected(response.status().as_u16(), x_cache));
        }
        drain(response).await;
        Ok(etag)
    })
}

async fn drain(response: Response) {
    let mut body = response.into_body();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let _ = black_box(frame);
    }
}

/// What fills the cache.
fn plain(case: Case) -> Result<Request, Error> {
    build(case, "GET", &case.path(usize::MAX - 1), case.filling_field())
}

fn request(case: Case, number: usize, etag: Option<&str>) -> Result<Request, Error> {
    build(case, case.method(), &case.path(number), case.request_field(etag))
}

fn build(
    case: Case,
    method: &str,
    path: &str,
    field: Option<(&'static str, String)>,
) -> Result<Request, Error> {
    let mut request = Request::builder().method(method).uri(path).header("host", "bench");
    if let Some((name, value)) = field {
        request = request.header(name, value);
    }
    request.body(Body::empty()).map_err(|error| Error::other(format!("{case}: {error}")))
}
