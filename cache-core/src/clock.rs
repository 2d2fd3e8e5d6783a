//! Time, read in one place.
//!
//! Every decision takes time as an argument. The drivers and the stores ask a [`Clock`], and
//! [`SystemClock`] is the only code in the workspace that asks the operating system.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Where the engine and the stores get the time.
///
/// Both readings must come from the same source, so that a test which moves one moves the other.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall clock. Freshness and expiry use it (RFC 9111 §4.2); the validity of an entry
    /// against an invalidation never does.
    fn now(&self) -> SystemTime;

    /// The same in whole milliseconds since 1970, as [`unix_millis`] has it. Asked for by every hit: it
    /// may be some milliseconds behind, which makes no difference to lives of seconds.
    fn now_in_millis(&self) -> u64 {
        unix_millis(self.now())
    }

    /// Time since an arbitrary fixed instant; never goes backwards. Ages of tickets and of
    /// flights use it.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a unit, complete")]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// As of the kernel's last tick, 1 to 10 milliseconds ago: to read what the kernel has noted costs a
    /// tenth of asking the processor.
    #[cfg(target_os = "linux")]
    fn now_in_millis(&self) -> u64 {
        use rustix::time::{ClockId, DynamicClockId, clock_gettime_dynamic};
        // Some that stand in for the kernel do not have this clock; asked otherwise, rustix panics there.
        let Ok(now) = clock_gettime_dynamic(DynamicClockId::Known(ClockId::RealtimeCoarse)) else {
            return unix_millis(self.now());
        };
        let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
        let nanos = u64::try_from(now.tv_nsec).unwrap_or(0);
        seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the steady clock")]
    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

/// A clock that stands still until it is told to move; for tests.
#[derive(Debug)]
pub struct ManualClock {
    start: SystemTime,
    elapsed_millis: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub const fn new(start: SystemTime) -> Self {
        Self { start, elapsed_millis: AtomicU64::new(0) }
    }

    /// Moves both readings forward by `by`, to the millisecond.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.elapsed_millis.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Starts at 2001-09-09T01:46:40Z (10⁹ seconds after the epoch).
    fn default() -> Self {
        Self::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.start + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.elapsed_millis.load(Ordering::SeqCst))
    }
}

/// Milliseconds since the Unix epoch; 0 for a time before it.
#[must_use]
pub fn unix_millis(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| {
        since.as_secs().saturating_mul(1000).saturating_add(u64::from(since.subsec_millis()))
    })
}

/// The inverse of [`unix_millis`]; a time that the platform cannot express is cut to the year
/// 9999, which is also where HTTP dates end.
#[must_use]
pub fn from_unix_millis(millis: u64) -> SystemTime {
    const END_OF_9999: u64 = 253_402_300_799_000;
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis.min(END_OF_9999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_milliseconds_are_those_of_the_wall_clock_or_of_shortly_before() {
        let before = unix_millis(SystemClock.now());
        let millis = SystemClock.now_in_millis();
        let after = unix_millis(SystemClock.now());
        assert!((before.saturating_sub(1_000)..=after).contains(&millis), "{before} {millis}");
    }
}
