//! The proxy as a service with the cache's layer around it.

use std::convert::Infallible;

use adapter_axum::{Cache, PolicyError};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use cache_proxy_common::args::Options;
use cache_proxy_common::failure::Failure;
use cache_proxy_common::origin::Origin;
use http::header::{CACHE_CONTROL, HeaderValue};
use tower::{Service, service_fn};
use tower_layer::Layer as _;

/// What is served. No router: it would answer for the origin (`HEAD`, unknown methods).
pub(crate) fn service(
    cache: &Cache,
    options: &Options,
) -> Result<
    impl Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static,
    PolicyError,
> {
    let origin = Origin::new(options.origin.clone(), options.patience);
    let layer = cache.layer(options.policy.clone())?;
    Ok(layer.layer(service_fn(move |request: Request| {
        let origin = origin.clone();
        async move {
            let answer = match origin.ask(request).await {
                Ok(answer) => answer.map(Body::new),
                Err(failure) => failed(&failure),
            };
            Ok::<_, Infallible>(answer)
        }
    })))
}

/// The proxy's own answer is about this moment.
fn failed(failure: &Failure) -> Response {
    let mut response = Response::new(Body::from(failure.text()));
    *response.status_mut() = failure.status();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
