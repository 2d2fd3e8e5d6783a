//! A plain function, cached, behind a route that is not.

use bytes::Bytes;
use cache_core::function::Function;
use cache_core::{Cache, PolicyError};
use http::{Response, StatusCode};

use super::query::value;
use crate::answer::{self, Object};
use crate::bed::{Bed, Input};
use crate::policies;

/// What counts the runs of the function.
const FUNCTION: &str = "function of /fn";

/// `x=err`.
#[derive(Debug, thiserror::Error)]
#[error("this function fails for `err`")]
struct Failed;

impl Bed {
    /// The cached function that `/fn` calls.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn function(cache: &Cache) -> Result<Function, PolicyError> {
        cache.function("testbed", policies::function())
    }

    /// GET `/fn`.
    pub async fn call(&self, function: &Function, query: Option<&str>) -> Response<Bytes> {
        let Some(x) = value(query, "x") else {
            return answer::error(StatusCode::BAD_REQUEST, "the query must say `x=…`");
        };
        let run = self.run("/fn", &Input::path(&x));
        let result = function.call(&(&x,), async || self.of(&x).await).await;
        let object = Object::of("/fn", run);
        let runs = self.runs(FUNCTION, &Input::path(&x));
        match result {
            Ok(value) => object.field("value", &value).field("runs", &runs).ok(),
            Err(error) => {
                let object = object.field("error", &error.to_string()).field("runs", &runs);
                object.status(StatusCode::BAD_GATEWAY)
            }
        }
    }

    /// The function itself.
    async fn of(&self, x: &str) -> Result<Option<String>, Failed> {
        self.run(FUNCTION, &Input::path(x));
        tokio::task::yield_now().await;
        match x {
            "err" => Err(Failed),
            "none" => Ok(None),
            _ => Ok(Some(format!("f({x})"))),
        }
    }
}
