//! The cache, as an axum application holds it.

use std::ops::Deref;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodRouter, Router};
use cache_core::engine::write::WriteRoute;
use cache_core::engine::{CacheBuilder, Route};
use cache_core::explain::Explanation;
use cache_core::{Invalidation, Policy, PolicyError, Store};
use tower_service::Service;

use crate::extract::Handles;
use crate::layer::CacheLayer;
use crate::write::InvalidateLayer;

/// A cache: makes layers, and invalidates. A handle; cloning it is cheap.
///
/// It dereferences to [`cache_core::Cache`], where the invalidating methods are. As an extractor it
/// works in every handler below one of its layers, and wherever [`extension`](Self::extension) is
/// layered.
///
/// ```
/// use std::time::Duration;
///
/// use adapter_axum::{Cache, Policy};
/// use axum::{Router, extract::Path, routing::get};
/// use cache_memory::MemoryStore;
///
/// let cache = Cache::new(MemoryStore::new());
/// let user = Policy::ttl(Duration::from_secs(60)).tag("user:{user_id}");
/// let app: Router = Router::new().route(
///     "/users/{user_id}",
///     get(|Path(id): Path<u64>| async move { format!("user {id}") }).layer(cache.layer(user)?),
/// );
/// # Ok::<(), adapter_axum::PolicyError>(())
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

    /// A layer for a route, a router or a whole application.
    ///
    /// Around the outside of a whole [`Router`] (as opposed to [`Router::layer`]) a request has
    /// no path parameters yet: only literal and run-time tags are to be had there.
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

    /// A router with one cached route. As the path is known, a template that names a placeholder
    /// which the path lacks is an error here.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn cached_route<S>(
        &self,
        path: &str,
        route: MethodRouter<S>,
        policy: Policy,
    ) -> Result<Router<S>, PolicyError>
    where
        S: Clone + Send + Sync + 'static,
    {
        let layer = self.layer(policy.params(placeholders(path)))?;
        Ok(Router::new().route(path, route.layer(layer)))
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

    /// A layer that lets handlers outside of cached routes extract the cache.
    pub fn extension(&self) -> Extension<Self> {
        Extension(self.clone())
    }

    /// What would become of a request to `service`, without running the handler of a cached route.
    ///
    /// `None` if no cached route takes it; then another handler did run, which a GET allows. `None`,
    /// too, if the service fails. Methods that are not safe are not tried: such a request is not
    /// cached, unless its route has opted in.
    pub async fn explain<S>(&self, mut service: S, request: Request) -> Option<Explanation>
    where
        S: Service<Request<Body>, Response = Response>,
    {
        let mut request = request;
        if !request.method().is_safe() {
            return Some(Explanation::of_unsafe_method());
        }
        request.extensions_mut().insert(Handles::explaining());
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.ok()?;
        let response = service.call(request).await.ok()?;
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

/// The names in `/users/{id}/{*rest}`; `{{` and `}}` are braces.
fn placeholders(path: &str) -> Vec<String> {
    let plain = path.replace("{{", "").replace("}}", "");
    let names = plain.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    names.map(|(name, _)| name.trim_start_matches('*').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_paths() {
        assert_eq!(placeholders("/a/{id}/b-{x}/{*rest}"), ["id", "x", "rest"]);
        assert!(placeholders("/{{id}}/x").is_empty());
    }
}
