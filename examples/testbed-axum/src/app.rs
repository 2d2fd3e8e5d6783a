//! The application: its state, and its router.

use std::sync::{Arc, OnceLock};

use adapter_axum::{Cache, PolicyError};
use axum::Router;
use axum::extract::FromRef;
use testbed_common::args::Options;
use testbed_common::bed::Bed;
use testbed_common::routes::More;
use testbed_common::store::Opened;

use crate::routes;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) bed: Arc<Bed>,
    pub(crate) more: Arc<More>,
    pub(crate) cache: Cache,
    pub(crate) store: Opened,
    /// The application itself, for `/admin/explain`.
    pub(crate) router: Arc<OnceLock<Router>>,
}

impl App {
    pub(crate) async fn new(options: &Options) -> Result<Self, String> {
        let bed = Bed::new(options).map_err(|error| error.to_string())?;
        let store = Opened::open(options).await.map_err(|error| error.to_string())?;
        let cache = store.cache(options).build().map_err(|error| error.to_string())?;
        let more = More::new(&cache, &store, options).map_err(|error| error.to_string())?;
        let (bed, more) = (Arc::new(bed), Arc::new(more));
        Ok(Self { bed, more, cache: Cache::from(cache), store, router: Arc::default() })
    }

    /// The router, ready to be served.
    pub(crate) fn router(&self) -> Result<Router, String> {
        let routes = self.routes().map_err(|error| error.to_string())?;
        let router = routes.with_state(self.clone());
        Ok(self.router.get_or_init(|| router).clone())
    }

    fn routes(&self) -> Result<Router<Self>, PolicyError> {
        Ok(Router::new()
            .merge(routes::plain::routes(self)?)
            .merge(routes::query::routes(self)?)
            .merge(routes::headers::routes(self)?)
            .merge(routes::credentials::routes(self)?)
            .merge(routes::users::routes(self)?)
            .merge(routes::bodies::routes(self)?)
            .merge(routes::timed::routes(self)?)
            .merge(routes::cas::routes(self)?)
            .merge(routes::function::routes(self)?)
            .merge(routes::more::routes(self)?)
            .merge(routes::http::routes(self)?)
            .merge(routes::admin::routes()))
    }

    pub(crate) async fn close(&self) {
        self.cache.close().await;
    }
}

impl FromRef<App> for Arc<Bed> {
    fn from_ref(input: &App) -> Self {
        Self::clone(&input.bed)
    }
}

impl FromRef<App> for Arc<More> {
    fn from_ref(input: &App) -> Self {
        Self::clone(&input.more)
    }
}

impl FromRef<App> for Cache {
    fn from_ref(input: &App) -> Self {
        input.cache.clone()
    }
}
