//! The registers of the consistency check.

use std::sync::Arc;

use adapter_axum::{Cache, PolicyError};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, put};
use testbed_common::bed::Bed;
use testbed_common::{admin, answer, policies};

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let read = |State(bed): State<Arc<Bed>>, Path(reg): Path<String>, RawQuery(query): RawQuery| async move {
        reply(bed.get_register(&reg, query.as_deref()).await)
    };
    let cached = app.cache.cached_route("/cas/{reg}", get(read), policies::cas())?;
    Ok(cached.route("/cas/{reg}", put(write)))
}

/// Writes first, then invalidates, then answers; all of it even if the client leaves.
async fn write(
    State(bed): State<Arc<Bed>>,
    State(cache): State<Cache>,
    Path(reg): Path<String>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let work = tokio::spawn(async move {
        match bed.put_register(&reg, query.as_deref()) {
            Ok(tag) => admin::invalidated(cache.invalidate_tags([tag]).await),
            Err(refusal) => refusal.answer(),
        }
    });
    match work.await {
        Ok(answer) => reply(answer),
        Err(error) => reply(answer::error(StatusCode::INTERNAL_SERVER_ERROR, error)),
    }
}
