//! The registers of the consistency check.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::query::value;
use crate::answer::{Object, Refusal};
use crate::bed::{Bed, Input};

impl Bed {
    /// PUT `/cas/{reg}`, before its invalidation: writes, and gives the tag to invalidate.
    ///
    /// # Errors
    ///
    /// A query without `value` or `tag`, or a register that cannot be written.
    pub fn put_register(&self, reg: &str, query: Option<&str>) -> Result<String, Refusal> {
        let (Some(new), Some(tag)) = (value(query, "value"), value(query, "tag")) else {
            return Err(Refusal::bad("the query must say `value=…&tag=…`"));
        };
        self.registers.write(reg, &new).map_err(|error| broken(&error))?;
        Ok(tag)
    }

    /// GET `/cas/{reg}`.
    pub async fn get_register(&self, reg: &str, query: Option<&str>) -> Response<Bytes> {
        // Before anything else: what is answered is at least as old as the start of this run.
        let read = self.registers.read(reg);
        let run = self.run("/cas/{reg}", &Input::path(reg).query(query));
        let current = match read {
            Ok(current) => current,
            Err(error) => return broken(&error).answer(),
        };
        let delay = value(query, "delay_ms").unwrap_or_default().parse().unwrap_or(0);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        Object::of("/cas/{reg}", run).field("value", &current).ok()
    }
}

fn broken(error: &io::Error) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the register: {error}"))
}
