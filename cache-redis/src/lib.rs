#![doc = include_str!("../README.md")]

mod breaker;
mod builder;
mod connection;
mod error;
mod flight;
mod incarnation;
mod layout;
mod meta;
mod script;
mod store;
mod topology;
mod url;

pub use self::builder::{RedisStoreBuilder, Start};
pub use self::error::{ConfigError, ConnectError};
pub use self::store::RedisStore;
