//! Routes about header fields.

use std::sync::Arc;

use adapter_axum::PolicyError;
use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use axum::routing::get;
use testbed_common::bed::Bed;
use testbed_common::policies;

use crate::app::App;
use crate::reply::{field, reply};

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let hdr = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        reply(bed.hdr(query.as_deref()))
    };
    let lang = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery, headers: HeaderMap| async move {
        reply(bed.lang(field(&headers, ACCEPT_LANGUAGE).as_deref(), query.as_deref()))
    };
    let negotiated =
        |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery, headers: HeaderMap| async move {
            reply(bed.negotiated(field(&headers, ACCEPT_LANGUAGE).as_deref(), query.as_deref()))
        };
    Ok(Router::new()
        .merge(cache.cached_route("/hdr", get(hdr), policies::plain())?)
        .merge(cache.cached_route("/lang", get(lang), policies::lang())?)
        .merge(cache.cached_route("/negotiated", get(negotiated), policies::plain())?))
}
