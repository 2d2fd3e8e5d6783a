//! HTTP scenarios: what any server that answers the testbed's contract must do, over a real
//! socket.
//!
//! A scenario is a plain asynchronous function over a [`Server`]. All of them are in one list
//! ([`SCENARIOS`]), from which [`http_scenarios!`](crate::http_scenarios) makes a `#[test]` each:
//!
//! ```
//! # mod tests {
//! use conformance_tests::http::ServerBinary;
//!
//! // In a test of the server's own package: env!("CARGO_BIN_EXE_testbed").
//! const PROGRAM: &str = "target/debug/testbed";
//!
//! fn memory() -> ServerBinary {
//!     ServerBinary::new(PROGRAM).arg("--store=memory")
//! }
//!
//! conformance_tests::http_scenarios!(name = memory_store, binary = memory);
//! # }
//! ```
//!
//! Each scenario names the rows that it shows: `c045`, say, is the 45th of the features that this
//! project set out to match, and the words after it say which. Its inputs are unique, so that
//! many may run against one server at once ([`run_all`]); those that touch a switch of the whole
//! server, or invalidate everything, get a server of their own ([`run_one`]). Where a server keeps
//! what it stores to itself, those about several processes over one store do nothing.

mod admin;
mod bodies;
mod client;
mod coalescing;
mod conditional;
mod credentials;
mod functions;
mod headers;
mod hostile;
mod keys;
mod list;
mod methods;
mod process;
mod processes;
mod query;
mod rfc9111;
mod scenario;
mod stale;
mod statuses;
mod streaming;
mod tags;

pub use self::client::{Body, Connection, Request, Response};
pub use self::process::{ServerBinary, StartError};
pub use self::scenario::{
    Expect, Failure, IntoBinary, Needs, SCENARIOS, Scenario, Server, Verdict, equal, expect,
    run_all, run_one, run_to_the_end,
};
