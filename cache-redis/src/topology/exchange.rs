//! One try at one node: send, prove, read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::future::join;
use redis::Value;

use super::cluster::at;
use super::{Answer, Call, Commands, Topology};
use crate::connection::{Attempt, Node, now_millis};
use crate::error::Fault;
use crate::url::Address;

#[derive(Debug)]
pub(super) enum Turn {
    Done(Answer),
    Moved(Address),
    Ask(Address),
}

impl Topology {
    pub(super) async fn attempt(
        &self,
        node: &Arc<Node>,
        asking: bool,
        fresh: bool,
        call: &Call<'_>,
    ) -> Result<Turn, Fault> {
        let attempt = node.attempt(now_millis());
        match self.exchange(node, asking, fresh, call).await {
            Ok(turn) => {
                attempt.succeeded();
                Ok(turn)
            }
            Err(fault) => {
                settle(attempt, &fault);
                Err(fault)
            }
        }
    }

    async fn exchange(
        &self,
        node: &Arc<Node>,
        asking: bool,
        fresh: bool,
        call: &Call<'_>,
    ) -> Result<Turn, Fault> {
        let conn = node.conn(fresh).await?;
        if conn.has_replicas() {
            self.replicas_seen.store(true, Ordering::Relaxed);
        }
        let mut commands = Commands::new(asking, conn.incarnation());
        (call.build)(&mut commands);
        let count = commands.count;
        let mut pipe = commands.pipe;
        // After the marks: what is still so now was so when they were read.
        pipe.cmd("WAIT").arg(0).arg(0);
        let proving = conn.owes_proof();
        if proving {
            pipe.cmd("INFO").arg("replication");
        }
        let sent = now_millis();
        let per_command = if asking { 2 } else { 1 };
        let total = count * per_command + 1 + usize::from(proving);
        let mut values = if self.may_fail_over() && node.may_be_replaced(sent) {
            let (values, confirmed) =
                Box::pin(join(conn.send(&pipe, total), self.confirm(call.shard, node))).await;
            confirmed.inspect_err(|_| conn.kill())?;
            node.confirmed();
            values?
        } else {
            conn.send(&pipe, total).await?
        };
        let info = if proving { values.pop() } else { None };
        let waited = values.pop().ok_or(Fault::Protocol("WAIT"))?;
        if asking {
            let mut place = 0;
            values.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        if let Some(turn) = redirection(&values, call.meta, node) {
            return Ok(turn);
        }
        if !is_primary(&waited)? {
            conn.kill();
            return Err(Fault::NotPrimary(node.address().to_string()));
        }
        if let Some(info) = info {
            conn.prove(&info, sent)?;
        }
        node.heard(sent);
        match values.get(call.meta) {
            Some(Value::ServerError(error)) if is_whole_server(error.code()) => {
                Err(Fault::server(error))
            }
            Some(_) => Ok(Turn::Done(Answer { values, conn })),
            None => Err(Fault::Protocol("number of replies")),
        }
    }
}

pub(super) fn settle(attempt: Attempt, fault: &Fault) {
    let counts = match fault {
        Fault::TimedOut(_)
        | Fault::Transport(_)
        | Fault::NotPrimary(_)
        | Fault::Protocol(_)
        | Fault::Stopped
        | Fault::Unsupported(_) => true,
        // The server answers, but cannot serve.
        Fault::Server { code, .. } => is_whole_server(code),
        _ => false,
    };
    if counts {
        attempt.failed();
    } else {
        attempt.succeeded();
    }
}

/// Codes that speak of the server as a whole, not of one key.
fn is_whole_server(code: &str) -> bool {
    matches!(
        code,
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "READONLY" | "BUSY" | "NOAUTH" | "NOREPLICAS"
    )
}

/// Reads the reply to `WAIT 0 0`: it waits for nothing, and is refused by what has a primary
/// (`waitCommand` in `replication.c` asks for `masterhost`, as `ROLE` does). One number, where
/// `ROLE` says five values or more.
fn is_primary(waited: &Value) -> Result<bool, Fault> {
    match waited {
        Value::Int(_) => Ok(true),
        Value::ServerError(error) => match (error.code(), error.details()) {
            ("ERR", Some(why)) if why.starts_with("WAIT cannot be used with replica") => Ok(false),
            ("READONLY" | "MASTERDOWN", _) => Ok(false),
            _ => Err(Fault::server(error)),
        },
        _ => Err(Fault::Protocol("WAIT")),
    }
}

/// A redirection among the replies. `MOVED` holds for the whole slot; `ASK` only counts where it
/// is about the metadata.
fn redirection(values: &[Value], meta: usize, asked: &Node) -> Option<Turn> {
    values.iter().enumerate().find_map(|(place, value)| {
        let Value::ServerError(error) = value else { return None };
        let target = || redirect_target(error.details()?, asked.address());
        match error.code() {
            "MOVED" => target().map(Turn::Moved),
            "ASK" if place == meta => target().map(Turn::Ask),
            _ => None,
        }
    })
}

/// Reads `3999 127.0.0.1:6381`; an empty host is the one that was asked.
fn redirect_target(detail: &str, asked: &Address) -> Option<Address> {
    let (_slot, target) = detail.split_once(' ')?;
    let (host, port) = target.trim().rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    at(host.trim_start_matches('[').trim_end_matches(']'), port, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.to_owned(), port }
    }

    #[test]
    fn redirections_are_read() {
        let asked = tcp("asked", 1);
        assert_eq!(redirect_target("3999 h:6381", &asked), Some(tcp("h", 6381)));
        assert_eq!(redirect_target("3999 :6381", &asked), Some(tcp("asked", 6381)));
        assert_eq!(redirect_target("3999 ::1:6381", &asked), Some(tcp("::1", 6381)));
        for garbage in ["", "3999", "3999 h", "3999 h:0", "3999 h:x"] {
            assert_eq!(redirect_target(garbage, &asked), None, "{garbage}");
        }
    }

    #[test]
    fn only_a_count_proves_a_primary() {
        let error = |line: &str| {
            let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes());
            is_primary(&reply.unwrap())
        };
        assert!(is_primary(&Value::Int(0)).unwrap() && is_primary(&Value::Int(2)).unwrap());
        let refused = "ERR WAIT cannot be used with replica instances. Please also note that";
        assert!(!error(refused).unwrap());
        assert!(!error("MASTERDOWN Link with MASTER is down").unwrap());
        for doubt in ["ERR unknown command 'WAIT'", "NOPERM no", "LOADING data"] {
            assert!(error(doubt).is_err(), "{doubt}");
        }
        for garbage in [Value::Nil, Value::Okay, Value::BulkString(b"0".to_vec())] {
            assert!(is_primary(&garbage).is_err(), "{garbage:?}");
        }
    }
}
