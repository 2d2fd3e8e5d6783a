//! The handler: everything is passed on.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use cache_proxy_common::failure::Failure;
use cache_proxy_common::origin::Origin;
use http::{Method, Request};

use crate::message::{self, RequestBody};

/// Asks the origin.
pub(crate) async fn pass(
    request: HttpRequest,
    payload: Payload,
    origin: Data<Origin>,
) -> HttpResponse {
    let Some(parts) = message::request(&request) else { return failed(&Failure::Unsupported) };
    let is_head = parts.method == Method::HEAD;
    let body = RequestBody::new(&parts.headers, payload.into_inner());
    match origin.ask(Request::from_parts(parts, body)).await {
        Ok(answer) => message::response(answer, is_head),
        Err(failure) => failed(&failure),
    }
}

/// The proxy's own answer is about this moment.
fn failed(failure: &Failure) -> HttpResponse {
    let status = StatusCode::from_u16(failure.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response =
        HttpResponse::new(status).set_body(actix_web::body::BoxBody::new(failure.text()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
