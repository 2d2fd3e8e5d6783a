//! The part of a policy that only code can express.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};

use super::setting::Ttl;
use crate::head::RequestHead;

/// A boxed, sendable future.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What went wrong in a function of the application.
pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

type KeySync = dyn Fn(&RequestHead<'_>) -> Result<String, AnyError> + Send + Sync;
type KeyAsync = dyn Fn(&RequestHead<'_>) -> Boxed<Result<String, AnyError>> + Send + Sync;
type TtlAsync = dyn Fn(&RequestHead<'_>) -> Boxed<Result<Ttl, AnyError>> + Send + Sync;
type RequestTest = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;
type ResponseTest = dyn Fn(&RequestHead<'_>, &ResponseHead<'_>) -> bool + Send + Sync;

/// What the engine reads of a response: everything but its body.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
}

impl<'a> ResponseHead<'a> {
    /// A head.
    #[must_use]
    pub const fn new(status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self { status, headers }
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }
}

/// Writes a query anew by a declared type; `None` if it is no such query.
type QueryForm = dyn Fn(&str) -> Option<String> + Send + Sync;

/// How a key is made by code.
#[derive(Clone)]
pub(crate) enum KeyFunction {
    Sync(Arc<KeySync>),
    Async(Arc<KeyAsync>),
}

/// The functions of a policy.
#[derive(Clone, Default)]
pub(crate) struct Code {
    pub(crate) key: Option<KeyFunction>,
    pub(crate) query: Option<Arc<QueryForm>>,
    pub(crate) ttl: Option<Arc<TtlAsync>>,
    pub(crate) condition: Option<Arc<RequestTest>>,
    pub(crate) store_if: Option<Arc<ResponseTest>>,
}

impl Code {
    /// These functions laid over `base`.
    pub(crate) fn over(&self, base: &Self) -> Self {
        Self {
            key: self.key.clone().or_else(|| base.key.clone()),
            query: self.query.clone().or_else(|| base.query.clone()),
            ttl: self.ttl.clone().or_else(|| base.ttl.clone()),
            condition: self.condition.clone().or_else(|| base.condition.clone()),
            store_if: self.store_if.clone().or_else(|| base.store_if.clone()),
        }
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |set: bool| if set { "Some(fn)" } else { "None" };
        f.debug_struct("Code")
            .field("key", &shown(self.key.is_some()))
            .field("query", &shown(self.query.is_some()))
            .field("ttl", &shown(self.ttl.is_some()))
            .field("condition", &shown(self.condition.is_some()))
            .field("store_if", &shown(self.store_if.is_some()))
            .finish()
    }
}
