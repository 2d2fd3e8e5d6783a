//! From a request to an answer.
//!
//! A [`Route`] decides ([`Route::attend`], [`Route::serve`]); a [`Cache`] is what routes share.
//! An adapter supplies an [`Origin`] (the wrapped service with one request), a [`Body`] for its
//! responses and a way to [`Spawn`]; it takes no decision.
//!
//! [`Body`]: crate::body::Body

mod board;
mod budget;
mod cache;
pub(crate) mod complain;
mod conclude;
mod cool;
pub mod explain;
mod fill;
mod find;
mod flight;
pub(crate) mod function;
mod gather;
pub(crate) mod kept;
#[cfg(feature = "mutants")]
pub mod mutant;
mod nested;
mod nominated;
mod partial;
mod prepare;
mod recall;
mod reply;
mod route;
mod run;
mod seek;
pub mod serve;
mod spawn;
mod status;
mod targets;
mod tee;
mod validate;
pub mod write;
pub(crate) mod written;

pub use self::cache::{Cache, CacheBuilder, InvalidateError, NamespaceHandle};
pub use self::reply::{ReadyFields, Reply, Says};
pub use self::route::{Pending, Route, Step};
pub use self::serve::{Changes, Origin, Refresh, Served};
pub use self::spawn::{Detached, Lifeline, Spawn, Surviving};
pub(crate) use self::status::CACHE_STATUS;
pub use self::tee::{Drain, ServedBody};
