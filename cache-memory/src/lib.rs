#![doc = include_str!("../README.md")]

mod builder;
mod cells;
mod deadlines;
mod entries;
mod janitor;
mod lock;
mod members;
mod reclaim;
mod slot;
mod store;
mod stripes;
#[cfg(test)]
mod testing;
mod tickets;
mod weight;

pub use crate::builder::{MemoryStoreBuilder, MemoryStoreError};
pub use crate::store::MemoryStore;
