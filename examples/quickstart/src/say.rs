//! The lines that the program prints.

use std::fmt;
use std::io::{self, Write};
use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

/// Prints a line. A reader that has gone away is no reason to stop serving.
pub(crate) fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The same on standard error.
pub(crate) fn complain(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints a line for each request: method, target, status, what the cache said, and the time
/// until the head of the answer was ready.
#[expect(clippy::disallowed_methods, reason = "a log line measures real time")]
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let target = request.uri().clone();
    let response = next.run(request).await;
    let taken = started.elapsed();
    let status = response.status().as_u16();
    let cache = response.headers().get("x-cache").and_then(|value| value.to_str().ok());
    say(format_args!(
        "{method} {target} {status} {} {:.3} ms",
        cache.unwrap_or("-"),
        taken.as_secs_f64() * 1e3,
    ));
    response
}
