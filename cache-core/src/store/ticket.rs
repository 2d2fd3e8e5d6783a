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
// In a box: each lookup has room for one, and a hit would pay for the size of it.
pub struct Ticket(Box<Inner<dyn Any + Send + Sync>>);

struct Inner<G: ?Sized> {
    key: Key,
    stamp: Stamp,
    issued: Duration,
    max_age: Option<Duration>,
    guard: G,
}

impl Ticket {
    /// Issues a ticket; for implementors of [`Store`](super::Store).
    ///
    /// `issued` is the [monotonic](crate::clock::Clock::monotonic) time.
    #[must_use]
    pub fn new(key: Key, stamp: Stamp, issued: Duration) -> Self {
        Self::guarded(key, stamp, issued, ())
    }

    /// Issues a ticket with something that is dropped with it: a store uses that to know which stamps
    /// are still out.
    #[must_use]
    pub fn guarded<G: Any + Send + Sync>(
        key: Key,
        stamp: Stamp,
        issued: Duration,
        guard: G,
    ) -> Self {
        Self(Box::new(Inner { key, stamp, issued, max_age: None, guard }))
    }

    /// Limits how long after its issue the ticket may be used (`max_fill`).
    #[must_use]
    pub fn valid_for(mut self, max_age: Duration) -> Self {
        self.0.max_age = Some(max_age);
        self
    }

    /// Whether the ticket is past its limit at `now`, a monotonic time.
    #[must_use]
    pub fn is_overdue(&self, now: Duration) -> bool {
        self.0.max_age.is_some_and(|max_age| now.saturating_sub(self.0.issued) > max_age)
    }

    /// What it may fill.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.0.key
    }

    /// The reading of the clock.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        self.0.stamp
    }

    /// When it was issued, in monotonic time.
    #[must_use]
    pub const fn issued(&self) -> Duration {
        self.0.issued
    }

    /// The same reading of the clock, for another variant of the same primary key.
    ///
    /// The primary key decides the shard, so the stamp is good for every variant.
    #[must_use]
    pub fn for_variant(mut self, key: Key) -> Self {
        if key.primary() == self.0.key.primary() {
            self.0.key = key;
        }
        self
    }

    /// The store's own guard; `()` if it was issued without one.
    #[must_use]
    pub fn guard(&self) -> &(dyn Any + Send + Sync) {
        &self.0.guard
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("key", &self.0.key)
            .field("stamp", &self.0.stamp)
            .field("issued", &self.0.issued)
            .field("max_age", &self.0.max_age)
            .finish_non_exhaustive()
    }
}
