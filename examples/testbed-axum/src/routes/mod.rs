//! The routes, by theme. Every handler takes its request apart and asks [`Bed`] for the answer.
//!
//! [`Bed`]: testbed_common::bed::Bed

pub(crate) mod admin;
pub(crate) mod bodies;
pub(crate) mod cas;
pub(crate) mod credentials;
pub(crate) mod function;
pub(crate) mod headers;
pub(crate) mod http;
pub(crate) mod more;
pub(crate) mod plain;
pub(crate) mod query;
pub(crate) mod timed;
pub(crate) mod users;
