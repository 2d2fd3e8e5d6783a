//! One call, plain or of a script, and how its replies are read.

use redis::Value;

use super::Inner;
use crate::connection::Gate;
use crate::error::Fault;
use crate::script::Script;
use crate::topology::{Answer, Call, Commands};

impl Inner {
    pub(super) async fn call(
        &self,
        shard: u16,
        meta: usize,
        build: &(dyn Fn(&mut Commands) + Send + Sync),
    ) -> Result<Answer, Fault> {
        self.topology.call(&Call { shard, gate: Gate::Heed, meta, repeatable: true, build }).await
    }

    /// Runs a script by its digest, or by its text where the server does not know it yet.
    pub(super) async fn eval(
        &self,
        script: &Script,
        shard: u16,
        (gate, repeatable): (Gate, bool),
        keys: &[String],
        args: &[String],
    ) -> Result<Value, Fault> {
        for (command, code) in [("EVALSHA", script.sha.as_str()), ("EVAL", script.text)] {
            let mut answer = self
                .topology
                .call(&Call {
                    shard,
                    gate,
                    meta: 0,
                    repeatable,
                    build: &|commands| {
                        commands.command(command).arg(code).arg(keys.len()).arg(keys).arg(args);
                    },
                })
                .await?;
            match one(&mut answer)? {
                Value::ServerError(error) if error.code() == "NOSCRIPT" => {}
                Value::ServerError(error) => return Err(Fault::server(&error)),
                value => return Ok(value),
            }
        }
        Err(Fault::Protocol("EVAL"))
    }
}

pub(super) fn one(answer: &mut Answer) -> Result<Value, Fault> {
    answer.values.pop().ok_or(Fault::Protocol("number of replies"))
}

pub(super) fn two(answer: &mut Answer) -> Result<(Value, Value), Fault> {
    let second = one(answer)?;
    Ok((one(answer)?, second))
}

pub(super) fn integer(value: &Value) -> Result<u64, Fault> {
    match value {
        Value::Int(number) => u64::try_from(*number).map_err(|_| Fault::Protocol("a number")),
        _ => Err(Fault::Protocol("a number")),
    }
}

pub(super) fn integers<const N: usize>(value: &Value) -> Result<[u64; N], Fault> {
    let Value::Array(parts) = value else { return Err(Fault::Protocol("a script's reply")) };
    let numbers: Vec<u64> = parts.iter().map(integer).collect::<Result<_, _>>()?;
    numbers.try_into().map_err(|_| Fault::Protocol("a script's reply"))
}
