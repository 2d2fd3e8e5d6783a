//! The layer.

use axum::extract::FromRequestParts;
use cache_core::Fields;
use cache_core::engine::Route;
use tower_layer::Layer;

use crate::guard::Guards;
use crate::service::CacheService;

/// Caches what the wrapped service answers. Made by [`Cache::layer`](crate::Cache::layer).
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

    /// The same; what the function makes of the value is in the key, and templates may use it as
    /// `{name}` or `{name.field}`.
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

impl<S> Layer<S> for CacheLayer {
    type Service = CacheService<S>;

    fn layer(&self, inner: S) -> CacheService<S> {
        CacheService::new(inner, self.route.clone(), self.guards.clone())
    }
}
