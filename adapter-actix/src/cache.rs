//! The cache, as an actix application holds it.

use std::fmt;
use std::ops::Deref;

use actix_http::Request;
use actix_web::body::MessageBody;
use actix_web::dev::{AppService, HttpServiceFactory, Response, Service};
use actix_web::{HttpMessage, Resource};
use cache_core::engine::write::WriteRoute;
use cache_core::engine::{CacheBuilder, Route};
use cache_core::explain::{Explain, Explanation};
use cache_core::{Invalidation, Policy, PolicyError, Store};

use crate::front::CacheFront;
use crate::layer::CacheLayer;
use crate::write::InvalidateLayer;

/// A cache: makes layers, and invalidates. A handle; cloning it is cheap.
///
/// It dereferences to [`cache_core::Cache`], where the invalidating methods are. As an extractor it
/// works in every handler below one of its layers, and wherever [`extension`](Self::extension) is
/// app data. Make it, and its layers, outside of the closure that `HttpServer::new` takes: all
/// workers are to share them.
///
/// ```
/// use std::time::Duration;
///
/// use actix_web::{App, web};
/// use adapter_actix::{Cache, Policy};
/// use cache_memory::MemoryStore;
///
/// let cache = Cache::new(MemoryStore::new());
/// let user = cache.layer(Policy::ttl(Duration::from_secs(60)).tag("user:{user_id}"))?;
/// let app = move || {
///     let show = |id: web::Path<u64>| async move { format!("user {id}") };
///     App::new().service(
///         web::resource("/users/{user_id}").wrap(user.clone()).route(web::get().to(show)),
///     )
/// };
/// # app();
/// # Ok::<(), adapter_actix::PolicyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cache(cache_core::Cache);

impl Cache {
    /// A cache over `store` with all defaults.
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        Self(cache_core::Cache::new(store))
    }

    /// A cache over `store`, to be configured; what its `build` gives becomes this type by
    /// [`From`].
    pub fn builder(store: impl Store) -> CacheBuilder {
        cache_core::Cache::builder(store)
    }

    /// A layer for a resource, a scope or a whole application.
    ///
    /// Around an application or a scope a request has no path parameters of the resources inside
    /// yet: only literal and run-time tags, and a scope's own parameters, are to be had there.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn layer<P>(&self, policy: P) -> Result<CacheLayer, PolicyError>
    where
        P: TryInto<Policy>,
        PolicyError: From<P::Error>,
    {
        Ok(CacheLayer::new(Route::new(&self.0, policy)?))
    }

    /// A layer in front of an application: a hit is answered before actix makes a request of its
    /// own, and before any middleware of the application. What follows from that is said at
    /// [`CacheFront`].
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value: also a template with a placeholder, as nothing in
    /// front of an application is known by name; and under `http` an `authorization` that neither
    /// this policy nor the application's sets, as its default there is not safe in front.
    pub fn front<P>(&self, policy: P) -> Result<CacheFront, PolicyError>
    where
        P: TryInto<Policy>,
        PolicyError: From<P::Error>,
    {
        Ok(CacheFront::new(Route::in_front(&self.0, policy)?))
    }

    /// A cached resource. As the path is known, a template that names a placeholder which the
    /// path lacks is an error here. (A parameter of a scope around it is not known; use
    /// [`layer`](Self::layer) with [`Policy::params`] there.)
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use actix_web::{App, web};
    /// # use adapter_actix::{Cache, Policy};
    /// # let cache = Cache::new(cache_memory::MemoryStore::new());
    /// let policy = Policy::ttl(Duration::from_secs(60)).tag("user:{user_id}");
    /// let user = cache.cached_resource(
    ///     "/users/{user_id}",
    ///     |resource| resource.route(web::get().to(|id: web::Path<u64>| async move { id.to_string() })),
    ///     policy,
    /// )?;
    /// let app = move || App::new().service(user.clone());
    /// # app();
    /// # Ok::<(), adapter_actix::PolicyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn cached_resource<F>(
        &self,
        path: &str,
        routes: F,
        policy: Policy,
    ) -> Result<CachedResource<F>, PolicyError>
    where
        F: Fn(Resource) -> Resource,
    {
        let layer = self.layer(policy.params(placeholders(path)))?;
        Ok(CachedResource { path: path.to_owned(), routes, layer })
    }

    /// A layer for write routes: the handler's success invalidates. What happens where the store
    /// fails or a placeholder has no value: see [`Invalidation`].
    ///
    /// # Errors
    ///
    /// A template that cannot be, or names a placeholder that `params` lacks; nothing named at all.
    pub fn invalidate_layer(&self, what: Invalidation) -> Result<InvalidateLayer, PolicyError> {
        Ok(InvalidateLayer::new(WriteRoute::new(&self.0, what)?))
    }

    /// What lets handlers outside of cached routes extract the cache: `.app_data(cache.extension())`
    /// on the application.
    #[must_use]
    pub fn extension(&self) -> Self {
        self.clone()
    }

    /// What would become of a request to `service`, without running its cached handler.
    ///
    /// `None` if no cached route takes it; then another handler did run, which a GET allows. `None`,
    /// too, if the service fails. Methods that are not safe are not tried: such a request is not
    /// cached, unless its route has opted in. `actix_web::test` makes both: `init_service` a service
    /// of an application, and `TestRequest::to_request` a request.
    pub async fn explain<S, B>(&self, service: &S, request: Request) -> Option<Explanation>
    where
        S: Service<Request>,
        S::Response: Into<Response<B>>,
        B: MessageBody,
    {
        if !request.method().is_safe() {
            return Some(Explanation::of_unsafe_method());
        }
        request.extensions_mut().insert(Explain::new());
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.ok()?;
        let response: Response<B> = service.call(request).await.ok()?.into();
        response.extensions().get().cloned()
    }
}

impl From<cache_core::Cache> for Cache {
    fn from(cache: cache_core::Cache) -> Self {
        Self(cache)
    }
}

impl Deref for Cache {
    type Target = cache_core::Cache;

    fn deref(&self) -> &cache_core::Cache {
        &self.0
    }
}

/// A resource whose answers are cached. Made by [`Cache::cached_resource`], outside of the closure
/// that `HttpServer::new` takes, and cloned into each worker.
#[derive(Clone)]
#[must_use]
pub struct CachedResource<F> {
    path: String,
    routes: F,
    layer: CacheLayer,
}

impl<F: Fn(Resource) -> Resource> HttpServiceFactory for CachedResource<F> {
    fn register(self, config: &mut AppService) {
        let resource = (self.routes)(Resource::new(self.path));
        resource.wrap(self.layer).register(config);
    }
}

impl<F> fmt::Debug for CachedResource<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedResource").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The names in `/users/{id}/{part:\d{2}}/{tail}*`; a pattern may contain pairs of braces.
fn placeholders(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut depth = 0_usize;
    let mut name = String::new();
    let mut in_name = false;
    for c in path.chars() {
        match c {
            '{' => {
                depth += 1;
                in_name |= depth == 1;
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && !name.is_empty() {
                    names.push(std::mem::take(&mut name));
                }
            }
            ':' if depth == 1 => in_name = false,
            c if in_name && depth == 1 => name.push(c),
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_paths() {
        assert_eq!(placeholders(r"/a/{id}/b-{x:\d{2}:z}/{rest}*"), ["id", "x", "rest"]);
        assert_eq!(placeholders("/{a}{b:.*}"), ["a", "b"]);
        assert!(placeholders("/plain").is_empty());
    }
}
