//! A route under the HTTP policy.

use std::sync::Arc;

use adapter_axum::PolicyError;
use axum::Router;
use axum::extract::{OriginalUri, RawQuery, State};
use axum::http::Method;
use axum::routing::any;
use testbed_common::bed::Bed;
use testbed_common::policies;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let echo = |State(bed): State<Arc<Bed>>,
                method: Method,
                OriginalUri(uri): OriginalUri,
                RawQuery(query): RawQuery| async move {
        reply(bed.http(method.as_str(), uri.path(), query.as_deref()))
    };
    app.cache.cached_route("/http/{*rest}", any(echo), policies::http())
}
