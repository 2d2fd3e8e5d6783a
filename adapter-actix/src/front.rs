//! The cache in front of an application.

use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::Request;
use actix_service::IntoServiceFactory;
use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppConfig, Response, Service, ServiceFactory, ServiceResponse};
use cache_core::engine::Route;
use futures_util::future::{LocalBoxFuture, TryFutureExt as _};

use crate::future::ResponseFuture;
use crate::service;

/// Caches what an application answers, in front of all of it: what a layer around a whole `Router`
/// is with axum. Made by [`Cache::front`](crate::Cache::front), once, outside of the closure that
/// `HttpServer::new` takes; all workers share its state.
///
/// ```no_run
/// use std::time::Duration;
///
/// use actix_web::{App, HttpServer, middleware::Logger, web};
/// use adapter_actix::{Cache, Policy};
/// use cache_memory::MemoryStore;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = Cache::new(MemoryStore::new());
/// let front = cache.front(Policy::ttl(Duration::from_secs(60)))?;
/// let server = HttpServer::new(move || {
///     // The logger sees what goes to the application: misses.
///     front.before(App::new().wrap(Logger::default()).route("/", web::get().to(|| async { "hello" })))
/// });
/// # server.bind(("127.0.0.1", 0))?.run().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Middleware
///
/// A hit is seen by *no* middleware of the application: no logger counts it, no CORS middleware
/// puts in fields for the one who asks (what it put into the stored answer, all get), no `Compress`
/// changes it (what is stored is what left the application; it is negotiated by the `Vary` of that
/// answer), and no middleware authenticates its client. `App::wrap` of
/// [`Cache::layer`](crate::Cache::layer) has a place among the others, and guards; take it where
/// one of them is to have its say for each request.
///
/// # What is private
///
/// By the rules of every placement, a request with `Authorization` or with cookies is not answered
/// from the cache, nor is its answer stored, unless the policy says otherwise; nor is an answer
/// stored that sets cookies or says `private` or `no-store`. Where the policy says otherwise, this
/// placement differs from one inside of the middleware that authenticates:
///
/// * `authorization: rfc`, the default under `http`: **an answer that was authorized for one client and
///   says `public`, `must-revalidate` or `s-maxage` goes to everybody, also to those whom the middleware
///   would refuse** (RFC 9111 §3.5). So `http` is refused at build here until `authorization` is set:
///   set `bypass`, or `.wrap` the layer inside of the middleware that authenticates; set `rfc` only
///   where such answers are for everybody.
/// * `authorization: key`: a token that was revoked keeps its hits until the entries end.
/// * `authorization: public`, `cookies: ignore`: everybody is answered from the cache, with or without
///   them.
///
/// What else decides who gets what, the cache does not know here, and a hit is not asked about it:
///
/// * other fields (an API key in `X-Api-Key`): name them in the policy's `vary`;
/// * the peer's address, a certificate, whatever `HttpServer::on_connect` has noted of the connection;
/// * whether the connection is encrypted: a front behind `bind` and `bind_rustls` has the same entries
///   for HTTP/1.1 over both, and a redirect to `https` is not made for a hit. Have an own server, with a front of another
///   namespace, for each;
/// * route guards (`guard::Header`, `guard::fn_guard`), which choose a handler without saying `Vary`: name
///   the fields in `vary`, or have the handlers say it.
///
/// Otherwise do not cache these paths, or put the cache inside.
///
/// # Layers inside
///
/// A layer of the same cache leaves the caching to this one, and tells it its tags. What a *guarded*
/// layer inside answers is cached by neither, and nor is what a layer of another `Cache` answers, whose
/// invalidations would not reach what is kept here.
///
/// # Keys and tags
///
/// A key has the target as it was sent: `NormalizePath` has not seen it. No path parameters are
/// known; only literal tags and those of [`ResponseCache`](crate::ResponseCache) are to be had.
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheFront {
    route: Route,
}

impl CacheFront {
    pub(crate) const fn new(route: Route) -> Self {
        Self { route }
    }

    /// The application (`App::new()` and what is in it) with the cache in front of it: what the
    /// closure of `HttpServer::new` returns.
    pub fn before<A, F, B>(&self, app: A) -> FrontFactory<F>
    where
        A: IntoServiceFactory<F, Request>,
        F: ServiceFactory<
                Request,
                Config = AppConfig,
                Response = ServiceResponse<B>,
                Error = Error,
            >,
        B: MessageBody + 'static,
    {
        FrontFactory { app: app.into_factory(), route: self.route.clone() }
    }
}

/// An application with the cache in front of it, as a server takes it. Made by
/// [`CacheFront::before`].
#[derive(Debug)]
#[must_use]
pub struct FrontFactory<F> {
    app: F,
    route: Route,
}

impl<F, B> ServiceFactory<Request> for FrontFactory<F>
where
    F: ServiceFactory<Request, Config = AppConfig, Response = ServiceResponse<B>, Error = Error>,
    F::Service: 'static,
    F::Future: 'static,
    B: MessageBody + 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Config = AppConfig;
    type Service = FrontService<F::Service>;
    type InitError = F::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, cfg: AppConfig) -> Self::Future {
        let route = self.route.clone();
        let app = self.app.new_service(cfg);
        Box::pin(app.map_ok(|app| FrontService { app: Rc::new(app), route }))
    }
}

/// An application's service with the cache in front of it. Made by [`FrontFactory`].
#[derive(Debug)]
pub struct FrontService<S> {
    app: Rc<S>,
    route: Route,
}

impl<S, B> Service<Request> for FrontService<S>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = Response<BoxBody>;
    type Error = Error;
    type Future = ResponseFuture<Self::Response>;

    fn poll_ready(&self, ctx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.app.poll_ready(ctx)
    }

    fn call(&self, req: Request) -> Self::Future {
        service::call(&self.route, &self.app, req)
    }
}
