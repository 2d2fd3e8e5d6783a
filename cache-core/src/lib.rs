#![doc = include_str!("../README.md")]

pub mod body;
pub mod clock;
pub mod engine;
pub mod entry;
pub mod field;
pub mod function;
mod head;
pub mod key;
pub mod policy;
mod reason;
mod stats;
pub mod store;
pub mod tag;
pub mod threads;
mod wishes;

pub use self::engine::explain;
pub use self::engine::write::{Invalidation, When};
pub use self::engine::{Cache, CacheBuilder, InvalidateError, NamespaceHandle};
pub use self::head::{Extracted, Fields, LaterHead, RequestHead};
pub use self::policy::{Policy, PolicyError, ResponseHead};
pub use self::reason::{Forwarded, Reason};
pub use self::stats::Stats;
pub use self::store::{Store, StoreError, StoreErrorKind};
pub use self::wishes::Wishes;
