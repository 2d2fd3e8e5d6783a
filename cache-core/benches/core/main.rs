//! What the decisions cost, each alone. `cargo bench -p cache-core`; add `-- --test` to run each
//! once, `-- key` to choose.
//!
//! Whole calls are counted in instructions by `examples/bench`.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a bench may fail"
)]

mod answer;
mod codec;
mod field;
mod key;
mod tag;

use http::{HeaderMap, HeaderName, HeaderValue};

fn main() {
    divan::main();
}

/// A table of these lines.
fn table(lines: &[(&str, &str)]) -> HeaderMap {
    let line = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    lines.iter().map(line).collect()
}

/// What a browser sends, more or less.
fn request() -> HeaderMap {
    table(&[
        ("host", "www.example.org"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("connection", "keep-alive"),
        ("sec-fetch-mode", "navigate"),
        ("priority", "u=0, i"),
    ])
}

/// Eight fields of a response.
fn response() -> HeaderMap {
    table(&[
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "public, max-age=300, s-maxage=600, stale-while-revalidate=60"),
        ("etag", "\"0123456789abcdef0123456789abcdef\""),
        ("last-modified", "Sat, 14 Nov 2026 11:53:20 GMT"),
        ("date", "Sat, 21 Nov 2026 11:53:20 GMT"),
        ("vary", "accept-encoding, accept-language"),
        ("content-language", "en"),
        ("link", "</style.css>; rel=preload; as=style"),
    ])
}
