//! What the conformance suite cannot force: faults of a real server, limits, topologies.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod acl;
mod application;
mod batches;
mod cluster;
mod connect;
mod faults;
mod gaps;
mod limits;
mod memory;
mod mint;
mod proxy;
mod reclaim;
mod sentinel;
mod silence;
mod suite;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
mod torn;
mod torture;
mod trips;
mod worker;
