//! For people and probes: readiness, and a list of keys. No part of a request's path.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use redis::Value;

use super::Inner;
use super::calls::two;
use crate::connection::{Gate, text};
use crate::error::Fault;
use crate::meta::{SHARDS, negative};
use crate::topology::{Call, Commands};

impl Inner {
    pub(super) async fn ready(&self, limit: Duration) -> Result<(), Fault> {
        let checks = (0..self.layout.shards()).map(|shard| async move {
            let meta = self.layout.meta(shard);
            // What every lookup asks, so that a right which is missing is told here.
            let build = |commands: &mut Commands| {
                commands.command("MGET").arg(self.layout.entry(shard, ""));
                commands.command("ZMSCORE").arg(meta).arg(SHARDS);
            };
            let call = Call { shard, gate: Gate::Insist, meta: 1, repeatable: true, build: &build };
            let answer = tokio::time::timeout(limit, self.topology.call(&call)).await;
            let mut answer = answer.unwrap_or(Err(Fault::TimedOut(limit)))?;
            let (entry, recorded) = two(&mut answer)?;
            match entry {
                // During a slot's migration.
                Value::ServerError(error) if !matches!(error.code(), "ASK" | "TRYAGAIN") => {
                    return Err(Fault::server(&error));
                }
                _ => {}
            }
            match recorded {
                Value::Array(scores) => match scores.first().and_then(negative) {
                    Some(recorded) if recorded != u64::from(self.layout.shards()) => {
                        Err(Fault::Unsupported(format!(
                            "prefix {:?} is used with {recorded} shards elsewhere, with {} here",
                            self.layout.prefix(),
                            self.layout.shards()
                        )))
                    }
                    _ => Ok(()),
                },
                Value::ServerError(error) if error.code() != "WRONGTYPE" => {
                    Err(Fault::server(&error))
                }
                _ => Ok(()),
            }
        });
        join_all(checks).await.into_iter().collect()
    }

    pub(super) async fn keys(&self, limit: usize) -> Result<Vec<String>, Fault> {
        let mut names = HashSet::new();
        let pattern = self.layout.pattern();
        for node in self.within(self.topology.nodes()).await? {
            let mut cursor = "0".to_owned();
            loop {
                let mut pipe = redis::Pipeline::with_capacity(1);
                pipe.cmd("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(512);
                let conn = self.within(node.conn(false)).await?;
                let mut values = self.within(conn.send(&pipe, 1)).await?;
                let Some(Value::Array(page)) = values.pop() else {
                    return Err(Fault::Protocol("SCAN"));
                };
                let [next, Value::Array(found)] = page.as_slice() else {
                    return Err(Fault::Protocol("SCAN"));
                };
                for name in found {
                    let name = text(name)?;
                    if names.len() < limit && self.layout.owns(name.as_bytes()) {
                        names.insert(name.to_owned());
                    }
                }
                text(next)?.clone_into(&mut cursor);
                if cursor == "0" || names.len() >= limit {
                    break;
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}
