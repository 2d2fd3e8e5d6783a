//! The service.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use cache_core::RequestHead;
use cache_core::body::ReplyBody;
use cache_core::engine::{Origin as _, Pending, Route, ServedBody, Spawn as _, Step};
use tower_service::Service;

use crate::body::{Absent, Outgoing, TokioSpawn};
use crate::cache::Cache;
use crate::extract::Handles;
use crate::future::{ResponseFuture, Searched};
use crate::guard::Guards;
use crate::origin::{AxumOrigin, Sight, head_of};

/// A service whose answers are cached. Made by [`CacheLayer`](crate::CacheLayer).
///
/// It is always ready: an answer from the cache does not wait for the service inside. A request
/// that goes on to that service calls a clone of it as soon as the clone is ready.
#[derive(Debug)]
pub struct CacheService<S>(Arc<Shared<S>>);

/// Frameworks clone the whole service for each request.
#[derive(Debug)]
struct Shared<S> {
    /// Cloned only for requests that reach it.
    inner: S,
    route: Route,
    guards: Guards,
    /// Requests are answered by what they say themselves.
    plain: bool,
}

impl<S> CacheService<S> {
    pub(crate) fn new(inner: S, route: Route, guards: Guards) -> Self {
        let plain = guards.is_empty() && !route.keys_by_params();
        Self(Arc::new(Shared { inner, route, guards, plain }))
    }
}

impl<S> Clone for CacheService<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Service<Request<Body>> for CacheService<S>
where
    S: Service<Request<Body>> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut req: Request<Body>) -> Self::Future {
        let Shared { route, guards, plain, .. } = &*self.0;
        if *plain {
            // A hit costs neither a clone of the service inside nor of the route.
            return match begin(route, &req, None) {
                Begun::Answered(response) => ResponseFuture::ready(response),
                begun => self.go_on(begun, req, Sight::default()),
            };
        }
        if !guards.is_empty() {
            return self.call_guarded(req);
        }
        let sight = Sight::of(route, &mut req);
        let begun = begin(route, &req, Some(&sight));
        self.go_on(begun, req, sight)
    }
}

impl<S> CacheService<S>
where
    S: Service<Request<Body>> + Clone + Send + Sync + 'static,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send,
{
    fn go_on(&self, begun: Begun, req: Request<Body>, sight: Sight) -> ResponseFuture<S::Error> {
        match begun {
            Begun::Answered(response) => ResponseFuture::ready(response),
            Begun::Explain => {
                let (route, origin) = (self.0.route.clone(), self.origin(req, sight));
                ResponseFuture::task(route.lifeline(), async move {
                    Ok(explain(&route, origin.head()).await)
                })
            }
            Begun::Pending(pending) if pending.waits() => {
                let service = Self::clone(self);
                ResponseFuture::search(async move {
                    match service.0.route.look_up(pending, sight.head(&req)).await {
                        Step::Reply(reply) => Searched::Answered(reply.into_response(outgoing)),
                        Step::Forward(pending) => {
                            Searched::Further(service.serve(pending, req, sight))
                        }
                    }
                })
            }
            Begun::Pending(pending) => self.serve(pending, req, sight),
        }
    }

    fn call_guarded(&self, req: Request<Body>) -> ResponseFuture<S::Error> {
        let shared = Arc::clone(&self.0);
        let life = shared.route.lifeline();
        ResponseFuture::task(life.clone(), async move {
            let Shared { inner, route, guards, .. } = &*shared;
            let (mut parts, body) = req.into_parts();
            let extracted = match guards.check(&mut parts).await {
                Ok(extracted) => extracted,
                Err(rejection) => return Ok(rejection),
            };
            let mut request = Request::from_parts(parts, body);
            let sight = Sight::of(route, &mut request).guarded(extracted);
            match begin(route, &request, Some(&sight)) {
                Begun::Answered(response) => Ok(response),
                Begun::Explain => {
                    let sight = sight.complete(route, &mut request);
                    Ok(explain(route, sight.head(&request)).await)
                }
                Begun::Pending(pending) => {
                    let sight = sight.complete(route, &mut request);
                    let cache = Cache::from(route.cache());
                    let origin = AxumOrigin::new(S::clone(inner), request, sight, cache);
                    serve(route.clone(), pending, origin, life).await
                }
            }
        })
    }

    fn serve(&self, pending: Pending, request: Request, sight: Sight) -> ResponseFuture<S::Error> {
        let (route, origin) = (self.0.route.clone(), self.origin(request, sight));
        let life = route.lifeline();
        ResponseFuture::task(life.clone(), serve(route, pending, origin, life))
    }

    fn origin(&self, mut request: Request, sight: Sight) -> Box<AxumOrigin<S>> {
        let Shared { inner, route, .. } = &*self.0;
        let sight = sight.complete(route, &mut request);
        AxumOrigin::new(S::clone(inner), request, sight, Cache::from(route.cache()))
    }
}

enum Begun {
    Answered(Response),
    Pending(Pending),
    Explain,
}

#[inline]
fn begin(route: &Route, request: &Request, sight: Option<&Sight>) -> Begun {
    let handles = Handles::within(request.extensions());
    if handles.is_some_and(Handles::explains) {
        return Begun::Explain;
    }
    let head = sight.map_or_else(|| head_of(request, handles), |sight| sight.head(request));
    match route.attend(&head) {
        Step::Reply(reply) => Begun::Answered(reply.into_response(outgoing)),
        Step::Forward(pending) => Begun::Pending(pending),
    }
}

fn outgoing(body: ReplyBody) -> Body {
    match body {
        ReplyBody::Whole(bytes) => Body::from(bytes),
        ReplyBody::Absent => Body::new(Absent),
        body @ ReplyBody::Pieces(_) => Body::new(Outgoing(ServedBody::reply(body))),
    }
}

async fn serve<S>(
    route: Route,
    pending: Pending,
    origin: Box<AxumOrigin<S>>,
    life: cache_core::engine::Lifeline,
) -> Result<Response, S::Error>
where
    S: Service<Request<Body>> + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send,
{
    // Awaited where it is: to be awaited by value it would be moved, twice.
    let serving = pin!(route.serve(pending, origin, TokioSpawn, life));
    let served = serving.await?;
    if let Some((refresh, origin)) = served.refresh {
        TokioSpawn.spawn(async move {
            // The refreshed response is nobody's answer; its failure was the handler's.
            let _ = Route::run_refresh(refresh, origin, TokioSpawn).await;
        });
    }
    Ok(served.response.map(|body| Body::new(Outgoing(body))))
}

async fn explain(route: &Route, head: RequestHead<'_>) -> Response {
    let mut response = Response::new(Body::empty());
    let explanation = route.explain(&head).await;
    response.extensions_mut().insert(explanation);
    response
}
