//! What is sent for one shard, and what comes back.

use std::sync::Arc;

use redis::{Cmd, Pipeline, ToRedisArgs, Value};

use crate::connection::{Conn, Gate};
use crate::incarnation::Incarnation;

/// One pipeline for one shard.
pub(crate) struct Call<'c> {
    pub(crate) shard: u16,
    pub(crate) gate: Gate,
    /// Which command touches the metadata: its `ASK` is followed.
    pub(crate) meta: usize,
    /// Whether it may be sent again after its reply was lost with the connection. Not if the reply
    /// says what it has moved or counted.
    pub(crate) repeatable: bool,
    pub(crate) build: &'c (dyn Fn(&mut Commands) + Send + Sync),
}

/// The answer of a proven primary.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) values: Vec<Value>,
    pub(crate) conn: Arc<Conn>,
}

/// A pipeline under construction. During a slot's migration each command needs `ASKING`.
pub(crate) struct Commands {
    pub(super) pipe: Pipeline,
    asking: bool,
    pub(super) count: usize,
    incarnation: Incarnation,
}

impl Commands {
    pub(super) fn new(asking: bool, incarnation: Incarnation) -> Self {
        Self { pipe: Pipeline::with_capacity(4), asking, count: 0, incarnation }
    }

    /// What the connection that this goes to has proved.
    pub(crate) const fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    pub(crate) fn command(&mut self, name: &str) -> &mut Self {
        if self.asking {
            self.pipe.cmd("ASKING");
        }
        // Room for a lookup with a few tags, so that it does not grow word by word.
        let mut command = Cmd::with_capacity(16, 256);
        command.arg(name);
        self.pipe.add_command(command);
        self.count += 1;
        self
    }

    pub(crate) fn arg(&mut self, arg: impl ToRedisArgs) -> &mut Self {
        self.pipe.arg(arg);
        self
    }
}
