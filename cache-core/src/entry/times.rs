//! The times of a stored response as they are kept: in whole milliseconds, in half the room.

use std::time::Duration;

use super::Life;
use crate::clock::{from_unix_millis, unix_millis};

/// The times of a [`Life`] in milliseconds, rounded down; `stored_at` since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    stored_at: u64,
    initial_age: u64,
    fresh_for: u64,
    stale_while_revalidate: u64,
    stale_if_error: u64,
}

impl From<Life> for Times {
    fn from(life: Life) -> Self {
        Self {
            stored_at: unix_millis(life.stored_at),
            initial_age: millis(life.initial_age),
            fresh_for: millis(life.fresh_for),
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
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
