//! Plain functions that write: what they invalidate, said once.

use std::error::Error;
use std::future::Future;

use serde::Serialize;

use super::scalar;
use crate::engine::Cache;
use crate::engine::write::{Invalidation, When, WriteRoute};
use crate::policy::{AnyError, PolicyError};
use crate::store::Selection;

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
    /// See [`WriteFailure`]; each variant says whether the function has run.
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
        let selection = self.selection(arguments).map_err(|error| {
            self.0.complain(&*error);
            WriteFailure::Arguments(error)
        })?;
        let invalidate = async || self.0.cache().invalidate(selection.clone()).await;
        if matches!(self.0.when(), When::Before | When::Both) {
            invalidate().await.map_err(|error| WriteFailure::Before(error.into()))?;
        }
        let value = function().await.map_err(WriteFailure::Function)?;
        if matches!(self.0.when(), When::AfterSuccess | When::Both) {
            invalidate().await.map_err(|error| WriteFailure::Invalidation(error.into()))?;
        }
        Ok(value)
    }

    fn selection<A: Serialize + ?Sized>(&self, arguments: &A) -> Result<Selection, AnyError> {
        let arguments = serde_json::to_value(arguments)?;
        Ok(self.0.selection(|name| scalar(&arguments, name))?)
    }
}

/// Why a write with its invalidation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteFailure<E> {
    /// The function's own error; nothing was invalidated after it.
    #[error("the write failed")]
    Function(E),
    /// What to invalidate cannot be told from the arguments: serde cannot write them, or a template
    /// names a field that they lack. The function has *not* run, whenever the invalidation was to
    /// go. It is logged, and counted once in
    /// [`Stats::invalidation_errors`](crate::Stats::invalidation_errors).
    #[error("the arguments do not say what to invalidate, so the function has not run")]
    Arguments(#[source] Box<dyn Error + Send + Sync>),
    /// The invalidation that goes before the function failed. The function has *not* run.
    #[error("the invalidation failed before the function, which has not run")]
    Before(#[source] Box<dyn Error + Send + Sync>),
    /// The function *has succeeded*, but the invalidation after it is not in force: invalidate
    /// again.
    #[error("the function has succeeded, and the invalidation after it failed")]
    Invalidation(#[source] Box<dyn Error + Send + Sync>),
}
