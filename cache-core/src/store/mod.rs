//! The contract between the engine and whatever keeps the entries.
//!
//! Each clause below is checked by a case of the conformance suite (`conformance-tests`), which
//! any implementation can run. Sorted by the harm of getting one wrong:
//!
//! **A wrong answer here serves stale or foreign data.**
//! * *Own key only.* A lookup never returns an entry of another [`Key`], nor half of one.
//! * *Validity.* An entry is returned only if, at an instant after the call began, no invalidation
//!   of any of its tags, and no clear, had taken effect since its ticket was issued. The rule that
//!   guarantees it: a logical clock per shard; a ticket is its value before the handler ran; the
//!   entry carries that value as its stamp, together with all its tags; an invalidation advances
//!   the clock and records it as the mark of each tag in one atomic step; an entry is valid iff
//!   the mark of each of its tags is at most its stamp and its stamp is at least the shard's floor.
//!   No wall clock takes part.
//! * *Verdict.* `put` says [`PutOutcome::Stored`] only if the entry was valid at an instant inside
//!   the call. After [`PutOutcome::Superseded`] no lookup ever returns that entry.
//! * *Acknowledgement.* `invalidate` returns `Ok` only when the marks are in force for every
//!   handle in every process. It never acknowledges what is only queued. Every shard is tried
//!   even when one fails; any failure is an `Err`, and retrying is always right.
//! * *Expiry.* An entry is not returned after its `keep_until`.
//! * *Doubt.* What cannot be proved valid is a miss: missing metadata, unreadable, foreign,
//!   damaged or wrongly typed data.
//!
//! **A wrong answer here only costs time or memory.**
//! * A store may forget any entry at any time; yet without eviction, failure and further
//!   invalidation a lookup after `Stored` finds the entry (never caching is not a way to be safe).
//! * Overwriting replaces body, life and tags together. After `Stored` a lookup gives that entry, a
//!   newer one or nothing, never an older one.
//! * `hints` only save trips: any hints, right, wrong or none, give the same answers.
//! * `removed` counts live entries of the selection, exactly if `complete`.
//!
//! **Cancellation.** Dropping a `lookup` or `begin` does nothing. A dropped `put` leaves at worst
//! an entry that obeys the rule. `invalidate` counts as called once it is polled; from then on it
//! runs on, detached, when its caller is dropped.
//!
//! **Handles.** Cloning an `Arc` of a store gives the same store. Several stores made over the
//! same outside system (a Redis prefix) are handles of one store. A wrapper must forward every
//! method, the provided ones too.

mod error;
mod ticket;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

pub use self::error::{StoreError, StoreErrorKind};
pub use self::ticket::{Stamp, Ticket};
use crate::entry::Entry;
use crate::key::Key;
use crate::tag::{Tag, Tags};

/// Keeps entries and enforces invalidations. See the [module](self) for the contract.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What this instance really provides, given its configuration and topology.
    fn guarantee(&self) -> Guarantee;

    /// Answers like [`lookup`](Self::lookup) if that needs no waiting; a store that always waits
    /// returns `None`.
    fn try_lookup(&self, key: &Key, hints: &[Tag]) -> Option<Lookup> {
        let _ = (key, hints);
        None
    }

    /// Answers like [`try_lookup`](Self::try_lookup) for a caller that has read the clock: `now` is
    /// what the store's own clock would have shown just before the call, in whole
    /// [milliseconds](crate::clock::Clock::now_in_millis) since 1970.
    ///
    /// Only expiry may be decided by it. A store that answers without a look at a clock need not
    /// implement it.
    fn try_lookup_at(&self, key: &Key, hints: &[Tag], now: u64) -> Option<Lookup> {
        let _ = now;
        self.try_lookup(key, hints)
    }

    /// Finds the valid entry under `key`, or issues a ticket to fill it.
    ///
    /// `hints` are tags that the entry probably has.
    ///
    /// # Errors
    ///
    /// The store could not be asked. Unreadable data is no error but a miss.
    async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, StoreError>;

    /// Issues a ticket without a lookup, for a refresh. Its stamp is read inside the call.
    ///
    /// # Errors
    ///
    /// The store could not be asked.
    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError>;

    /// Stores `entry` under the key of `ticket`, unless an invalidation since the ticket was
    /// issued forbids it. An entry that is already past its `keep_until` replaces what was there
    /// and is never found, whatever the outcome says of it.
    ///
    /// The store refuses a ticket that [is overdue](Ticket::is_overdue) with
    /// [`Refusal::TooOld`], and an entry for another key than the ticket's with
    /// [`Refusal::KeyMismatch`].
    ///
    /// # Errors
    ///
    /// It is unknown whether the entry was stored; if it was, it obeys the rule.
    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError>;

    /// Puts like [`put`](Self::put) if that needs no waiting.
    ///
    /// # Errors
    ///
    /// It would have to wait: nothing has happened, and both come back.
    fn try_put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, (Ticket, Entry)> {
        Err((ticket, entry))
    }

    /// Makes every entry of the selection whose ticket was issued before this call invalid, for
    /// every process. An empty selection is `Ok`, removes nothing and has no effect.
    ///
    /// It takes effect first, then reclaims within a bounded budget, then returns.
    ///
    /// # Errors
    ///
    /// At least one shard is not done; the error says which. Others may be.
    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError>;

    /// Whether the store can be reached and used now.
    ///
    /// # Errors
    ///
    /// Why not.
    async fn ready(&self) -> Result<(), StoreError>;

    /// Ends background work and closes connections. Later calls may fail or miss.
    async fn close(&self);
}

/// How far an acknowledged invalidation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guarantee {
    /// No request that starts after `invalidate` returned is served an older answer.
    Linearizable,
    /// The same, except while an isolated old primary still answers some process.
    LinearizableExceptSplitBrain,
    /// An older answer may be served for this long after the return.
    Bounded(Duration),
    /// Nothing is promised.
    None,
}

/// The answer of a lookup.
#[derive(Debug)]
#[non_exhaustive]
pub enum Lookup {
    /// A valid entry within its `keep_until`; whether it is fresh is the engine's decision. With
    /// it, if it cost nothing, a ticket to replace it, whose clock is no later than that by which the
    /// entry was found to be valid: otherwise, what is invalidated in between is put again with it.
    Found(Entry, Option<Ticket>),
    /// Nothing usable; a ticket whose stamp was read inside the call.
    Miss(Ticket),
}

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutOutcome {
    /// Stored, and valid at an instant inside the call.
    Stored,
    /// An invalidation came between ticket and put. The entry will never be returned.
    Superseded,
    /// Not stored.
    Refused(Refusal),
}

/// Why a store does not take an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Larger than the store can hold beside others.
    TooLarge,
    /// The ticket is overdue.
    TooOld,
    /// The entry is for another key than the ticket.
    KeyMismatch,
    /// No room at present.
    Capacity,
}

/// What an invalidation selects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Selection {
    /// Entries that carry any of these tags. Keys, namespaces and URIs are reserved tags.
    Tags(Tags),
    /// Every entry of this store (of this prefix).
    All,
}

/// What an invalidation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Invalidated {
    /// Live entries removed before the return.
    pub removed: u64,
    /// Whether that is all of them. Otherwise the rest is reclaimed behind the return; it is
    /// invalid already.
    pub complete: bool,
}

impl Invalidated {
    /// A result.
    #[must_use]
    pub const fn new(removed: u64, complete: bool) -> Self {
        Self { removed, complete }
    }
}
