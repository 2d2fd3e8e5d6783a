//! `mode: "http"`: a shared cache by RFC 9111, over the memory store and a handler under control.
//!
//! The clock starts at Sun, 09 Sep 2001 01:46:40 GMT.

mod groups;
mod invalidation;
mod origins;
mod parsers;
mod reuse;
mod settings;
mod storing;
mod validation;
mod vary;

use cache_core::Policy;
use http::{Response, StatusCode};

use super::engine::rig::Rig;

/// Field lines.
type Lines = &'static [(&'static str, &'static str)];

/// The instant at which the clock starts, as `Date` says it.
const START: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

fn response(status: u16, lines: Lines, body: &'static str) -> Response<&'static str> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in lines {
        response.headers_mut().append(*name, http::HeaderValue::from_static(value));
    }
    response
}

const BODIES: [&str; 6] = ["zero", "first", "second", "third", "fourth", "fifth"];

/// A handler that answers each run with the next of these, the last one again and again.
fn answering(policy: Policy, answers: &'static [(u16, Lines)]) -> Rig {
    Rig::new(policy, None).handler(move |_, run| {
        let (status, lines) = answers[(run - 1).min(answers.len() - 1)];
        let bodiless = status == 304 || status == 204;
        response(status, lines, if bodiless { "" } else { BODIES[run.min(5)] })
    })
}

/// The same with status 200.
fn saying(lines: &'static [Lines]) -> Rig {
    Rig::new(Policy::http(), None).handler(move |_, run| {
        response(200, lines[(run - 1).min(lines.len() - 1)], BODIES[run.min(5)])
    })
}
