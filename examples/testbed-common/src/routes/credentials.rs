//! Routes about credentials and guards.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::answer::{Object, Refusal};
use crate::bed::{Bed, Input};

/// The guard of `/guarded`: `x-key: secret`, else 401.
///
/// # Errors
///
/// Another value, or none.
pub fn api_key(x_key: Option<&str>) -> Result<(), Refusal> {
    match x_key {
        Some("secret") => Ok(()),
        _ => Err(Refusal::new(StatusCode::UNAUTHORIZED, "this needs a key")),
    }
}

/// The guard of `/guarded-typed`: `x-num: 5`, else 400.
///
/// # Errors
///
/// What is no integer.
pub fn number(x_num: Option<&str>) -> Result<i64, Refusal> {
    let parsed = x_num.and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| Refusal::bad("x-num must be an integer"))
}

/// The guard of `/profile`: `x-user: ada`, else 401.
///
/// # Errors
///
/// No user.
pub fn user(x_user: Option<&str>) -> Result<String, Refusal> {
    match x_user {
        None | Some("") => Err(Refusal::new(StatusCode::UNAUTHORIZED, "this needs a user")),
        Some(name) => Ok(name.to_owned()),
    }
}

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
