//! Routes that read and write users, and `/items`.

use bytes::Bytes;
use http::{Response, StatusCode};

use super::query::{list, value};
use crate::answer::{Object, Refusal};
use crate::bed::{Bed, Input};

const ROUTE: &str = "/users/{user_id}";

impl Bed {
    /// GET `/users/{user_id}`.
    #[must_use]
    pub fn get_user(&self, id: &str) -> Response<Bytes> {
        let run = self.run(ROUTE, &Input::path(id));
        Object::of(ROUTE, run).field("value", &self.user(id)).ok()
    }

    /// PATCH `/users/{user_id}`, before its invalidation.
    ///
    /// # Errors
    ///
    /// A query without `value`.
    pub fn patch_user(&self, id: &str, query: Option<&str>) -> Result<(), Refusal> {
        let value = required(query)?;
        self.run("PATCH /users/{user_id}", &Input::path(id));
        self.set_user(id, &value);
        Ok(())
    }

    /// PUT `/users/{user_id}`, whose success invalidates.
    #[must_use]
    pub fn put_user(&self, id: &str, query: Option<&str>) -> Response<Bytes> {
        let new = match required(query) {
            Ok(new) => new,
            Err(refusal) => return refusal.answer(),
        };
        let run = self.run("PUT /users/{user_id}", &Input::path(id));
        let fails = value(query, "fail").as_deref() == Some("1");
        if !fails {
            self.set_user(id, &new);
        }
        let status = if fails { StatusCode::CONFLICT } else { StatusCode::OK };
        Object::of(ROUTE, run).field("value", &self.user(id)).status(status)
    }

    /// GET `/items`, and the tags of its answer.
    #[must_use]
    pub fn items(&self, query: Option<&str>) -> (Vec<String>, Response<Bytes>) {
        let run = self.run("/items", &Input::default().query(query));
        let ids = list(query, "id");
        let tags = ids.iter().map(|id| format!("item:{id}")).collect();
        (tags, Object::of("/items", run).field("ids", &ids).ok())
    }
}

fn required(query: Option<&str>) -> Result<String, Refusal> {
    value(query, "value").ok_or_else(|| Refusal::bad("the query must say `value=…`"))
}
