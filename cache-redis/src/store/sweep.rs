//! Letting indexes forget what is gone: entries expire by themselves, their names in indexes do not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cache_core::entry::Entry;
use redis::Value;
use tokio::runtime::Handle;

use super::Inner;
use super::calls::one;
use crate::connection::{Gate, text};
use crate::error::Fault;

/// How many puts pay for one sweep of their indexes.
pub(super) const PUTS_PER_SWEEP: u64 = 32;

impl Inner {
    /// Every so many puts, lets the indexes of one forget keys that are gone.
    pub(super) fn sweep_now_and_then(self: &Arc<Self>, entry: &Entry) {
        if !self.puts.fetch_add(1, Ordering::Relaxed).is_multiple_of(PUTS_PER_SWEEP) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.sweeping).try_acquire_owned() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let shard = self.layout.shard(&entry.key());
        let indexes = self.indexes(shard, entry);
        let inner = Arc::clone(self);
        runtime.spawn(async move {
            for index in indexes {
                if let Err(fault) = inner.within(inner.sweep(shard, &index)).await {
                    tracing::debug!(%fault, "an index was not swept");
                    break;
                }
            }
            drop(permit);
        });
    }

    async fn sweep(&self, shard: u16, index: &str) -> Result<(), Fault> {
        let size = self.settings.reclaim_step;
        let mut answer = self
            .call(shard, 0, &|commands| {
                commands.command("SRANDMEMBER").arg(index).arg(size);
            })
            .await?;
        let (Value::Array(members) | Value::Set(members)) = one(&mut answer)? else {
            return Ok(());
        };
        let mut keys = vec![index.to_owned()];
        let mut sample = Vec::with_capacity(members.len());
        for member in &members {
            let member = text(member)?;
            keys.push(self.layout.entry(shard, member));
            sample.push(member.to_owned());
        }
        if !sample.is_empty() {
            self.eval(&self.scripts.sweep, shard, (Gate::Heed, true), &keys, &sample).await?;
        }
        Ok(())
    }
}
