//! What a client hears of an origin that did not answer (RFC 9110 §15.6.3, §15.6.5).

use std::time::Duration;

use http::StatusCode;

/// Why there is no answer. The request is not sent a second time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// No connection.
    #[error("the origin cannot be reached: {0}")]
    Unreachable(#[source] std::io::Error),
    /// It broke off, or what it said is not HTTP.
    #[error("the origin's answer cannot be understood: {0}")]
    Broken(#[source] hyper::Error),
    /// Neither yes nor no.
    #[error("the origin is silent for {0:?}")]
    Silent(Duration),
    /// The request has no form in which an origin server understands it.
    #[error("a request of this form is not passed on")]
    Unsupported,
}

impl Failure {
    /// The status of the proxy's own answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Silent(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Unsupported => StatusCode::NOT_IMPLEMENTED,
        }
    }

    /// Its text, which tells nothing of what is behind.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Unreachable(_) | Self::Broken(_) => "The origin did not answer.\n",
            Self::Silent(_) => "The origin did not answer in time.\n",
            Self::Unsupported => "The method is not passed on.\n",
        }
    }
}
