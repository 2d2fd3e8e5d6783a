//! Declarative invalidation on write routes.

use std::future::{Ready, ready};
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::{Error, FromRequest};
use cache_core::Fields;
use cache_core::engine::write::{WriteAnswer, WriteRoute};

use crate::body::Incoming;
use crate::cache::Cache;
use crate::desk::{Desk, Seen};
use crate::future::ResponseFuture;
use crate::guard::Guards;
use crate::origin::ActixOrigin;

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
    pub fn guard<E>(mut self) -> Self
    where
        E: FromRequest + Clone + 'static,
    {
        self.guards.add::<E>(None);
        self
    }

    /// The same; templates may use what the function makes of the value, as `{name}` or
    /// `{name.field}`.
    pub fn guard_as<E, F>(
        mut self,
        name: &str,
        fields: impl Fn(&E) -> F + Send + Sync + 'static,
    ) -> Self
    where
        E: FromRequest + Clone + 'static,
        F: Into<Fields>,
    {
        self.guards.add::<E>(Some(Guards::naming(name, fields)));
        self
    }
}

impl<S, B> Transform<S, ServiceRequest> for InvalidateLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = InvalidateService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        let (route, guards) = (self.route.clone(), self.guards.clone());
        ready(Ok(InvalidateService { inner: Rc::new(service), route, guards }))
    }
}

/// A service whose writes invalidate. Made by [`InvalidateLayer`].
#[derive(Debug)]
pub struct InvalidateService<S> {
    inner: Rc<S>,
    route: WriteRoute,
    guards: Guards,
}

impl<S, B> Service<ServiceRequest> for InvalidateService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&self, ctx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(ctx)
    }

    fn call(&self, req: ServiceRequest) -> ResponseFuture {
        let inner = Rc::clone(&self.inner);
        let (route, guards) = (self.route.clone(), self.guards.clone());
        let (mut request, life) = (req, route.lifeline());
        ResponseFuture::task(life.clone(), async move {
            let extracted = match guards.check(&mut request).await {
                Ok(extracted) => extracted,
                Err(rejection) => return Ok(request.error_response(rejection)),
            };
            let seen = Seen::of_write(&request, extracted);
            let desk = Desk::new(request, seen);
            let cache = Cache::from(route.cache().clone());
            let origin = ActixOrigin::new(inner, Rc::clone(&desk), cache);
            let Ok(answer) = route.serve(origin, life).await;
            let (parts, body) = match answer {
                WriteAnswer::Handler(response) => {
                    let (parts, body) = response.into_parts();
                    (parts, Incoming::into_inner(body))
                }
                WriteAnswer::Refused(response) => (response.into_parts().0, BoxBody::new(())),
            };
            desk.answer(parts, |_| body)
        })
    }
}
