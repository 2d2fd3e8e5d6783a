//! Routes about credentials and guards.

use bytes::Bytes;
use http::Response;

use crate::answer::Object;
use crate::bed::{Bed, Input};

impl Bed {
    /// GET `/me`, `/feed`, `/open`.
    #[must_use]
    pub fn auth(
        &self,
        route: &'static str,
        authorization: Option<&str>,
        query: Option<&str>,
    ) -> Response<Bytes> {
        let run = self.run(route, &Input::default().query(query).read("auth", authorization));
        Object::of(route, run).field("auth", &authorization).ok()
    }

    /// GET `/cookie` and its like.
    #[must_use]
    pub fn cookie(
        &self,
        route: &'static str,
        cookie: Option<&str>,
        query: Option<&str>,
    ) -> Response<Bytes> {
        let run = self.run(route, &Input::default().query(query).read("cookie", cookie));
        Object::of(route, run).field("cookie", &cookie).ok()
    }

    /// GET `/guarded` and `/guarded-typed`, past the guard.
    #[must_use]
    pub fn guarded(&self, route: &'static str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run(route, &Input::default().query(query));
        Object::of(route, run).ok()
    }

    /// GET `/profile`, past the guard.
    #[must_use]
    pub fn profile(&self, user: &str) -> Response<Bytes> {
        let run = self.run("/profile", &Input::path(user));
        Object::of("/profile", run).field("user", user).ok()
    }
}
