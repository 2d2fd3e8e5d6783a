//! Freeing what an invalidation has killed. Correctness never depends on it.
//!
//! The invalidation script has renamed the indexes of its tags away. Each is emptied in small
//! steps: take some members, look at the header of each entry, unlink those that the invalidation
//! killed. It runs within a budget before the invalidation returns, and then in the background,
//! a few at a time. If even that is full, or the process ends, indexes and entries go by their
//! own expiry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::tag::{Tag, Tags};
use futures_util::stream::{self, StreamExt};
use redis::Value;
use tokio::runtime::Handle;

use super::Inner;
use super::calls::integer;
use crate::connection::Gate;
use crate::error::Fault;
use crate::layout::{Layout, is_indexed};
use crate::topology::Call;

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

    pub(super) fn indexes(&self, layout: &Layout, shard: u16) -> Vec<String> {
        match self {
            Self::Tags(tags) => tags.iter().filter_map(|tag| layout.index(shard, tag)).collect(),
            Self::All => vec![layout.index_of_all(shard)],
        }
    }
}

/// An index that was set aside.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) shard: u16,
    pub(super) name: String,
    pub(super) epoch: u64,
    pub(super) clock: u64,
    pub(super) floor: u64,
    pub(super) selected: Selected,
    /// The marks of the tags before the invalidation, in order; 0 for none.
    pub(super) before: Arc<[u64]>,
}

/// What was done before the return.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reclaimed {
    pub(super) removed: u64,
    pub(super) complete: bool,
}

/// Indexes that are emptied at a time, of different shards.
const ABREAST: usize = 4;

/// How often background work on one index goes on after a server that did not answer, and when.
const RECLAIM_TRIES: u32 = 5;
const RECLAIM_PAUSE: Duration = Duration::from_secs(1);

/// How much may still be done inline.
#[derive(Debug)]
struct Budget {
    entries: AtomicUsize,
    until: Duration,
}

impl Budget {
    /// Whether there is time for a step that takes as long as this, and anything to do in it.
    fn allows(&self, step: Duration) -> bool {
        self.left() > 0 && SystemClock.monotonic().saturating_add(step) < self.until
    }

    fn left(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    fn spend(&self, entries: usize) {
        let _ = self.entries.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            Some(left.saturating_sub(entries))
        });
    }
}

enum Progress {
    Emptied,
    Left,
}

impl Inner {
    /// Reclaims within the budget; the rest goes on detached.
    pub(super) async fn reclaim(self: &Arc<Self>, asides: Vec<Aside>) -> Reclaimed {
        let (entries, time) = self.settings.reclaim_budget;
        let until = SystemClock.monotonic().saturating_add(time);
        let budget = Budget { entries: AtomicUsize::new(entries), until };
        let outcomes: Vec<_> = stream::iter(asides)
            .map(|aside| {
                let budget = &budget;
                async move {
                    let mut removed = 0;
                    let progress = if budget.allows(Duration::ZERO) {
                        self.empty(&aside, Some(budget), &mut removed).await
                    } else {
                        Ok(Progress::Left)
                    };
                    (aside, progress, removed)
                }
            })
            .buffer_unordered(ABREAST)
            .collect()
            .await;
        let mut done = Reclaimed { removed: 0, complete: true };
        let mut left = Vec::new();
        for (aside, progress, removed) in outcomes {
            done.removed += removed;
            match progress {
                Ok(Progress::Emptied) => {}
                Ok(Progress::Left) => left.push(aside),
                Err(fault) => {
                    tracing::debug!(%fault, shard = aside.shard, "reclaiming stopped");
                    done.complete = false;
                }
            }
        }
        if !left.is_empty() {
            done.complete = false;
            self.reclaim_behind(left);
        }
        done
    }

    fn reclaim_behind(self: &Arc<Self>, asides: Vec<Aside>) {
        let (Ok(runtime), Ok(permit)) =
            (Handle::try_current(), Arc::clone(&self.background).try_acquire_owned())
        else {
            tracing::debug!("reclaiming is busy; what is invalid goes by its expiry");
            return;
        };
        let inner = Arc::clone(self);
        runtime.spawn(async move {
            let mut removed = 0;
            for aside in asides {
                let mut tries = RECLAIM_TRIES;
                while let Err(fault) = inner.empty(&aside, None, &mut removed).await {
                    tries -= 1;
                    if tries == 0 || !fault.is_passing() {
                        tracing::debug!(%fault, shard = aside.shard, "reclaiming stopped");
                        break;
                    }
                    tokio::time::sleep(RECLAIM_PAUSE).await;
                }
            }
            drop(permit);
        });
    }

    /// Works on one index, step by step: take some members, remove their entries if dead.
    async fn empty(
        &self,
        aside: &Aside,
        budget: Option<&Budget>,
        removed: &mut u64,
    ) -> Result<Progress, Fault> {
        let step = self.settings.reclaim_step;
        loop {
            let begun = SystemClock.monotonic();
            let size = budget.map_or(step, |budget| step.min(budget.left().max(1)));
            let members = self.within(self.pop(aside, size)).await?;
            if members.is_empty() {
                return Ok(Progress::Emptied);
            }
            let last = members.len() < size;
            *removed += self.within(self.unlink_dead(aside, &members)).await?;
            if last {
                return Ok(Progress::Emptied);
            }
            if let Some(budget) = budget {
                budget.spend(members.len());
                // The next step takes about as long as this one.
                if !budget.allows(SystemClock.monotonic().saturating_sub(begun)) {
                    return Ok(Progress::Left);
                }
            }
        }
    }

    async fn pop(&self, aside: &Aside, size: usize) -> Result<Vec<String>, Fault> {
        let call = Call {
            shard: aside.shard,
            gate: Gate::Heed,
            meta: 0,
            repeatable: false,
            build: &|commands| {
                commands.command("SPOP").arg(&aside.name).arg(size);
            },
        };
        let mut answer = self.topology.call(&call).await?;
        match answer.values.pop() {
            // Names of ours are text; anything else was planted.
            Some(Value::Array(members) | Value::Set(members)) => Ok(members
                .into_iter()
                .filter_map(|member| match member {
                    Value::BulkString(name) => String::from_utf8(name).ok(),
                    _ => None,
                })
                .collect()),
            Some(Value::ServerError(error)) if error.code() == "WRONGTYPE" => {
                self.unlink(aside.shard, &aside.name).await?;
                Ok(Vec::new())
            }
            Some(Value::ServerError(error)) => Err(Fault::server(&error)),
            _ => Err(Fault::Protocol("SPOP")),
        }
    }

    async fn unlink(&self, shard: u16, name: &str) -> Result<(), Fault> {
        let call = Call {
            shard,
            gate: Gate::Heed,
            meta: 0,
            repeatable: true,
            build: &|commands| {
                commands.command("UNLINK").arg(name);
            },
        };
        self.topology.call(&call).await.map(|_| ())
    }

    async fn unlink_dead(&self, aside: &Aside, members: &[String]) -> Result<u64, Fault> {
        let shard = aside.shard;
        let mut keys = vec![self.layout.meta(shard).to_owned()];
        keys.extend(members.iter().map(|member| self.layout.entry(shard, member)));
        let everything = matches!(aside.selected, Selected::All);
        let tags = aside.selected.tags();
        let mut args = vec![
            aside.epoch.to_string(),
            aside.clock.to_string(),
            aside.floor.to_string(),
            if everything { "1" } else { "0" }.to_owned(),
            tags.len().to_string(),
        ];
        args.extend(tags.iter().map(|tag| tag.as_str().to_owned()));
        args.extend(aside.before.iter().map(u64::to_string));
        let reply =
            self.eval(&self.scripts.reclaim, shard, (Gate::Heed, false), &keys, &args).await?;
        integer(&reply)
    }
}
