//! The circuit breaker: after a few failures in a row, calls stop paying for the store. Pure.
//!
//! Closed → open after `threshold` failures in a row. While it is open, calls fail at once, and
//! once per `probe_interval` one of them is told to start a probe beside it. The first success of
//! any kind closes it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    probe_interval: u64,
    failures: AtomicU32,
    /// When the next probe is due, in monotonic milliseconds plus one; 0 while closed.
    probe_at: AtomicU64,
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Go on.
    Closed,
    /// Fail at once.
    Open,
    /// Fail at once, and start a probe.
    Probe,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, probe_interval: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            probe_interval: millis(probe_interval).max(1),
            failures: AtomicU32::new(0),
            probe_at: AtomicU64::new(0),
        }
    }

    pub(crate) fn admit(&self, now: Duration) -> Admission {
        let due = self.probe_at.load(Ordering::Acquire);
        if due == 0 {
            return Admission::Closed;
        }
        if millis(now) + 1 < due {
            return Admission::Open;
        }
        let next = millis(now) + 1 + self.probe_interval;
        match self.probe_at.compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Admission::Probe,
            Err(0) => Admission::Closed,
            Err(_) => Admission::Open,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.probe_at.load(Ordering::Acquire) != 0
    }

    pub(crate) fn succeeded(&self) {
        // Read first: on the hot path both are already zero.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.is_open() {
            self.probe_at.store(0, Ordering::Release);
        }
    }

    /// Notes a failure; `true` if it opened the breaker.
    pub(crate) fn failed(&self, now: Duration) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= self.threshold
            && self
                .probe_at
                .compare_exchange(
                    0,
                    millis(now) + 1 + self.probe_interval,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn opens_after_failures_in_a_row_and_closes_on_success() {
        let breaker = Breaker::new(3, at(100));
        assert!(!breaker.failed(at(0)));
        breaker.succeeded();
        assert!(!breaker.failed(at(0)));
        assert!(!breaker.failed(at(0)));
        assert_eq!(breaker.admit(at(0)), Admission::Closed);
        assert!(breaker.failed(at(0)));
        assert!(!breaker.failed(at(0)), "it opens once");
        assert_eq!(breaker.admit(at(99)), Admission::Open);
        assert_eq!(breaker.admit(at(100)), Admission::Probe);
        assert_eq!(breaker.admit(at(101)), Admission::Open, "one probe per interval");
        assert_eq!(breaker.admit(at(201)), Admission::Probe);
        breaker.succeeded();
        assert_eq!(breaker.admit(at(201)), Admission::Closed);
        assert!(!breaker.failed(at(201)), "counting starts anew");
    }
}
