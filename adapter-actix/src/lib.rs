#![doc = include_str!("../README.md")]

mod asked;
mod body;
mod cache;
mod convert;
mod desk;
mod extract;
mod front;
mod future;
mod guard;
mod head;
mod known;
mod layer;
mod names;
mod origin;
mod payload;
mod service;
mod spawn;
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

pub use self::cache::{Cache, CachedResource};
pub use self::extract::{Guarded, MissingCache, ResponseCache};
pub use self::front::{CacheFront, FrontFactory, FrontService};
pub use self::future::ResponseFuture;
pub use self::layer::CacheLayer;
pub use self::service::CacheService;
pub use self::write::{InvalidateLayer, InvalidateService};
