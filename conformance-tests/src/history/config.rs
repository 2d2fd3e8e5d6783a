//! How much of what.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of a run. The seed decides what each task does; which task gets ahead is up to the
/// machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Config {
    /// Decides every random choice.
    pub seed: u64,
    /// How long the tasks work.
    pub duration: Duration,
    /// Tasks that look up and fill, per handle. Each handle has one that invalidates besides.
    pub tasks: usize,
    /// The size of the hot set.
    pub keys: u32,
    /// Tags; the first half is known from requests, the rest only from responses.
    pub tags: u32,
    /// How often a task rests 1–3 ms after a hit, in percent.
    pub rest: u32,
    /// The longest pause between two invalidations of a handle, in milliseconds.
    pub lull: u32,
}

impl Config {
    /// 3 s; 4 tasks per handle; 48 keys; 16 tags; a rest after one hit in ten;
    /// at most 8 ms between two invalidations of a handle.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            duration: Duration::from_secs(3),
            tasks: 4,
            keys: 48,
            tags: 16,
            rest: 10,
            lull: 8,
        }
    }

    /// Lets the tasks work this long.
    #[must_use]
    pub const fn with_duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Sets the number of tasks per handle.
    #[must_use]
    pub const fn with_tasks(mut self, tasks: usize) -> Self {
        self.tasks = tasks;
        self
    }

    /// Sets the size of the hot set; at least 1 is taken.
    #[must_use]
    pub const fn with_keys(mut self, keys: u32) -> Self {
        self.keys = keys;
        self
    }

    /// Sets the number of tags; at least 2 are taken.
    #[must_use]
    pub const fn with_tags(mut self, tags: u32) -> Self {
        self.tags = tags;
        self
    }

    /// Sets how often a task rests after a hit, in percent.
    #[must_use]
    pub const fn with_rest(mut self, percent: u32) -> Self {
        self.rest = percent;
        self
    }

    /// Sets the longest pause between two invalidations of a handle, in milliseconds; at least 1 is
    /// taken.
    #[must_use]
    pub const fn with_lull(mut self, millis: u32) -> Self {
        self.lull = millis;
        self
    }
}
