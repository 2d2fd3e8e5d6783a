//! What the `/admin/*` routes read, and what of their answers needs no framework.

use std::collections::BTreeMap;

use bytes::Bytes;
use cache_core::explain::Explanation;
use cache_core::{Cache, InvalidateError, Stats};
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::answer::{self, Object, Refusal};
use crate::bed::Bed;
use crate::store::Opened;

/// The body of `POST /admin/invalidate`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Invalidate {
    /// Key names, in `namespace` where one is given.
    pub keys: Vec<String>,
    /// Tags.
    pub tags: Vec<String>,
    /// A namespace; without keys, all of it.
    pub namespace: Option<String>,
    /// Everything.
    pub all: bool,
}

impl Invalidate {
    /// Does it and answers the count.
    pub async fn answer(self, cache: &Cache) -> Response<Bytes> {
        match self.run(cache).await {
            Ok(count) => answer::removed(count),
            Err(error) => refused(&error),
        }
    }

    async fn run(self, cache: &Cache) -> Result<u64, InvalidateError> {
        let mut removed = 0;
        if self.all {
            removed += cache.clear().await?.removed;
        }
        if !self.tags.is_empty() {
            removed += cache.invalidate_tags(&self.tags).await?.removed;
        }
        removed += match (self.namespace, self.keys.is_empty()) {
            (None, true) => 0,
            (None, false) => cache.invalidate_keys(&self.keys).await?.removed,
            (Some(name), true) => cache.invalidate_namespace(&name).await?.removed,
            (Some(name), false) => cache.namespace(name).invalidate_keys(&self.keys).await?.removed,
        };
        Ok(removed)
    }
}

/// The answer of a route whose invalidation is not in force: 503, or 400 for a name that is none.
#[must_use]
pub fn refused(error: &InvalidateError) -> Response<Bytes> {
    let (status, reason) = match error {
        InvalidateError::Store(store) => {
            (StatusCode::SERVICE_UNAVAILABLE, store.kind().as_str().to_owned())
        }
        _ => (StatusCode::BAD_REQUEST, "name".to_owned()),
    };
    let message = match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    };
    Object::new().field("error", &message).field("reason", &reason).status(status)
}

/// The answer of a route that invalidates: a count, or why there is none.
#[must_use]
pub fn invalidated(
    outcome: Result<cache_core::store::Invalidated, InvalidateError>,
) -> Response<Bytes> {
    match outcome {
        Ok(done) => answer::removed(done.removed),
        Err(error) => refused(&error),
    }
}

/// The body of `POST /admin/explain`: a request to think about.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Thought {
    /// Its method.
    #[serde(default = "get")]
    pub method: String,
    /// Its target.
    pub uri: String,
    /// Its fields; several lines as a list.
    #[serde(default)]
    pub headers: BTreeMap<String, Lines>,
}

fn get() -> String {
    "GET".to_owned()
}

/// One line of a field, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[expect(clippy::exhaustive_enums, reason = "there is no third")]
pub enum Lines {
    /// One.
    One(String),
    /// Any number.
    Many(Vec<String>),
}

impl Thought {
    /// The request.
    ///
    /// # Errors
    ///
    /// What of it cannot be.
    pub fn request(&self) -> Result<Request<()>, http::Error> {
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(self.method.as_bytes())?;
        *request.uri_mut() = self.uri.parse()?;
        for (name, lines) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())?;
            let lines = match lines {
                Lines::One(line) => std::slice::from_ref(line),
                Lines::Many(lines) => lines.as_slice(),
            };
            for line in lines {
                request.headers_mut().append(name.clone(), HeaderValue::from_str(line)?);
            }
        }
        Ok(request)
    }
}

/// The answer of `POST /admin/explain`.
#[must_use]
pub fn explained(explanation: Option<&Explanation>) -> Response<Bytes> {
    match explanation {
        Some(explanation) => Object::new().field("decisions", &explanation.decisions).ok(),
        None => answer::error(
            StatusCode::NOT_FOUND,
            "no cached route takes this request, or its guard refuses it",
        ),
    }
}

/// The answer of `GET /admin/stats`.
#[must_use]
pub fn stats(stats: &Stats) -> Response<Bytes> {
    json(stats)
}

/// The answer of `GET /admin/counts`: runs by route and input.
#[must_use]
pub fn counts(bed: &Bed) -> Response<Bytes> {
    json(&bed.counts())
}

/// The answer of `GET /admin/keys`.
pub async fn keys(store: &Opened) -> Response<Bytes> {
    match store.keys().await {
        Ok(keys) => Object::new().field("keys", &keys).ok(),
        Err(error) => answer::error(StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

/// Reads the JSON body of an admin request, whatever content type it states.
///
/// # Errors
///
/// A body that is none.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // A list would do for a struct, too.
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(body).map_err(Refusal::bad)?;
    serde_json::from_value(object.into()).map_err(Refusal::bad)
}

/// `fail=1` or `on=0` in a query: a switch.
///
/// # Errors
///
/// What is wrong with it.
pub fn switch(query: Option<&str>, name: &str) -> Result<bool, String> {
    let query = query.unwrap_or_default();
    let mut values =
        form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name).map(|(_, v)| v);
    match (values.next().as_deref(), values.next()) {
        (Some("0" | "false"), None) => Ok(false),
        (Some("1" | "true"), None) => Ok(true),
        _ => Err(format!("the query must say `{name}=0` or `{name}=1`")),
    }
}

fn json<T: serde::Serialize>(value: &T) -> Response<Bytes> {
    match serde_json::to_vec(value) {
        Ok(body) => answer::typed("application/json", body),
        Err(error) => answer::error(StatusCode::INTERNAL_SERVER_ERROR, error),
    }
}
