//! What parent and workers say to each other: lines of JSON over the worker's standard streams.

use std::time::Duration;

use conformance_tests::history::{Config, Event};
use serde::{Deserialize, Serialize};

use crate::mutant::Mutant;

/// The first line to a worker.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Its number, unique in the run: a worker's successor has another one.
    pub(crate) handle: u32,
    pub(crate) config: Config,
    /// Names the run; also the prefix of the store.
    pub(crate) run: String,
    /// When to stop, in machine time.
    pub(crate) until: u64,
    pub(crate) url: String,
    pub(crate) mutant: Option<Mutant>,
    /// How long a primary may be silent before it is replaced, which the store's settings must fit.
    pub(crate) failover_after: Duration,
}

/// From a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Its store is open.
    Ready,
    /// It wants the truth of a key.
    Read { id: u64, key: u32 },
    /// It changes the truth of tags.
    Change { id: u64, tags: Vec<u32> },
    /// What it has seen; all that was over at `as_of`, but for what it was about to write down.
    Events { as_of: u64, events: Vec<Event> },
}

/// The answer to `Read` and `Change`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) id: u64,
    pub(crate) versions: Vec<(u32, u64)>,
}
