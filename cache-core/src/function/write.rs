//! Plain functions that write: what they invalidate, said once.

use std::error::Error;
use std::future::Future;

use serde::Serialize;

use super::scalar;
use crate::engine::Cache;
use crate::engine::write::{Invalidation, When, WriteRoute};
use crate::policy::PolicyError;

/// A plain function whose success invalidates, as that of a write route does.
#[derive(Clone, Debug)]
pub struct WriteFunction(WriteRoute);

impl Cache {
    /// A function that invalidates. A template's placeholders are the fields of its arguments:
    /// `{name}` of a struct, `{0}` of a tuple.
    ///
    /// ```
    /// # use cache_core::{Cache, Invalidation};
    /// # async fn update(id: u64) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn example(cache: Cache) -> Result<(), Box<dyn std::error::Error>> {
    /// let rename = cache.write_function(Invalidation::new().tag("user:{0}"))?;
    /// rename.call(&(7,), async || update(7).await).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// A template that cannot be, or nothing named at all.
    pub fn write_function(&self, what: Invalidation) -> Result<WriteFunction, PolicyError> {
        Ok(WriteFunction(WriteRoute::new(self, what)?))
    }
}

impl WriteFunction {
    /// Runs the function, and invalidates after it returned `Ok`, before it, or both. Once this
    /// has returned `Ok`, the invalidation is in force.
    ///
    /// # Errors
    ///
    /// The function's own error, or the invalidation's. A template that cannot be expanded fails
    /// before the function runs.
    ///
    /// # Panics
    ///
    /// Where the function does.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the function. An invalidation that has begun goes on.
    pub async fn call<A, T, E, F, Fut>(
        &self,
        arguments: &A,
        function: F,
    ) -> Result<T, WriteFailure<E>>
    where
        A: Serialize + ?Sized,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let arguments = serde_json::to_value(arguments)
            .map_err(|error| WriteFailure::Invalidation(Box::new(error)))?;
        let selection = self
            .0
            .selection(|name| scalar(&arguments, name))
            .map_err(|error| WriteFailure::Invalidation(Box::new(error)))?;
        let invalidate = async || {
            let done = self.0.cache().invalidate(selection.clone()).await;
            done.map(drop).map_err(|error| WriteFailure::Invalidation(Box::new(error)))
        };
        if matches!(self.0.when(), When::Before | When::Both) {
            invalidate().await?;
        }
        let value = function().await.map_err(WriteFailure::Function)?;
        if matches!(self.0.when(), When::AfterSuccess | When::Both) {
            invalidate().await?;
        }
        Ok(value)
    }
}

/// Why a write with its invalidation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteFailure<E> {
    /// The function's own error; nothing was invalidated after it.
    #[error("the write failed")]
    Function(E),
    /// The invalidation is not in force. The function has succeeded, unless the failed one was to
    /// go before it.
    #[error("the invalidation failed")]
    Invalidation(#[source] Box<dyn Error + Send + Sync>),
}
