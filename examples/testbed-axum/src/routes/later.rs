//! Routes that show what the library does not offer yet: 501.

use axum::Router;
use axum::routing::any;
use testbed_common::answer::not_implemented;

use crate::app::App;
use crate::reply::reply;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/http/{*rest}", any(|| async { reply(not_implemented("mode \"http\"")) }))
}
