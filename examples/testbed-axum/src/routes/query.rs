//! Routes that read the query.

use std::sync::Arc;

use adapter_axum::PolicyError;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::routing::{MethodRouter, get};
use testbed_common::bed::Bed;
use testbed_common::policies;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let q = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.q(query.as_deref()))
    };
    let table = [
        ("/rawq", policies::plain()),
        ("/rawq-raw", policies::rawq_raw()),
        ("/rawq-only", policies::rawq_only()),
        ("/rawq-except", policies::rawq_except()),
    ];
    let router = cache.cached_route("/q", get(q), policies::q())?;
    table.into_iter().try_fold(router, |router, (route, policy)| {
        Ok(router.merge(cache.cached_route(route, echo(route), policy)?))
    })
}

/// Echoes the raw query.
fn echo(route: &'static str) -> MethodRouter<App> {
    get(move |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.rawq(route, query.as_deref()))
    })
}
