//! The times of a stored response as they are kept: in whole milliseconds, in a third of the room.

use std::time::Duration;

use super::Life;
use crate::clock::{from_unix_millis, unix_millis};

/// The times of a [`Life`] in milliseconds, rounded down; `stored_at` since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    stored_at: u64,
    fresh_for: u64,
    /// Most have none of these, and do not pay for them.
    others: Option<Box<Others>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Others {
    initial_age: u64,
    stale_while_revalidate: u64,
    stale_if_error: u64,
}

/// In milliseconds.
impl Times {
    pub(crate) const fn stored_at(&self) -> u64 {
        self.stored_at
    }

    pub(crate) const fn fresh_for(&self) -> u64 {
        self.fresh_for
    }

    pub(crate) fn initial_age(&self) -> u64 {
        self.others().initial_age
    }

    pub(crate) fn stale_while_revalidate(&self) -> u64 {
        self.others().stale_while_revalidate
    }

    pub(crate) fn stale_if_error(&self) -> u64 {
        self.others().stale_if_error
    }

    #[inline]
    fn others(&self) -> Others {
        self.others.as_deref().copied().unwrap_or_default()
    }
}

impl From<Life> for Times {
    fn from(life: Life) -> Self {
        let others = Others {
            initial_age: millis(life.initial_age),
            stale_while_revalidate: millis(life.stale_while_revalidate),
            stale_if_error: millis(life.stale_if_error),
        };
        Self {
            stored_at: unix_millis(life.stored_at),
            fresh_for: millis(life.fresh_for),
            others: (others != Others::default()).then(|| Box::new(others)),
        }
    }
}

impl From<&Times> for Life {
    fn from(times: &Times) -> Self {
        let others = times.others();
        Self {
            stored_at: from_unix_millis(times.stored_at),
            initial_age: Duration::from_millis(others.initial_age),
            fresh_for: Duration::from_millis(times.fresh_for),
            stale_while_revalidate: Duration::from_millis(others.stale_while_revalidate),
            stale_if_error: Duration::from_millis(others.stale_if_error),
            must_validate: false,
        }
    }
}

/// An endless one is as long as can be said.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
