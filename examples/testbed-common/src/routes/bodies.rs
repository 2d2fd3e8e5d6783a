//! Bodies of all kinds.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::header::{HeaderValue, LOCATION};
use http::{Response, StatusCode};

use super::query::value;
use crate::answer::{self, Object, Refusal};
use crate::bed::{Bed, Input};

/// The largest `/bytes/{n}`.
const MAX_BYTES: usize = 256 << 20;

impl Bed {
    /// GET `/bytes/{n}`.
    #[must_use]
    pub fn bytes(&self, n: &str, query: Option<&str>) -> Response<Bytes> {
        let Some(length) = n.parse().ok().filter(|length| *length <= MAX_BYTES) else {
            return answer::error(StatusCode::BAD_REQUEST, "no length, or too large a one");
        };
        self.run("/bytes/{n}", &Input::path(n).query(query));
        answer::typed("application/octet-stream", vec![b'x'; length])
    }

    /// GET `/bin`.
    #[must_use]
    pub fn bin(&self, query: Option<&str>) -> Response<Bytes> {
        self.run("/bin", &Input::default().query(query));
        answer::typed("application/octet-stream", (0..=u8::MAX).collect::<Vec<u8>>())
    }

    /// GET `/json`.
    #[must_use]
    pub fn json(&self, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/json", &Input::default().query(query));
        Object::of("/json", run).field("list", &[1, 2, 3]).field("text", "é \"quoted\"").ok()
    }

    /// GET `/html`.
    #[must_use]
    pub fn html(&self, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/html", &Input::default().query(query));
        let page = format!("<!doctype html><title>testbed</title><p>{run}</p>\n");
        answer::typed("text/html; charset=utf-8", page)
    }

    /// GET `/redirect`.
    #[must_use]
    pub fn redirect(&self, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/redirect", &Input::default().query(query));
        let mut response = Object::of("/redirect", run).status(StatusCode::TEMPORARY_REDIRECT);
        response.headers_mut().insert(LOCATION, HeaderValue::from_static("/json"));
        response
    }

    /// GET `/empty`.
    #[must_use]
    pub fn empty(&self, query: Option<&str>) -> Response<Bytes> {
        self.run("/empty", &Input::default().query(query));
        Response::new(Bytes::new())
    }

    /// GET `/null`.
    #[must_use]
    pub fn null(&self, query: Option<&str>) -> Response<Bytes> {
        self.run("/null", &Input::default().query(query));
        answer::typed("application/json", "null")
    }

    /// GET `/file`, which the framework's file responder answers; only counts the run.
    pub fn file_served(&self, query: Option<&str>) {
        self.run("/file", &Input::default().query(query));
    }

    /// GET `/stream`.
    ///
    /// # Errors
    ///
    /// A query that asks for no stream.
    pub fn stream(
        &self,
        query: Option<&str>,
    ) -> Result<Response<impl Stream<Item = io::Result<Bytes>> + Send + use<>>, Refusal> {
        let number = |name, default| match value(query, name) {
            None => Ok(default),
            Some(text) => {
                text.parse::<u64>().map_err(|_| Refusal::bad(format!("`{name}` is no number")))
            }
        };
        let plan = Chunks {
            next: 0,
            count: number("chunks", 3)?,
            delay: Duration::from_millis(number("delay_ms", 0)?),
            fail_at: number("fail_at", u64::MAX)?,
        };
        self.run("/stream", &Input::default().query(query));
        Ok(answer::text(Bytes::new()).map(|_| futures_util::stream::unfold(plan, Chunks::step)))
    }
}

/// What is left of a stream.
struct Chunks {
    next: u64,
    count: u64,
    delay: Duration,
    fail_at: u64,
}

impl Chunks {
    async fn step(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.next >= self.count {
            return None;
        }
        if self.delay.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.delay).await;
        }
        if self.next == self.fail_at {
            self.next = self.count;
            return Some((Err(io::Error::other("this stream breaks here")), self));
        }
        let chunk = format!("chunk {}\n", self.next);
        self.next += 1;
        Some((Ok(chunk.into()), self))
    }
}
