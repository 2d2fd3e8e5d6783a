//! Reclaiming that no invalidation waits for.
//!
//! One task per store works off what was left, a step at a time, and rests after each step for
//! several times as long as it took: on a busy server a step takes longer, and so does the rest.
//! Indexes take turns, so that a small one need not wait for a large one. What finds no place, or
//! is left when the process ends, goes by its own expiry.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use futures_util::future::join_all;
use tokio::runtime::Handle;

use super::super::Inner;
use super::Aside;
use super::step::{Group, INDEXES};
use crate::error::Fault;

/// Indexes that may wait, about 300 bytes each; a member at hand counts as one.
const MAX_WAITING: usize = 16_384;

/// How often a shard is tried in a row when its server does not answer, and when.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// What waits, and whether somebody works on it.
#[derive(Debug, Default)]
pub(in super::super) struct Behind(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<u16, VecDeque<Aside>>,
    waiting: usize,
    /// The shard of the latest step.
    last: u16,
    is_worked_on: bool,
    is_closed: bool,
}

impl Behind {
    /// Whether there is work behind.
    pub(super) fn is_busy(&self) -> bool {
        self.state().is_worked_on
    }

    /// Nothing is begun any more.
    pub(in super::super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.shards.clear();
        state.waiting = 0;
    }

    /// Files indexes, as far as there is room. Whether the caller has to start the work.
    pub(super) fn leave(&self, asides: impl IntoIterator<Item = (u16, Aside)>) -> bool {
        let mut state = self.state();
        for (shard, aside) in asides {
            state.file(shard, aside);
        }
        let starts = state.waiting > 0 && !state.is_worked_on;
        state.is_worked_on |= starts;
        starts
    }

    /// Begins the work that [`leave`](Self::leave) has asked for.
    pub(super) fn start(inner: &Arc<Inner>) {
        let working = Working { inner: Arc::clone(inner), is_over: false };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(work(working))),
            Err(_) => tracing::debug!("no runtime; what is invalid goes by its expiry"),
        }
    }

    /// The next shards in turn, each with the indexes of one step. None at the end of the work.
    fn next(&self, abreast: usize) -> Option<Vec<(u16, Vec<Aside>)>> {
        let mut state = self.state();
        let last = state.last;
        let waiting = || state.shards.iter().filter(|(_, waiting)| !waiting.is_empty());
        let shards: Vec<u16> = waiting().map(|(shard, _)| *shard).collect();
        let (before, after): (Vec<u16>, Vec<u16>) =
            shards.into_iter().partition(|shard| *shard <= last);
        let picked: Vec<_> = after
            .into_iter()
            .chain(before)
            .take(abreast)
            .map(|shard| (shard, state.pick(shard)))
            .collect();
        match picked.last() {
            Some((shard, _)) => state.last = *shard,
            None => state.is_worked_on = false,
        }
        (!picked.is_empty()).then_some(picked)
    }

    /// Puts back what a step has not emptied.
    fn put_back(&self, shard: u16, asides: Vec<Aside>) {
        let mut state = self.state();
        for aside in asides.into_iter().filter(|aside| aside.members() > 0) {
            state.file(shard, aside);
        }
    }

    /// Gives up a shard, whose server does not answer.
    fn give_up(&self, shard: u16) {
        let mut state = self.state();
        let gone = state.shards.remove(&shard).unwrap_or_default();
        state.waiting -= gone.iter().map(Aside::weight).sum::<usize>();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn file(&mut self, shard: u16, aside: Aside) {
        if self.is_closed || self.waiting + aside.weight() > MAX_WAITING {
            tracing::debug!(shard, "reclaiming is busy; what is invalid goes by its expiry");
            return;
        }
        self.waiting += aside.weight();
        self.shards.entry(shard).or_default().push_back(aside);
    }

    fn pick(&mut self, shard: u16) -> Vec<Aside> {
        let Some(waiting) = self.shards.get_mut(&shard) else { return Vec::new() };
        let picked: Vec<Aside> = waiting.drain(..waiting.len().min(INDEXES)).collect();
        self.waiting -= picked.iter().map(Aside::weight).sum::<usize>();
        picked
    }
}

impl Aside {
    const fn weight(&self) -> usize {
        1 + self.taken.len()
    }
}

/// The right to work, given back by a task that ends before its work does, as its runtime ends.
struct Working {
    inner: Arc<Inner>,
    is_over: bool,
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.is_over {
            self.inner.behind.state().is_worked_on = false;
        }
    }
}

async fn work(mut working: Working) {
    let inner = &working.inner;
    let mut failures: BTreeMap<u16, u32> = BTreeMap::new();
    while let Some(picked) = inner.behind.next(inner.abreast()) {
        let begun = SystemClock.monotonic();
        let steps = picked.into_iter().map(|(shard, mut asides)| async move {
            let outcome = inner.step_behind(shard, &mut asides).await;
            inner.behind.put_back(shard, asides);
            (shard, outcome)
        });
        let mut pause = Duration::ZERO;
        for (shard, outcome) in join_all(steps).await {
            let Err(fault) = outcome else {
                failures.remove(&shard);
                continue;
            };
            tracing::debug!(%fault, shard, "reclaiming was interrupted");
            let failed = failures.entry(shard).or_default();
            *failed += 1;
            if *failed == TRIES || !fault.is_passing() {
                failures.remove(&shard);
                inner.behind.give_up(shard);
            }
            pause = PAUSE;
        }
        let took = SystemClock.monotonic().saturating_sub(begun);
        tokio::time::sleep(pause.max(took * inner.settings.reclaim_rest)).await;
    }
    working.is_over = true;
}

impl Inner {
    async fn step_behind(&self, shard: u16, asides: &mut [Aside]) -> Result<(), Fault> {
        let taken = self.within(self.take(shard, asides)).await?;
        let groups: Vec<Group<'_>> = asides
            .iter()
            .zip(taken)
            .filter(|(_, members)| !members.is_empty())
            .map(|(aside, members)| Group {
                epoch: aside.epoch,
                clock: aside.clock,
                floor: 0,
                everything: aside.tag.is_none(),
                tags: aside.tag.as_slice(),
                before: aside.tag.as_ref().map_or(&[], |_| &[0]),
                members,
            })
            .collect();
        if !groups.is_empty() {
            self.within(self.unlink_dead(shard, false, &groups)).await?;
        }
        Ok(())
    }
}
