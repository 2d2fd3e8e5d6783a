//! Runs the built program and talks to it over TCP, as the README does with curl.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panic"
)]

mod client;
mod program;

mod caching;
mod redis;
mod starting;
