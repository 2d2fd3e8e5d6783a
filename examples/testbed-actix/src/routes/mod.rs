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

use actix_web::{Route, guard, web};

/// A route for GET, and for HEAD, which actix does not send there by itself.
fn read() -> Route {
    web::route().guard(reads())
}

fn reads() -> impl guard::Guard {
    guard::Any(guard::Get()).or(guard::Head())
}
