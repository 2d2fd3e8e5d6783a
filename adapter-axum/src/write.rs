//! Declarative invalidation on write routes.

use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use cache_core::Fields;
use cache_core::engine::write::{WriteAnswer, WriteRoute};
use tower_layer::Layer;
use tower_service::Service;

use crate::cache::Cache;
use crate::extract::Handles;
use crate::future::ResponseFuture;
use crate::guard::Guards;
use crate::origin::{AxumOrigin, Sight};

/// Invalidates when the wrapped service has written. Made by
/// [`Cache::invalidate_layer`](crate::Cache::invalidate_layer).
#[derive(Clone, Debug)]
#[must_use]
pub struct InvalidateLayer {
    route: WriteRoute,
    guards: Guards,
}

impl InvalidateLayer {
    pub(crate) fn new(route: WriteRoute) -> Self {
        Self { route, guards: Guards::default() }
    }

    /// Runs an extractor before the handler; its rejection is the response. The handler gets the
    /// value by [`Guarded<E>`](crate::Guarded).
    pub fn guard<E>(self) -> Self
    where
        E: FromRequestParts<()> + Clone + Send + Sync + 'static,
    {
        self.guard_with_state::<E, ()>(())
    }

    /// The same for an extractor that needs the application's state.
    pub fn guard_with_state<E, S>(mut self, state: S) -> Self
    where
        E: FromRequestParts<S> + Clone + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        self.guards.add::<E, S>(state, None);
        self
    }

    /// The same; templates may use what the function makes of the value, as `{name}` or
    /// `{name.field}`.
    pub fn guard_as<E, F>(
        self,
        name: &str,
        fields: impl Fn(&E) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: FromRequestParts<()> + Clone + Send + Sync + 'static,
        F: Into<Fields>,
    {
        self.guard_as_with_state::<E, (), F>(name, (), fields)
    }

    /// The same for an extractor that needs the application's state.
    pub fn guard_as_with_state<E, S, F>(
        mut self,
        name: &str,
        state: S,
        fields: impl Fn(&E) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: FromRequestParts<S> + Clone + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
        F: Into<Fields>,
    {
        self.guards.add::<E, S>(state, Some(Guards::naming(name, fields)));
        self
    }
}

impl<S> Layer<S> for InvalidateLayer {
    type Service = InvalidateService<S>;

    fn layer(&self, inner: S) -> InvalidateService<S> {
        InvalidateService { inner, route: self.route.clone(), guards: self.guards.clone() }
    }
}

/// A service whose writes invalidate. Made by [`InvalidateLayer`].
#[derive(Clone, Debug)]
pub struct InvalidateService<S> {
    inner: S,
    route: WriteRoute,
    guards: Guards,
}

impl<S> Service<Request<Body>> for InvalidateService<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<Body>) -> Self::Future {
        // The service that was readied is the one to call; its clone takes its place.
        let inner = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, inner);
        let (route, guards) = (self.route.clone(), self.guards.clone());
        let life = route.lifeline();
        if Handles::within(req.extensions()).is_some_and(Handles::explains) {
            return ResponseFuture::ready(Response::new(Body::empty()));
        }
        ResponseFuture::task(life.clone(), async move {
            let (mut parts, body) = req.into_parts();
            let extracted = match guards.check(&mut parts).await {
                Ok(extracted) => extracted,
                Err(rejection) => return Ok(rejection),
            };
            let mut request = Request::from_parts(parts, body);
            let sight = Sight::default().with_params(&mut request).guarded(extracted);
            let cache = Cache::from(route.cache().clone());
            let origin = AxumOrigin::new(inner, request, sight, cache);
            Ok(match route.serve(origin, life).await? {
                WriteAnswer::Handler(response) => response.map(|body| body.0),
                WriteAnswer::Refused(response) => response.map(|()| Body::empty()),
            })
        })
    }
}
