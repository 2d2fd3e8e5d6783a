//! The times of a stored response as they are kept: in whole milliseconds, in a third of the room.

use std::time::Duration;

use super::Life;
use crate::clock::{from_unix_millis, unix_millis};

/// The times of a [`Life`] in milliseconds, rounded down; `stored_at` since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) stored_at: u64,
    pub(crate) fresh_for: u64,
    pub(crate) initial_age: u64,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: u64,
}

/// What most do not have, and do not pay for: stale windows, an initial age, 49 days of freshness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rare(Box<Times>);

impl Times {
    /// Those that are kept beside other small things of a head, as [`take`](Self::take) reads them.
    pub(super) fn keep(&self) -> (u64, u32, Option<Rare>) {
        let Self { stored_at, fresh_for, .. } = *self;
        let short = u32::try_from(fresh_for).unwrap_or_default();
        let rare = *self != Self::plain(stored_at, short);
        (stored_at, short, rare.then(|| Rare(Box::new(*self))))
    }

    #[inline]
    pub(super) fn take(stored_at: u64, fresh_for: u32, rare: Option<&Rare>) -> Self {
        rare.map_or_else(|| Self::plain(stored_at, fresh_for), |rare| *rare.0)
    }

    /// Whether the response was stale as it was received.
    pub(crate) const fn are_over_at_once(&self) -> bool {
        self.fresh_for <= self.initial_age
    }

    const fn plain(stored_at: u64, fresh_for: u32) -> Self {
        Self {
            stored_at,
            fresh_for: fresh_for as u64,
            initial_age: 0,
            stale_while_revalidate: 0,
            stale_if_error: 0,
        }
    }
}

impl From<Life> for Times {
    fn from(life: Life) -> Self {
        Self {
            stored_at: unix_millis(life.stored_at),
            fresh_for: millis(life.fresh_for),
            initial_age: millis(life.initial_age),
            stale_while_revalidate: millis(life.stale_while_revalidate),
            stale_if_error: millis(life.stale_if_error),
        }
    }
}

impl From<Times> for Life {
    fn from(times: Times) -> Self {
        Self {
            stored_at: from_unix_millis(times.stored_at),
            initial_age: Duration::from_millis(times.initial_age),
            fresh_for: Duration::from_millis(times.fresh_for),
            stale_while_revalidate: Duration::from_millis(times.stale_while_revalidate),
            stale_if_error: Duration::from_millis(times.stale_if_error),
            must_validate: false,
        }
    }
}

/// An endless one is as long as can be said.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_only_what_is_rare_takes_more_room() {
        let plain = Times::plain(1_000_000_000_000, 60_000);
        let most = u64::from(u32::MAX);
        for (times, rare) in [
            (plain, false),
            (Times { fresh_for: 0, ..plain }, false),
            (Times { fresh_for: most, ..plain }, false),
            (Times { fresh_for: most + 1, ..plain }, true),
            (Times { fresh_for: u64::MAX, ..plain }, true),
            (Times { initial_age: 1, ..plain }, true),
            (Times { stale_while_revalidate: 1, ..plain }, true),
            (Times { stale_if_error: 1, ..plain }, true),
        ] {
            let (stored_at, fresh_for, others) = times.keep();
            assert_eq!(others.is_some(), rare, "{times:?}");
            assert_eq!(Times::take(stored_at, fresh_for, others.as_ref()), times);
        }
    }
}
