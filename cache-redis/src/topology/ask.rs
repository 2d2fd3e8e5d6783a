//! Questions about the topology, each on a connection of its own.

use std::time::Duration;

use redis::{Pipeline, ProtocolVersion, Value};

use crate::connection::{Dial, exchange};
use crate::error::Fault;
use crate::url::Address;

/// One question on a connection of its own.
pub(super) async fn ask(dial: &Dial, address: &Address, pipe: &Pipeline) -> Result<Value, Fault> {
    match ask_all(dial, address, pipe, 1).await?.pop() {
        Some(Value::ServerError(error)) => Err(Fault::server(&error)),
        Some(value) => Ok(value),
        None => Err(Fault::Protocol("number of replies")),
    }
}

pub(super) async fn ask_all(
    dial: &Dial,
    address: &Address,
    pipe: &Pipeline,
    replies: usize,
) -> Result<Vec<Value>, Fault> {
    let asking = async {
        // Sentinel answers with maps in RESP3.
        let socket = dial.open(address, ProtocolVersion::RESP2).await?;
        exchange(socket, pipe, replies).await
    };
    let limit = dial.connect_limit.max(Duration::from_millis(1));
    tokio::time::timeout(limit, asking).await.map_err(|_| Fault::TimedOut(limit))?
}
