//! What was measured while one thing went on.

use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};

use crate::error::Error;
use crate::figures::percentile;
use crate::servers::{Redis, cpu_of_this};

/// Latencies of one phase.
#[derive(Debug, Default)]
pub(super) struct Phase {
    pub(super) nanos: Vec<u32>,
    pub(super) took: Duration,
    /// Invalidations that gave an error: nothing is promised, and the caller would try again.
    pub(super) failed: usize,
}

impl Phase {
    pub(super) fn per_second(&self) -> u64 {
        (self.nanos.len() as f64 / self.took.as_secs_f64().max(1e-9)) as u64
    }

    pub(super) fn percentile(&mut self, percent: f64) -> u32 {
        percentile(&mut self.nanos, percent)
    }

    pub(super) fn micros(&mut self, percent: f64) -> String {
        format!("{:.1}", f64::from(self.percentile(percent)) / 1e3)
    }
}

/// Processor time used up to some moment, by this process and by Redis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Busy {
    at: Duration,
    own: Duration,
    redis: Option<Duration>,
}

impl Busy {
    pub(super) fn now(redis: Option<&Redis>) -> Result<Self, Error> {
        let redis = redis.map(Redis::cpu).transpose()?;
        Ok(Self { at: SystemClock.monotonic(), own: cpu_of_this()?, redis })
    }

    /// Percents of one core since then: this process, Redis.
    pub(super) fn since(self, then: Self) -> [String; 2] {
        let took = self.at.saturating_sub(then.at).as_secs_f64().max(1e-9);
        let share = |used: Duration| format!("{:.0}", 100.0 * used.as_secs_f64() / took);
        let redis = self.redis.zip(then.redis).map(|(now, then)| share(now.saturating_sub(then)));
        [share(self.own.saturating_sub(then.own)), redis.unwrap_or_else(|| "–".to_owned())]
    }
}

pub(super) fn since(start: Duration) -> u32 {
    u32::try_from(SystemClock.monotonic().saturating_sub(start).as_nanos()).unwrap_or(u32::MAX)
}
