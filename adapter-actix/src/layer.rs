//! The layer.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::{Error, FromRequest};
use cache_core::Fields;
use cache_core::engine::Route;

use crate::guard::Guards;
use crate::service::CacheService;

/// Caches what the wrapped service answers: `.wrap(layer.clone())` on an app, a scope or a
/// resource. Made by [`Cache::layer`](crate::Cache::layer), once, outside of the closure that
/// `HttpServer::new` takes; all workers share its state.
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheLayer {
    route: Route,
    guards: Guards,
}

impl CacheLayer {
    pub(crate) fn new(route: Route) -> Self {
        Self { route, guards: Guards::default() }
    }

    /// Runs an extractor before the lookup, for every request, once. Its rejection is the
    /// response. The handler gets the value by [`Guarded<E>`](crate::Guarded).
    ///
    /// The value must not hold on to the request: actix does not route a request that has clones.
    pub fn guard<E>(mut self) -> Self
    where
        E: FromRequest + Clone + 'static,
    {
        self.guards.add::<E>(None);
        self
    }

    /// The same; what the function makes of the value is in the key, and templates may use it as
    /// `{name}` or `{name.field}`.
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

impl<S, B> Transform<S, ServiceRequest> for CacheLayer
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse;
    type Error = Error;
    type Transform = CacheService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, service: S) -> Self::Future {
        ready(Ok(CacheService::new(service, self.route.clone(), self.guards.clone())))
    }
}
