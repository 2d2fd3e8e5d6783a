//! What a client hears when something went wrong: `{"error": "…"}`.

use std::error::Error;

use adapter_axum::InvalidateError;
use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::db::DbError;
use crate::say::complain;

/// Why there is no answer. Only a 2xx is cached, so none of these is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{0}")]
    NotFound(String),
    #[error("{0}")]
    Path(#[from] PathRejection),
    #[error("{0}")]
    Query(#[from] QueryRejection),
    #[error("the database did not answer")]
    Database(#[from] DbError),
    #[error("the answer could not be tagged")]
    Tag(#[source] Box<dyn Error + Send + Sync>),
    /// The write is in the database. Nothing else is at risk: the same request again is right.
    #[error("saved, but cached answers may be out of date for a while; please send this again")]
    Invalidate(#[from] InvalidateError),
}

impl ApiError {
    pub(crate) fn unknown_city(id: i64) -> Self {
        Self::NotFound(format!("no city has the id {id}"))
    }

    pub(crate) fn tag(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Tag(error.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Path(rejection) => rejection.status(),
            Self::Query(rejection) => rejection.status(),
            Self::Database(_) | Self::Tag(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Invalidate(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            // The cause is for the operator; the client gets the sentence above.
            let cause = self.source().map(ToString::to_string);
            complain(format_args!("{self}: {}", cause.unwrap_or_default()));
        }
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}
