//! The log. Times are nanoseconds on one monotonic clock that all writers share.

use serde::{Deserialize, Serialize};

use super::body::Computed;

/// Stands for a clear where a tag is expected: every entry has it.
pub const EVERYTHING: u32 = u32::MAX;

/// All that happened in a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct History {
    /// The seed to repeat it with.
    pub seed: u64,
    /// What happened, in no particular order.
    pub events: Vec<Event>,
}

impl History {
    /// A history of events that were recorded elsewhere.
    #[must_use]
    pub const fn new(seed: u64, events: Vec<Event>) -> Self {
        Self { seed, events }
    }

    /// Adds what another process saw in the same run.
    pub fn merge(&mut self, other: Self) {
        self.events.extend(other.events);
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "other generators write it; it is complete")]
pub enum Event {
    /// A lookup was answered with an entry.
    Served(Served),
    /// A lookup was answered with a miss.
    Missed(Missed),
    /// Something was computed and put.
    Filled(Filled),
    /// Something was invalidated.
    Invalidated(Invalidation),
    /// The store could not be asked.
    Failed(Failure),
    /// Something was done to the store or to a process.
    Fault(Fault),
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Actor {
    /// The handle, or process.
    pub handle: u32,
    /// The task in it.
    pub task: u32,
}

/// A lookup that was answered with an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Served {
    /// Who asked.
    pub by: Actor,
    /// Read before the lookup.
    pub start: u64,
    /// Read after it.
    pub end: u64,
    /// What was asked for.
    pub key: u32,
    /// What the body said, or `None` if body, key and tags were not those of one fill.
    pub content: Option<Computed>,
}

/// A lookup that was answered with a miss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Missed {
    /// Who asked.
    pub by: Actor,
    /// Read before the lookup.
    pub start: u64,
    /// Read after it.
    pub end: u64,
    /// What was asked for.
    pub key: u32,
}

/// A lookup, or a ticket asked for, that ended in an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Failure {
    /// Who asked.
    pub by: Actor,
    /// Read before the call.
    pub start: u64,
    /// Read after it.
    pub end: u64,
}

/// Something done to the store or to a process, or found to have happened to it.
///
/// I1 holds through all faults; a fault only says when I2 is not owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Fault {
    /// What it is; faults of one name are counted together.
    pub name: String,
    /// Read before it began.
    pub from: u64,
    /// Read after it was over, all consequences included.
    pub to: u64,
    /// Whether the store may forget or refuse between the two: then I2 is not owed.
    pub forgets: bool,
    /// Whether it was done on purpose, and counts as an injection.
    pub injected: bool,
}

/// A fill from its ticket to the outcome of its put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Filled {
    /// Who filled.
    pub by: Actor,
    /// Read before the call that issued the ticket.
    pub asked: u64,
    /// Read before the put.
    pub put: u64,
    /// Read after it.
    pub end: u64,
    /// The entry is within its life at least until then.
    pub kept_until: u64,
    /// What the store said.
    pub outcome: Outcome,
    /// What was put.
    pub content: Computed,
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "other generators write it; it is complete")]
pub enum Outcome {
    /// `Stored`.
    Stored,
    /// `Superseded`.
    Superseded,
    /// `Refused`.
    Refused,
    /// An error, or the future was dropped: it may or may not have been stored.
    Unknown,
}

/// An invalidation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "other generators build it; it is complete")]
pub struct Invalidation {
    /// Who invalidated.
    pub by: Actor,
    /// Read before the call, after the truth had changed.
    pub call: u64,
    /// Read after its `Ok`; `None` if there was none, so that nothing is promised.
    pub ret: Option<u64>,
    /// The tags, and the version that each one's truth was brought to.
    pub tags: Vec<(u32, u64)>,
}
