#![doc = include_str!("../README.md")]

mod body;
mod cache;
mod extract;
mod future;
mod guard;
mod layer;
mod origin;
mod service;
mod write;

pub use cache_core::engine::CacheBuilder;
pub use cache_core::explain::{Decision, Explanation};
pub use cache_core::store::{Guarantee, Invalidated};
pub use cache_core::tag::TagError;
pub use cache_core::{
    Extracted, Fields, InvalidateError, Invalidation, NamespaceHandle, Policy, PolicyError, Reason,
    RequestHead, ResponseHead, Stats, Store, StoreError, StoreErrorKind, When, Wishes, clock,
    function, policy, tag, threads,
};

pub use self::cache::Cache;
pub use self::extract::{Guarded, MissingCache, ResponseCache};
pub use self::future::ResponseFuture;
pub use self::layer::CacheLayer;
pub use self::service::CacheService;
pub use self::write::{InvalidateLayer, InvalidateService};

#[doc = include_str!("../docs/migrating.md")]
pub mod migrating {}

/// The program in the repository's README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct RepositoryReadme;
