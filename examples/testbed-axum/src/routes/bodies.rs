//! Bodies of all kinds.

use std::sync::Arc;

use adapter_axum::PolicyError;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::Response;
use axum::response::IntoResponse as _;
use axum::routing::get;
use bytes::Bytes;
use testbed_common::bed::Bed;
use testbed_common::policies;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use crate::app::App;
use crate::reply::reply;

/// What a route without path parameters answers.
type Plain = fn(&Bed, Option<&str>) -> Response<Bytes>;

pub(crate) fn routes(app: &App) -> Result<Router<App>, PolicyError> {
    let cache = &app.cache;
    let table: [(&str, Plain, _); 6] = [
        ("/bin", Bed::bin, policies::plain()),
        ("/json", Bed::json, policies::plain()),
        ("/html", Bed::html, policies::plain()),
        ("/redirect", Bed::redirect, policies::redirect()),
        ("/empty", Bed::empty, policies::plain()),
        ("/null", Bed::null, policies::plain()),
    ];
    let bytes = |State(bed): State<Arc<Bed>>, Path(n): Path<String>, RawQuery(query): RawQuery| async move {
        reply(bed.bytes(&n, query.as_deref()))
    };
    let stream = |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
        match bed.stream(query.as_deref()) {
            Ok(stream) => stream.map(Body::from_stream),
            Err(refusal) => reply(refusal.answer()),
        }
    };
    let router = Router::new()
        .merge(cache.cached_route("/bytes/{n}", get(bytes), policies::plain())?)
        .merge(cache.cached_route("/stream", get(stream), policies::plain())?)
        .merge(cache.cached_route("/file", get(file), policies::plain())?);
    table.into_iter().try_fold(router, |router, (route, answer, policy)| {
        let handler = move |State(bed): State<Arc<Bed>>, RawQuery(query): RawQuery| async move {
            reply(answer(&bed, query.as_deref()))
        };
        Ok(router.merge(cache.cached_route(route, get(handler), policy)?))
    })
}

/// The file, by the responder that axum's users take.
async fn file(
    State(bed): State<Arc<Bed>>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response<Body> {
    bed.file_served(query.as_deref());
    let served = ServeFile::new(bed.file()).oneshot(request).await;
    served.map_or_else(|never| match never {}, |response| response.map(Body::new)).into_response()
}
