//! Routes beyond the contract, under `/more`: what the conformance tests ask and no route of the
//! contract shows.

use std::time::Duration;

use bytes::Bytes;
use cache_core::function::{Codec, Function, WriteFailure, WriteFunction};
use cache_core::policy::Span;
use cache_core::{Cache, PolicyError, Wishes};
use cache_memory::MemoryStore;
use http::header::{HeaderValue, SET_COOKIE};
use http::{Response, StatusCode};

use super::query::value;
use crate::answer::{self, Object};
use crate::args::Options;
use crate::bed::{Bed, Input};
use crate::policies;
use crate::store::Opened;

/// What those routes need beside the testbed's cache.
#[derive(Debug)]
#[non_exhaustive]
pub struct More {
    /// A second cache of the process, with a store of its own.
    pub other: Cache,
    shared: Function,
    binary: Function,
    json: Function,
    of_cache: Function,
    write: WriteFunction,
}

/// What the functions count their runs under.
const SHARED: &str = "function of /more/shared-fn/{id}";
const CODEC: &str = "function of /more/codec";

impl More {
    /// Caches and functions beside `cache`, which is over `store`.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn new(cache: &Cache, store: &Opened, options: &Options) -> Result<Self, PolicyError> {
        let other = Cache::builder(MemoryStore::new()).policy(options.policy.clone()).build()?;
        let json_cache = store.cache(options).codec(Codec::Json).build()?;
        let codec = |cache: &Cache| cache.function("codec", policies::function());
        Ok(Self {
            other,
            shared: cache.function("shared", policies::shared_function())?,
            binary: codec(cache)?,
            json: codec(cache)?.with_codec(Codec::Json),
            of_cache: codec(&json_cache)?,
            write: cache.write_function(policies::write_function())?,
        })
    }
}

impl Bed {
    /// GET `/more/key-fn` and `/more/key-async`.
    #[must_use]
    pub fn tenant(&self, route: &'static str, tenant: Option<&str>) -> Response<Bytes> {
        let run = self.run(route, &Input::default().read("tenant", tenant));
        Object::of(route, run).field("tenant", &tenant).ok()
    }

    /// GET `/more/shared-a/{id}`, `/more/replace/{id}` and their like.
    #[must_use]
    pub fn one(&self, route: &'static str, id: &str) -> Response<Bytes> {
        let run = self.run(route, &Input::path(id));
        Object::of(route, run).ok()
    }

    /// GET `/more/shared-fn/{id}`: a function under the key of other routes.
    pub async fn shared_function(&self, more: &More, id: &str) -> Response<Bytes> {
        let run = self.run("/more/shared-fn/{id}", &Input::path(id));
        let arguments = (id,);
        let called = more.shared.call(&arguments, async || {
            self.run(SHARED, &Input::path(id));
            Ok::<_, std::convert::Infallible>(format!("f({id})"))
        });
        let Ok(value) = called.await;
        let runs = self.runs(SHARED, &Input::path(id));
        Object::of("/more/shared-fn/{id}", run).field("value", &value).field("runs", &runs).ok()
    }

    /// GET `/more/store-if?keep=1`.
    #[must_use]
    pub fn store_if(&self, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/more/store-if", &Input::default().query(query));
        let mut response = Object::of("/more/store-if", run).ok();
        let keep = if value(query, "keep").as_deref() == Some("1") { "1" } else { "0" };
        response.headers_mut().insert("x-keep", HeaderValue::from_static(keep));
        response
    }

    /// GET `/more/wish?ttl=400ms&refuse=1&strip=1`: what a handler says of its own answer.
    #[must_use]
    pub fn wish(&self, wishes: &Wishes, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/more/wish", &Input::default().query(query));
        let mut response = Object::of("/more/wish", run).ok();
        if let Some(span) = value(query, "ttl").and_then(|text| text.parse::<Span>().ok()) {
            wishes.ttl(span.0);
        }
        if value(query, "refuse").is_some() {
            wishes.refuse();
        }
        if value(query, "strip").is_some() {
            wishes.strip_cookies();
            response.headers_mut().insert(SET_COOKIE, HeaderValue::from_static("session=1"));
        }
        response
    }

    /// GET `/more/blocking/{ms}`: what a handler does on a thread for blocking work.
    #[must_use]
    pub fn blocking(&self, ms: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/more/blocking/{ms}", &Input::path(ms).query(query));
        std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or(0)));
        Object::of("/more/blocking/{ms}", run).ok()
    }

    /// PUT `/more/write/{when}/{id}?fail=1&delay_ms=D` and their like.
    pub async fn write(&self, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/more/write", &Input::default().query(query));
        let delay = value(query, "delay_ms").and_then(|text| text.parse().ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let fails = value(query, "fail").as_deref() == Some("1");
        let status = if fails { StatusCode::CONFLICT } else { StatusCode::OK };
        Object::of("/more/write", run).status(status)
    }

    /// POST `/more/write-fn/{id}?fail=1`: a plain function that invalidates.
    pub async fn write_function(
        &self,
        more: &More,
        id: &str,
        query: Option<&str>,
    ) -> Response<Bytes> {
        let arguments = (id,);
        let written = more.write.call(&arguments, async || {
            let answer = self.write(query).await;
            if answer.status().is_success() { Ok(answer) } else { Err(answer) }
        });
        match written.await {
            Ok(answer) | Err(WriteFailure::Function(answer)) => answer,
            Err(error) => answer::error(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }

    /// GET `/more/codec?x=X&codec=binary`: a function whose results `binary`, `json` or the
    /// `cache`'s codec stores.
    pub async fn codec(&self, more: &More, query: Option<&str>) -> Response<Bytes> {
        let x = value(query, "x").unwrap_or_default();
        let function = match value(query, "codec").as_deref() {
            Some("binary") => &more.binary,
            Some("json") => &more.json,
            Some("cache") => &more.of_cache,
            _ => return answer::error(StatusCode::BAD_REQUEST, "the query must say `codec=…`"),
        };
        let arguments = (&x,);
        let called = function.call(&arguments, async || {
            self.run(CODEC, &Input::path(&x));
            Ok::<_, std::convert::Infallible>((x.clone(), Some(-1.5_f64), vec![1_u8, 255]))
        });
        let Ok(value) = called.await;
        let runs = self.runs(CODEC, &Input::path(&x));
        Object::new().field("value", &value).field("runs", &runs).ok()
    }
}
