//! Extractors that run before the lookup.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::{Payload, ServiceRequest};
use actix_web::{Error, FromRequest, HttpMessage as _, HttpRequest};
use cache_core::{Extracted, Fields};

use crate::extract::Guarded;
use crate::payload::Shared;

type Checked<'r> = Pin<Box<dyn Future<Output = Result<Option<Extracted>, Error>> + 'r>>;
type Guard = dyn for<'r> Fn(&'r HttpRequest, &'r mut Payload) -> Checked<'r> + Send + Sync;
type Naming<E> = dyn Fn(&E) -> Extracted + Send + Sync;

/// The guards of a layer, in order.
#[derive(Clone, Default)]
pub(crate) struct Guards(Vec<Arc<Guard>>);

impl Guards {
    pub(crate) fn add<E>(&mut self, naming: Option<Arc<Naming<E>>>)
    where
        E: FromRequest + Clone + 'static,
    {
        self.0.push(Arc::new(move |request, payload| {
            let naming = naming.clone();
            Box::pin(async move {
                let value = E::from_request(request, payload).await.map_err(Into::into)?;
                let extracted = naming.map(|naming| naming(&value));
                request.extensions_mut().insert(Guarded(value));
                Ok(extracted)
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

    /// Runs all of them; the first rejection is the response. What they read of the payload, the
    /// handler reads again.
    pub(crate) async fn check(
        &self,
        request: &mut ServiceRequest,
    ) -> Result<Vec<Extracted>, Error> {
        let mut all = Vec::new();
        let (request, payload) = request.parts_mut();
        if matches!(payload, Payload::None) {
            for guard in &self.0 {
                all.extend(guard(request, payload).await?);
            }
            return Ok(all);
        }
        let shared = Shared::new(payload.take());
        for guard in &self.0 {
            all.extend(guard(request, &mut shared.reader()).await?);
        }
        *payload = shared.into_payload();
        Ok(all)
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guards({})", self.0.len())
    }
}
