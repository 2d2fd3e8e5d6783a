//! What the axum adapter adds to the engine, with real routers and, where it matters, sockets.

#![allow(
    clippy::clone_on_ref_ptr,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod coalescing;
mod exports;
mod guards;
mod input;
mod ranges;
mod readiness;
mod routing;
mod safety;
mod storing;
mod streaming;
mod wire;
mod writes;
