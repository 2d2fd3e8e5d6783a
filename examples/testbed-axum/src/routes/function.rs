//! A cached function behind a route without a cache.

use std::sync::Arc;

use adapter_axum::PolicyError;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::get;
use testbed_common::bed::Bed;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let function = Arc::new(Bed::function(&app.cache)?);
    let call = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.call(&function, query.as_deref()).await)
    };
    Ok(Router::new().route("/fn", get(call)))
}
