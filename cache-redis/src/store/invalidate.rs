//! Invalidations: marks in force on every shard, then reclaiming within the budget.

use std::sync::Arc;
use std::time::Duration;

use cache_core::store::{Invalidated, StoreError, StoreErrorKind};
use futures_util::future::join_all;
use redis::Value;

use super::Inner;
use super::calls::{integer, one};
use super::reclaim::{Aside, Killed, Selected, name_of};
use crate::connection::Gate;
use crate::error::Fault;
use crate::incarnation::fresh_epoch;
use crate::topology::Call;

/// Tags that one run of the invalidation script takes.
const TAGS_PER_SCRIPT: usize = 512;

/// How often one shard of an invalidation is tried.
const INVALIDATION_TRIES: u32 = 3;

/// One shard of an invalidation, in force.
struct Marked {
    /// What waits to be reclaimed.
    killed: Option<Killed>,
    /// Whether that is all. What else was killed is left to its expiry.
    complete: bool,
}

impl Inner {
    pub(super) async fn invalidate(
        self: Arc<Self>,
        selected: &Selected,
    ) -> Result<Invalidated, StoreError> {
        let chunks: Vec<Selected> = match selected {
            Selected::All => vec![Selected::All],
            Selected::Tags(tags) => tags
                .chunks(TAGS_PER_SCRIPT)
                .map(|chunk| Selected::Tags(chunk.iter().cloned().collect()))
                .collect(),
        };
        // URI tags have no index: what carries them is left to its overwriting or expiry.
        let indexed = chunks.iter().all(Selected::is_indexed);
        let mut killed = Vec::new();
        let mut failed: Vec<(u16, Fault)> = Vec::new();
        let mut complete = indexed;
        for chunk in &chunks {
            let shards = (0..self.layout.shards()).map(|shard| self.mark(shard, chunk));
            for (shard, outcome) in (0..).zip(join_all(shards).await) {
                match outcome {
                    Ok(marked) => {
                        killed.extend(marked.killed);
                        complete &= marked.complete;
                    }
                    Err(fault) => failed.push((shard, fault)),
                }
            }
        }
        let reclaimed = self.reclaim(killed).await;
        if failed.is_empty() {
            return Ok(Invalidated::new(reclaimed.removed, complete && reclaimed.complete));
        }
        Err(not_done(failed, self.layout.shards()))
    }

    /// Puts the marks of one shard in force. Tries again what may pass; falls back to dropping
    /// the shard's metadata, which makes every entry of it a miss.
    async fn mark(&self, shard: u16, selected: &Selected) -> Result<Marked, Fault> {
        let mut pause = Duration::from_millis(10);
        let mut tries = 1;
        loop {
            match self.within(self.mark_once(shard, selected, true)).await {
                Err(fault) if fault.is_code("OOM") => return self.drop_meta(shard).await,
                // A slot on the move cannot run a script over several keys.
                Err(fault) if fault.is_code("TRYAGAIN") || fault.is_code("ASK") => {
                    if let Ok(marked) = self.within(self.mark_once(shard, selected, false)).await {
                        return Ok(marked);
                    }
                    if tries >= INVALIDATION_TRIES {
                        return self.drop_meta(shard).await;
                    }
                }
                Err(fault) if fault.is_passing() && tries < INVALIDATION_TRIES => {}
                Err(fault) => return Err(fault),
                Ok(marked) => {
                    // A try whose reply was lost may have set indexes aside that nobody knows.
                    return Ok(Marked { complete: marked.complete && tries == 1, ..marked });
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 3;
            tries += 1;
        }
    }

    async fn mark_once(
        &self,
        shard: u16,
        selected: &Selected,
        with_indexes: bool,
    ) -> Result<Marked, Fault> {
        let nonce = fresh_epoch()?;
        let mut keys = vec![self.layout.meta(shard).to_owned()];
        let mut asides = Vec::new();
        if with_indexes {
            for (n, (tag, index)) in selected.indexes(&self.layout, shard).into_iter().enumerate() {
                let aside = self.layout.aside(shard, nonce, n);
                keys.extend([index, aside.clone()]);
                asides.push((tag, aside));
            }
        }
        let everything = matches!(selected, Selected::All);
        let mut args = vec![
            fresh_epoch()?.to_string(),
            self.layout.shards().to_string(),
            self.settings.max_marks.to_string(),
            if everything { "1" } else { "0" }.to_owned(),
            self.wants_members().to_string(),
        ];
        args.extend(selected.tags().iter().map(|tag| tag.as_str().to_owned()));
        let script = &self.scripts.invalidate;
        let reply = self.eval(script, shard, (Gate::Insist, false), &keys, &args).await?;
        let Value::Array(parts) = &reply else { return Err(Fault::Protocol("invalidate")) };
        let [epoch, clock, floor, _here, minted, Value::Array(moved), Value::Array(before)] =
            parts.as_slice()
        else {
            return Err(Fault::Protocol("invalidate"));
        };
        let (epoch, clock, floor) = (integer(epoch)?, integer(clock)?, integer(floor)?);
        if integer(minted)? == 1 {
            tracing::warn!(shard, prefix = self.layout.prefix(), "a new epoch: the shard is cold");
        }
        let before = before.iter().map(integer).collect::<Result<_, _>>()?;
        let taken_away = asides.into_iter().zip(moved).map(|((tag, name), moved)| {
            let (taken, left) = match moved {
                Value::Array(members) => (members.iter().filter_map(name_of).collect(), 0),
                size => (Vec::new(), usize::try_from(integer(size)?).unwrap_or(usize::MAX)),
            };
            Ok(Aside { tag, epoch, clock, taken, name, left })
        });
        let mut asides = taken_away.collect::<Result<Vec<_>, Fault>>()?;
        asides.retain(|aside| aside.members() > 0);
        let selected = selected.clone();
        let killed = Killed { shard, epoch, clock, floor, selected, before, asides };
        Ok(Marked { killed: Some(killed), complete: with_indexes })
    }

    /// The last resort of an invalidation: without metadata nothing in the shard is valid, and no
    /// memory is needed to drop it.
    async fn drop_meta(&self, shard: u16) -> Result<Marked, Fault> {
        let meta = self.layout.meta(shard);
        let call = async {
            let mut answer = self
                .topology
                .call(&Call {
                    shard,
                    gate: Gate::Insist,
                    meta: 0,
                    repeatable: true,
                    build: &|commands| {
                        commands.command("UNLINK").arg(meta);
                    },
                })
                .await?;
            match one(&mut answer)? {
                Value::Int(_) => Ok(Marked { killed: None, complete: false }),
                Value::ServerError(error) => Err(Fault::server(&error)),
                _ => Err(Fault::Protocol("UNLINK")),
            }
        };
        tracing::warn!(shard, "an invalidation could not be marked; the whole shard is dropped");
        self.within(call).await
    }
}

fn not_done(failed: Vec<(u16, Fault)>, shards: u16) -> StoreError {
    let mut numbers: Vec<u16> = failed.iter().map(|(shard, _)| *shard).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let listed: Vec<String> = numbers.iter().map(u16::to_string).collect();
    let what = format!("invalidating: not done in shards {} of {shards}", listed.join(", "));
    match failed.into_iter().next() {
        Some((_, fault)) => fault.into_error(what),
        None => StoreError::new(StoreErrorKind::Other, what),
    }
}
