//! One clock for all processes of a machine.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on the machine's monotonic clock (`CLOCK_MONOTONIC`).
///
/// It has one value for the whole machine, so that readings of different processes are ordered as
/// they were made: if one reading was over before another began, in whatever process, the first
/// value is not the larger one. The kernel promises that across processors, and gives up on a time
/// source that fails it; adjustments of the wall clock do not move it back. (Processes in
/// different time namespaces are the exception; a process and its children share theirs.)
/// `std::time::Instant` reads the same clock, but hides the number.
///
/// That order is all that the checks use: an interval from a reading before a call to a reading
/// after it contains the call, so what is ordered by the log was ordered in reality. Equal values
/// count as unordered. A process that is paused or slow only widens its intervals.
#[must_use]
pub fn machine_time() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    seconds.unwrap_or(0) * 1_000_000_000 + nanos.unwrap_or(0)
}
