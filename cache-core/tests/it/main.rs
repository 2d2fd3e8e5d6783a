//! What the core promises, without a framework.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod codec;
mod engine;
mod functions;
mod golden;
mod http;
mod keys;
mod policy;
mod write_functions;
mod write_routes;
