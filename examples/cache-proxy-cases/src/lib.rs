//! What both caching proxies must hold, as cases against a running program.
//!
//! The origin and the client speak raw TCP, so that every byte is the test's own.
//! [`proxy_cases!`](crate::proxy_cases) makes a test of each case.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a case fails by panicking"
)]

pub mod cases;
mod message;
mod origin;
mod proxy;
