//! Freeing what an invalidation has killed. Correctness never depends on it.
//!
//! The invalidation script has taken the indexes of its tags away: the members of small ones came
//! with its reply, larger ones were set aside under another name. They are worked off in small
//! steps: take some members, look at the header of each entry, unlink those that the invalidation
//! killed.
//!
//! An invalidation does so itself before it returns if its budget can suffice and nobody else is
//! at it. What is more than that goes on behind, see [`behind`]: one thread serves all of Redis'
//! clients, and their requests come first.

mod behind;
mod step;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::tag::{Tag, Tags};
use futures_util::stream::{self, StreamExt};
use tokio::sync::{Semaphore, SemaphorePermit};

pub(super) use self::behind::Behind;
use self::step::Group;
pub(super) use self::step::name_of;
use super::Inner;
use crate::error::Fault;
use crate::layout::{Layout, is_indexed};

/// What an invalidation was of.
#[derive(Clone, Debug)]
pub(super) enum Selected {
    Tags(Tags),
    All,
}

impl Selected {
    pub(super) fn tags(&self) -> &[Tag] {
        match self {
            Self::Tags(tags) => tags,
            Self::All => &[],
        }
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.tags().iter().all(is_indexed)
    }

    /// The indexes in a shard, each with its tag; the one of everything has none.
    pub(super) fn indexes(&self, layout: &Layout, shard: u16) -> Vec<(Option<Tag>, String)> {
        match self {
            Self::Tags(tags) => tags
                .iter()
                .filter_map(|tag| Some((Some(tag.clone()), layout.index(shard, tag)?)))
                .collect(),
            Self::All => vec![(None, layout.index_of_all(shard))],
        }
    }
}

/// What an invalidation has done in one shard.
#[derive(Debug)]
pub(super) struct Killed {
    pub(super) shard: u16,
    pub(super) epoch: u64,
    pub(super) clock: u64,
    pub(super) floor: u64,
    pub(super) selected: Selected,
    /// The marks of the tags before the invalidation, in order; 0 for none.
    pub(super) before: Vec<u64>,
    pub(super) asides: Vec<Aside>,
}

/// An index that was taken away.
#[derive(Debug)]
pub(super) struct Aside {
    /// None: that of everything.
    pub(super) tag: Option<Tag>,
    /// Of the invalidation.
    pub(super) epoch: u64,
    pub(super) clock: u64,
    /// Members at hand.
    pub(super) taken: Vec<String>,
    /// Where the others are, and how many at most.
    pub(super) name: String,
    pub(super) left: usize,
}

impl Aside {
    pub(super) const fn members(&self) -> usize {
        self.taken.len() + self.left
    }
}

/// What was done before the return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reclaimed {
    pub(super) removed: u64,
    pub(super) complete: bool,
}

/// Shards of a cluster that are worked on at a time; they are on different servers, mostly.
const ABREAST: usize = 4;

/// Invalidations that may wait for their turn to reclaim.
const LINE: usize = 4;

/// Who may reclaim before an invalidation returns: one at a time.
#[derive(Debug)]
pub(super) struct Line {
    line: Semaphore,
    turn: Semaphore,
}

impl Default for Line {
    fn default() -> Self {
        Self { line: Semaphore::new(LINE), turn: Semaphore::new(1) }
    }
}

impl Line {
    /// Waits for a turn until then, unless too many do.
    async fn turn(&self, time: Duration) -> Option<[SemaphorePermit<'_>; 2]> {
        let place = self.line.try_acquire().ok()?;
        let turn = tokio::time::timeout(time, self.turn.acquire()).await.ok()?.ok()?;
        Some([place, turn])
    }
}

impl Inner {
    /// How many members an invalidation wants with its reply: none if it will not work on them.
    pub(super) fn wants_members(&self) -> usize {
        let (entries, time) = self.settings.reclaim_budget;
        if time.is_zero() || self.behind.is_busy() {
            return 0;
        }
        self.settings.reclaim_step.min(entries)
    }

    /// Reclaims within the budget, or leaves it all to the work behind: if the budget cannot
    /// suffice, or there is such work already, so that the server is not idle.
    pub(super) async fn reclaim(self: &Arc<Self>, killed: Vec<Killed>) -> Reclaimed {
        let (entries, time) = self.settings.reclaim_budget;
        let members: usize =
            killed.iter().flat_map(|killed| &killed.asides).map(Aside::members).sum();
        if members == 0 {
            return Reclaimed { removed: 0, complete: true };
        }
        let until = SystemClock.monotonic().saturating_add(time);
        let is_worth_it = members <= entries && !time.is_zero() && !self.behind.is_busy();
        let turn = if is_worth_it { self.line.turn(time).await } else { None };
        if turn.is_none() {
            self.reclaim_behind(killed);
            return Reclaimed { removed: 0, complete: false };
        }
        self.reclaim_now(killed, until).await
    }

    async fn reclaim_now(self: &Arc<Self>, killed: Vec<Killed>, until: Duration) -> Reclaimed {
        let outcomes: Vec<_> = stream::iter(killed)
            .map(|mut killed| async move {
                let mut removed = 0;
                let outcome = self.empty(&mut killed, until, &mut removed).await;
                (killed, outcome, removed)
            })
            .buffer_unordered(self.abreast())
            .collect()
            .await;
        let mut done = Reclaimed { removed: 0, complete: true };
        let mut left = Vec::new();
        for (killed, outcome, removed) in outcomes {
            done.removed += removed;
            if let Err(fault) = outcome {
                tracing::debug!(%fault, shard = killed.shard, "reclaiming stopped");
                done.complete = false;
            } else if !killed.asides.is_empty() {
                done.complete = false;
                left.push(killed);
            }
        }
        self.reclaim_behind(left);
        done
    }

    /// Works on the indexes of one shard, step by step, while there is time.
    async fn empty(
        &self,
        killed: &mut Killed,
        until: Duration,
        removed: &mut u64,
    ) -> Result<(), Fault> {
        // The next step takes about as long as the last one.
        let mut last = Duration::ZERO;
        while !killed.asides.is_empty() && SystemClock.monotonic().saturating_add(last) < until {
            let begun = SystemClock.monotonic();
            let shard = killed.shard;
            let taken = self.within(self.take(shard, &mut killed.asides)).await?;
            killed.asides.retain(|aside| aside.members() > 0);
            // The same entry may be in several indexes, and counts once.
            let members: HashSet<String> = taken.into_iter().flatten().collect();
            let group = Group {
                epoch: killed.epoch,
                clock: killed.clock,
                floor: killed.floor,
                everything: matches!(killed.selected, Selected::All),
                tags: killed.selected.tags(),
                before: &killed.before,
                members: members.into_iter().collect(),
            };
            *removed += self.within(self.unlink_dead(shard, true, &[group])).await?;
            last = SystemClock.monotonic().saturating_sub(begun);
        }
        Ok(())
    }

    fn reclaim_behind(self: &Arc<Self>, killed: Vec<Killed>) {
        let asides = killed
            .into_iter()
            .flat_map(|killed| killed.asides.into_iter().map(move |aside| (killed.shard, aside)));
        if self.behind.leave(asides) {
            Behind::start(self);
        }
    }

    /// Shards that are worked on at a time.
    fn abreast(&self) -> usize {
        if self.topology.is_cluster() { ABREAST } else { 1 }
    }
}
