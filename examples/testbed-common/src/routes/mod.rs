//! What every route answers: methods of [`Bed`](crate::bed::Bed), by theme.
//!
//! A run of a handler is counted under its route and its full input: what the path gives, the
//! query, and whatever else the handler reads.

mod bodies;
mod cas;
mod credentials;
mod function;
mod headers;
mod more;
mod plain;
mod query;
mod timed;
mod users;

pub use self::credentials::{api_key, number, user};
pub use self::headers::BadField;
pub use self::more::More;
pub use self::query::{BadQuery, Search, list, value};
