//! What can go wrong, and which [`StoreErrorKind`] it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cache_core::store::{StoreError, StoreErrorKind};
use redis::{RedisError, ServerError};

/// A setting that cannot be: it names the field and, unless secret, the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    field: &'static str,
    value: Option<String>,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(field: &'static str, value: Option<String>, problem: &str) -> Self {
        Self { field, value, problem: problem.to_owned() }
    }

    /// Which setting.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        self.field
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "`{}` = {value:?}: {}", self.field, self.problem),
            None => write!(f, "`{}`: {}", self.field, self.problem),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting is wrong; trying again will not help.
    #[error("configuration of the Redis store")]
    Config(#[from] ConfigError),
    /// The server could not be used, and the store was told to fail fast.
    #[error("opening the Redis store")]
    Store(#[from] StoreError),
}

/// A failure inside the crate. It becomes a [`StoreError`] at the border.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no complete answer within {0:?}")]
    TimedOut(Duration),
    /// Its text holds what the operating system said.
    #[error("the connection failed: {0}")]
    Transport(Arc<RedisError>),
    #[error("the server said {code} {detail}")]
    Server { code: String, detail: String },
    #[error("the circuit breaker is open: {0}")]
    Open(String),
    #[error("{0} is a replica; marks are read from a primary only")]
    NotPrimary(String),
    #[error("the connection no longer proves which server it reaches")]
    Unproven,
    #[error("no node serves shard {0}")]
    NoRoute(u16),
    #[error("a reply has an unexpected shape: {0}")]
    Protocol(&'static str),
    #[error("unsupported: {0}")]
    Unsupported(String),
    #[error("the store is closed")]
    Closed,
    #[error("no randomness from the operating system")]
    Entropy,
    #[error("a background task was stopped")]
    Stopped,
}

impl Fault {
    pub(crate) fn server(error: &ServerError) -> Self {
        Self::Server {
            code: error.code().to_owned(),
            detail: error.details().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn io(error: std::io::Error) -> Self {
        Self::Transport(Arc::new(error.into()))
    }

    pub(crate) fn is_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Server { code, .. } if code == wanted)
    }

    pub(crate) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::TimedOut(_) => StoreErrorKind::TimedOut,
            Self::Transport(error) if error.is_timeout() => StoreErrorKind::TimedOut,
            Self::Transport(error) => match error.kind() {
                redis::ErrorKind::AuthenticationFailed => StoreErrorKind::Other,
                redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => {
                    StoreErrorKind::Corrupt
                }
                _ => StoreErrorKind::Unavailable,
            },
            Self::Server { code, .. } => match code.as_str() {
                "OOM" => StoreErrorKind::Full,
                "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "READONLY" | "MOVED"
                | "ASK" | "MISCONF" | "NOREPLICAS" | "BUSY" => StoreErrorKind::Unavailable,
                "WRONGTYPE" => StoreErrorKind::Corrupt,
                "NOPERM" | "NOAUTH" | "WRONGPASS" => StoreErrorKind::Unsupported,
                _ => StoreErrorKind::Other,
            },
            Self::Open(_)
            | Self::NotPrimary(_)
            | Self::Unproven
            | Self::NoRoute(_)
            | Self::Closed
            | Self::Stopped => StoreErrorKind::Unavailable,
            Self::Protocol(_) => StoreErrorKind::Corrupt,
            Self::Unsupported(_) => StoreErrorKind::Unsupported,
            Self::Entropy => StoreErrorKind::Other,
        }
    }

    /// Whether another try, soon, may end otherwise.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.kind(),
            StoreErrorKind::Unavailable | StoreErrorKind::TimedOut | StoreErrorKind::Corrupt
        ) && !matches!(self, Self::Closed)
    }

    /// Whether the physical connection is gone, so that a fresh one may do.
    pub(crate) fn is_disconnect(&self) -> bool {
        match self {
            Self::Transport(error) => {
                error.is_connection_dropped()
                    || error.is_unrecoverable_error()
                    || error.is_io_error()
            }
            Self::Unproven => true,
            _ => false,
        }
    }

    pub(crate) fn into_error(self, doing: impl Into<String>) -> StoreError {
        StoreError::new(self.kind(), doing).with_source(self)
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let is_server_error =
            matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension);
        match error.code() {
            Some(code) if is_server_error => Self::Server {
                code: code.to_owned(),
                detail: error.detail().unwrap_or_default().to_owned(),
            },
            _ => Self::Transport(Arc::new(error)),
        }
    }
}
