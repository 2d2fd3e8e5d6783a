//! The plain routes.

use bytes::Bytes;
use http::header::HeaderValue;
use http::{Response, StatusCode};

use crate::answer::{self, Object};
use crate::bed::{Bed, Input};

/// The code of a final answer.
pub(super) fn final_status(code: &str) -> Option<StatusCode> {
    let code = code.parse().ok().filter(|code| *code >= 200)?;
    StatusCode::from_u16(code).ok()
}

/// An answer of a status that has no body.
pub(super) fn bodiless(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

impl Bed {
    /// GET `/n/{id}`.
    #[must_use]
    pub fn n(&self, id: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/n/{id}", &Input::path(id).query(query));
        answer::text(format!("{id} {run}"))
    }

    /// GET `/nocache/{id}`.
    #[must_use]
    pub fn nocache(&self, id: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/nocache/{id}", &Input::path(id).query(query));
        answer::text(format!("{id} {run}"))
    }

    /// ANY `/status/{code}`.
    #[must_use]
    pub fn status(&self, code: &str, query: Option<&str>) -> Response<Bytes> {
        let Some(status) = final_status(code) else {
            return answer::error(StatusCode::BAD_REQUEST, "no final status code");
        };
        let run = self.run("/status/{code}", &Input::path(code).query(query));
        let mut response = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => bodiless(status),
            _ => Object::of("/status/{code}", run).status(status),
        };
        response.headers_mut().insert("x-own", HeaderValue::from_static("1"));
        response
    }

    /// ANY `/multi`.
    #[must_use]
    pub fn multi(&self, method: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/multi", &Input::path(method).query(query));
        Object::of("/multi", run).field("method", method).ok()
    }

    /// POST `/post-cached`.
    #[must_use]
    pub fn post_cached(&self, body: &[u8], query: Option<&str>) -> Response<Bytes> {
        let body = String::from_utf8_lossy(body);
        let run = self.run("/post-cached", &Input::path(&*body).query(query));
        Object::of("/post-cached", run).field("body", &body).ok()
    }

    /// GET `/fail`.
    #[must_use]
    pub fn fail(&self, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/fail", &Input::default().query(query));
        Object::of("/fail", run).status(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// GET `/fail-once/{id}`.
    #[must_use]
    pub fn fail_once(&self, id: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/fail-once/{id}", &Input::path(id).query(query));
        let fails = run == 1;
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        Object::of("/fail-once/{id}", run).status(status)
    }

    /// GET `/panic`.
    ///
    /// # Panics
    ///
    /// Always.
    #[expect(clippy::panic, reason = "it is what the route is for")]
    pub fn panic(&self, query: Option<&str>) -> Response<Bytes> {
        self.run("/panic", &Input::default().query(query));
        panic!("/panic does");
    }
}
