//! Extractors that run before the lookup.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use cache_core::{Extracted, Fields};
use http::request::Parts;

use crate::extract::Guarded;

type Checked<'p> = Pin<Box<dyn Future<Output = Result<Option<Extracted>, Response>> + Send + 'p>>;
type Guard = dyn for<'p> Fn(&'p mut Parts) -> Checked<'p> + Send + Sync;
type Naming<E> = dyn Fn(&E) -> Extracted + Send + Sync;

/// The guards of a layer, in order.
#[derive(Clone, Default)]
pub(crate) struct Guards(Vec<Arc<Guard>>);

impl Guards {
    pub(crate) fn add<E, S>(&mut self, state: S, naming: Option<Arc<Naming<E>>>)
    where
        E: FromRequestParts<S> + Clone + Send + Sync + 'static,
        S: Clone + Send + Sync + 'static,
    {
        self.0.push(Arc::new(move |parts| {
            let (state, naming) = (state.clone(), naming.clone());
            Box::pin(async move {
                match E::from_request_parts(parts, &state).await {
                    Ok(value) => {
                        let extracted = naming.map(|naming| naming(&value));
                        parts.extensions.insert(Guarded(value));
                        Ok(extracted)
                    }
                    Err(rejection) => Err(rejection.into_response()),
                }
            })
        }));
    }

    pub(crate) fn naming<E, F: Into<Fields>>(
        name: &str,
        fields: impl Fn(&E) -> F + Send + Sync + 'static,
    ) -> Arc<Naming<E>> {
        let name = name.to_owned();
        Arc::new(move |value| Extracted::new(name.clone(), fields(value)))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs all of them; the first rejection is the response.
    pub(crate) async fn check(&self, parts: &mut Parts) -> Result<Vec<Extracted>, Response> {
        let mut all = Vec::new();
        for guard in &self.0 {
            all.extend(guard(parts).await?);
        }
        Ok(all)
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guards({})", self.0.len())
    }
}
