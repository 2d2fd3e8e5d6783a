//! Permission to fill a key, taken before the handler runs.

use std::any::Any;
use std::fmt;
use std::time::Duration;

use crate::key::Key;

/// A reading of a shard's logical clock.
///
/// `clock` is compared with marks; `epoch` tells apart lives of the clock (a store whose clock
/// cannot be lost leaves it 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "implementors of `Store` build it; it is complete")]
pub struct Stamp {
    /// Which life of the clock.
    pub epoch: u64,
    /// Its value.
    pub clock: u64,
}

/// Permission to fill one key once. Holding it promises nothing; an old one is always safe.
///
/// It is consumed by [`Store::put`](super::Store::put) and cannot be cloned, so one reading of
/// the clock justifies one fill.
pub struct Ticket {
    key: Key,
    stamp: Stamp,
    issued: Duration,
    max_age: Option<Duration>,
    guard: Option<Box<dyn Any + Send + Sync>>,
}

impl Ticket {
    /// Issues a ticket; for implementors of [`Store`](super::Store).
    ///
    /// `issued` is the [monotonic](crate::clock::Clock::monotonic) time. `guard` is dropped with
    /// the ticket: a store uses it to know which stamps are still out.
    #[must_use]
    pub fn new(
        key: Key,
        stamp: Stamp,
        issued: Duration,
        guard: Option<Box<dyn Any + Send + Sync>>,
    ) -> Self {
        Self { key, stamp, issued, max_age: None, guard }
    }

    /// Limits how long after its issue the ticket may be used (`max_fill`).
    #[must_use]
    pub const fn valid_for(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Whether the ticket is past its limit at `now`, a monotonic time.
    #[must_use]
    pub fn is_overdue(&self, now: Duration) -> bool {
        self.max_age.is_some_and(|max_age| now.saturating_sub(self.issued) > max_age)
    }

    /// What it may fill.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The reading of the clock.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// When it was issued, in monotonic time.
    #[must_use]
    pub const fn issued(&self) -> Duration {
        self.issued
    }

    /// The same reading of the clock, for another variant of the same primary key.
    ///
    /// The primary key decides the shard, so the stamp is good for every variant.
    #[must_use]
    pub fn for_variant(mut self, key: Key) -> Self {
        if key.primary() == self.key.primary() {
            self.key = key;
        }
        self
    }

    /// The store's own guard.
    #[must_use]
    pub fn guard(&self) -> Option<&(dyn Any + Send + Sync)> {
        self.guard.as_deref()
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("key", &self.key)
            .field("stamp", &self.stamp)
            .field("issued", &self.issued)
            .field("max_age", &self.max_age)
            .finish_non_exhaustive()
    }
}
