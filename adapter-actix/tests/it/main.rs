//! The adapter over real sockets: servers with two workers, and a client that sees every byte.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers fail as its tests do"
)]

#[macro_use]
mod server;

mod answers;
mod bodies;
mod concurrency;
mod cookies;
mod exports;
mod front;
mod guards;
mod invalidation;
mod ranges;
mod stale;
