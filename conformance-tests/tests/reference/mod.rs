//! A small store to test the tests with: right, or wrong in one chosen way.
//!
//! It has the mechanism of the contract and nothing else: two shards, each with a clock, marks
//! and a floor, under one lock.

mod bug;
mod fixture;
mod queue;
mod shard;
mod spoil;
mod steps;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use cache_core::clock::Clock;
use cache_core::entry::Entry;
use cache_core::key::{Digest, Key};
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Refusal, Selection, Stamp, Store, StoreError,
    StoreErrorKind, Ticket,
};
use cache_core::tag::{Tag, Tags};

pub(crate) use self::bug::Bug;
pub(crate) use self::fixture::ReferenceFixture;
use self::queue::Queue;
use self::shard::{Held, Shard};
use self::spoil::spoil;

/// When invalid entries are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// Before the invalidation returns.
    Inline,
    /// When they are overwritten.
    Never,
}

/// A handle of the store.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    shards: Arc<Mutex<[Shard; 2]>>,
    clock: Arc<dyn Clock>,
    reclaim: Reclaim,
    bug: Option<Bug>,
    second: bool,
    /// For [`Bug::CopiesFedByPush`].
    copies: Arc<Mutex<HashMap<Key, Entry>>>,
    queue: Arc<Queue>,
}

impl Reference {
    pub(crate) fn new(clock: Arc<dyn Clock>, reclaim: Reclaim, bug: Option<Bug>) -> Self {
        let shards = Arc::new(Mutex::new([Shard::new(), Shard::new()]));
        Self {
            shards,
            clock,
            reclaim,
            bug,
            second: false,
            copies: Arc::default(),
            queue: Arc::default(),
        }
    }

    /// A handle as another process would have.
    pub(crate) fn second_handle(&self) -> Self {
        Self { second: true, ..self.clone() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn lock(&self) -> MutexGuard<'_, [Shard; 2]> {
        self.shards.lock().unwrap()
    }

    fn slot(&self, key: &Key) -> Key {
        match self.bug {
            Some(Bug::VariantIgnored) => Key::new(*key.primary()),
            Some(Bug::KeyIgnored) => Key::new(Digest::of(b"any")),
            _ => *key,
        }
    }

    fn ticket(&self, key: &Key, shard: &Shard) -> Ticket {
        let stamp = Stamp { epoch: shard.epoch, clock: shard.clock };
        Ticket::new(*key, stamp, self.clock.monotonic())
    }

    fn find(&self, key: &Key, hints: &[Tag], checked: bool) -> Lookup {
        let mut shards = self.lock();
        let shard = of(&mut shards, &self.slot(key));
        let now = self.clock.now();
        let found = shard.entries.get(&self.slot(key)).filter(|held| {
            held.is_live(now, self.bug)
                && (!checked || self.is_valid(shard, held, hints))
                && (!held.damaged || self.has(Bug::DamageReturned))
        });
        let Some(entry) = found.map(|held| held.entry.clone()) else {
            let asked =
                if self.has(Bug::TicketForAnotherKey) { Key::new(*key.primary()) } else { *key };
            return Lookup::Miss(self.ticket(&asked, shard));
        };
        if self.has(Bug::FoundOnce) {
            shard.remove(key);
        }
        Lookup::Found(entry, Some(self.ticket(key, shard)))
    }

    fn is_valid(&self, shard: &Shard, held: &Held, hints: &[Tag]) -> bool {
        match self.bug {
            Some(Bug::CheckedAfterWriting | Bug::OrphanedByInvalidation | Bug::IndexIsTruth) => {
                true
            }
            Some(Bug::UnhintedTagsSkipped) => {
                let hinted: Tags =
                    held.tags.iter().filter(|tag| hints.contains(tag)).cloned().collect();
                shard.is_valid(&hinted, held.stamp, self.bug)
            }
            _ => shard.is_valid(&held.tags, held.stamp, self.bug),
        }
    }

    fn refusal(&self, ticket: &Ticket, entry: &Entry) -> Option<Refusal> {
        if ticket.is_overdue(self.clock.monotonic()) && !self.has(Bug::OverdueAccepted) {
            Some(Refusal::TooOld)
        } else if !entry.is_under(ticket.key())
            && !self.has(Bug::KeyMismatchAccepted)
            && !self.has(Bug::TicketForAnotherKey)
        {
            Some(Refusal::KeyMismatch)
        } else {
            None
        }
    }

    /// Verdict and write in one step.
    fn place(&self, ticket: &Ticket, entry: Entry) -> PutOutcome {
        let mut shards = self.lock();
        let shard = of(&mut shards, &self.slot(&entry.key()));
        let mut stamp = ticket.stamp();
        if self.has(Bug::StampTakenAtPut) || (shard.closed && self.has(Bug::CloseOpensUp)) {
            stamp = Stamp { epoch: shard.epoch, clock: shard.clock };
        }
        let superseded =
            !self.has(Bug::IndexIsTruth) && !shard.is_valid(entry.tags(), stamp, self.bug);
        if self.has(Bug::StampRereadAfterVerdict) {
            stamp = Stamp { epoch: shard.epoch, clock: shard.clock };
        } else if superseded {
            return PutOutcome::Superseded;
        }
        self.write(shard, Held::new(entry, stamp));
        if superseded { PutOutcome::Superseded } else { PutOutcome::Stored }
    }

    fn write(&self, shard: &mut Shard, mut held: Held) {
        let now = self.clock.now();
        let slot = self.slot(&held.entry.key());
        if held.keep_until <= now && self.has(Bug::ExpiredPutIgnored) {
            return;
        }
        let old = shard.remove(&slot);
        if let Some(old) = &old {
            match self.bug {
                Some(Bug::OverwriteKeepsTags) => {
                    held.tags = held.tags.iter().chain(old.tags.iter()).cloned().collect();
                }
                Some(Bug::OverwriteKeepsLife) => held.keep_until = old.keep_until,
                Some(Bug::FirstPutWins) => held = old.clone(),
                _ => {}
            }
        }
        if !self.has(Bug::NothingKept) {
            shard.insert(slot, held);
        }
        if let (Some(old), Some(Bug::MarkDroppedWithLastEntry)) = (old, self.bug) {
            shard.drop_unused_marks(&old.tags);
        }
    }

    /// Marks, and reclaims if it does so inline.
    fn invalidate_shard(&self, shard: &mut Shard, what: &Selection) -> u64 {
        let names = shard.listed(what);
        shard.mark(what, self.bug);
        let now = self.clock.now();
        let mut removed = 0;
        if self.reclaim == Reclaim::Inline {
            removed = match self.bug {
                Some(Bug::IndexIsTruth) => shard.remove_names(&names, now),
                _ => shard.reclaim(what, now, self.bug),
            };
        }
        shard.unlist(what);
        if self.has(Bug::RemovedCountsNames) { names.len() as u64 } else { removed }
    }

    fn invalidate_now(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        let mut shards = self.lock();
        let cut = shards.iter().any(|shard| shard.cut);
        if cut && self.has(Bug::StopsAtFailedShard) {
            return Err(unreachable_shard());
        }
        let reachable = shards.iter_mut().filter(|shard| !shard.cut);
        let removed = reachable.map(|shard| self.invalidate_shard(shard, what)).sum();
        if cut && !self.has(Bug::OkThoughShardFailed) {
            return Err(unreachable_shard());
        }
        Ok(Invalidated::new(removed, self.reclaim == Reclaim::Inline))
    }

    fn check_reach(&self, key: &Key) -> Result<(), StoreError> {
        if of(&mut self.lock(), &self.slot(key)).cut { Err(unreachable_shard()) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Reference {
    fn guarantee(&self) -> Guarantee {
        if self.second && self.has(Bug::GuaranteeDiffers) {
            return Guarantee::LinearizableExceptSplitBrain;
        }
        Guarantee::Linearizable
    }

    fn try_lookup(&self, key: &Key, hints: &[Tag]) -> Option<Lookup> {
        let checked = !self.has(Bug::TryLookupUnchecked);
        self.check_reach(key).is_ok().then(|| self.find(key, hints, checked))
    }

    async fn lookup(&self, key: &Key, hints: &[Tag]) -> Result<Lookup, StoreError> {
        self.check_reach(key)?;
        self.step();
        if let Some(copy) = self.copy(key) {
            return Ok(Lookup::Found(copy, None));
        }
        let lookup = self.find(key, hints, true);
        self.keep_copy(key, &lookup);
        Ok(lookup)
    }

    async fn begin(&self, key: &Key) -> Result<Ticket, StoreError> {
        self.check_reach(key)?;
        self.step();
        let mut shards = self.lock();
        let shard = of(&mut shards, &self.slot(key));
        if self.has(Bug::BeginWithoutClock) {
            let stamp = Stamp { epoch: shard.epoch, clock: 0 };
            return Ok(Ticket::new(*key, stamp, self.clock.monotonic()));
        }
        Ok(self.ticket(key, shard))
    }

    async fn put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, StoreError> {
        if let Some(why) = self.refusal(&ticket, &entry) {
            return Ok(PutOutcome::Refused(why));
        }
        self.check_reach(&entry.key())?;
        self.step();
        let entry = spoil(entry, self.bug);
        Ok(match self.put_in_steps(&ticket, &entry).await {
            Some(outcome) => outcome,
            None => self.place(&ticket, entry),
        })
    }

    fn try_put(&self, ticket: Ticket, entry: Entry) -> Result<PutOutcome, (Ticket, Entry)> {
        if !self.has(Bug::TryPutUnchecked) {
            return Err((ticket, entry));
        }
        let mut shards = self.lock();
        let shard = of(&mut shards, &self.slot(&entry.key()));
        self.write(shard, Held::new(entry, ticket.stamp()));
        Ok(PutOutcome::Stored)
    }

    async fn invalidate(&self, what: &Selection) -> Result<Invalidated, StoreError> {
        let everything = Selection::All;
        let what = match what {
            Selection::Tags(tags) if tags.is_empty() && self.has(Bug::EmptySelectionIsAll) => {
                &everything
            }
            Selection::Tags(tags) if tags.is_empty() => return Ok(Invalidated::new(0, true)),
            what => what,
        };
        match self.invalidate_in_steps(what).await {
            Some(done) => done,
            None => self.invalidate_now(what),
        }
    }

    async fn ready(&self) -> Result<(), StoreError> {
        if self.has(Bug::NeverReady) { Err(unreachable_shard()) } else { Ok(()) }
    }

    async fn close(&self) {
        for shard in self.lock().iter_mut() {
            shard.closed = true;
        }
    }
}

fn of<'s>(shards: &'s mut [Shard; 2], key: &Key) -> &'s mut Shard {
    let [even, odd] = shards;
    if key.primary().fold().is_multiple_of(2) { even } else { odd }
}

fn unreachable_shard() -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, "reaching a shard")
}
