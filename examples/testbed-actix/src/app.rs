//! The application: its state, and its routes.

use std::fmt;
use std::sync::Arc;

use actix_web::web::{Data, PayloadConfig, ServiceConfig};
use adapter_actix::{Cache, PolicyError};
use testbed_common::args::Options;
use testbed_common::bed::Bed;
use testbed_common::routes::More;
use testbed_common::store::Opened;

use crate::routes;

/// The largest body that a handler reads; as axum's default.
const MAX_PAYLOAD: usize = 2 << 20;

/// Puts routes into a worker's application. Its layers are made once, for all workers.
pub(crate) type Mount = Box<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// What the handlers of all workers share, and their routes.
#[derive(Clone)]
pub(crate) struct Application {
    pub(crate) bed: Data<Bed>,
    more: Data<More>,
    pub(crate) cache: Cache,
    pub(crate) store: Opened,
    mounts: Arc<[Mount]>,
}

impl Application {
    pub(crate) async fn new(options: &Options) -> Result<Self, String> {
        let bed = Bed::new(options).map_err(|error| error.to_string())?;
        let store = Opened::open(options).await.map_err(|error| error.to_string())?;
        let cache = store.cache(options).build().map_err(|error| error.to_string())?;
        let more = More::new(&cache, &store, options).map_err(|error| error.to_string())?;
        let (cache, more) = (Cache::from(cache), Data::new(more));
        let mounts = mounts(&cache, &more).map_err(|error| error.to_string())?;
        Ok(Self { bed: Data::new(bed), more, cache, store, mounts: mounts.into() })
    }

    /// Sets up one worker's application.
    pub(crate) fn configure(&self, app: &mut ServiceConfig) {
        app.app_data(self.bed.clone());
        app.app_data(self.more.clone());
        app.app_data(self.cache.extension());
        app.app_data(Data::new(self.clone()));
        app.app_data(PayloadConfig::new(MAX_PAYLOAD));
        self.mounts.iter().for_each(|mount| mount(app));
    }

    pub(crate) async fn close(&self) {
        self.cache.close().await;
    }
}

fn mounts(cache: &Cache, more: &More) -> Result<Vec<Mount>, PolicyError> {
    Ok(vec![
        routes::plain::routes(cache)?,
        routes::query::routes(cache)?,
        routes::headers::routes(cache)?,
        routes::credentials::routes(cache)?,
        routes::users::routes(cache)?,
        routes::bodies::routes(cache)?,
        routes::timed::routes(cache)?,
        routes::cas::routes(cache)?,
        routes::function::routes(cache)?,
        routes::more::routes(cache, more)?,
        routes::http::routes(cache)?,
        routes::admin::routes(),
    ])
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("cache", &self.cache).finish_non_exhaustive()
    }
}
