//! New epochs.

use super::Inner;
use super::calls::integers;
use crate::connection::{Conn, Gate};
use crate::error::Fault;
use crate::incarnation::fresh_epoch;
use crate::meta::Meta;

/// How often a mint is sent: one reconnect, one change of topology.
const MINT_TRIES: u32 = 3;

impl Inner {
    /// Replaces metadata that proves nothing by a new epoch, unless someone else has, or the
    /// server says that it was right and the connection was not.
    ///
    /// A try whose reply was lost may have taken effect, and what it made may be lost by now. With
    /// the same epoch once more, clock and marks would begin again below the stamps of entries that
    /// were made and invalidated in between. So each try brings an epoch of its own.
    ///
    /// No try asks for a fresh connection, as the second one of a repeatable call does. The one whose
    /// reply was lost is dead, so this thread dials a new one. What else broke with it is seen by the
    /// task of each socket, mostly before this is sent again; if not, that is one of the tries, and
    /// after the last of them the request goes to its handler, as after any error.
    pub(super) async fn mint(&self, shard: u16, doubtful: &Conn) -> Result<Meta, Fault> {
        let mut tries = 1;
        loop {
            match self.mint_once(shard, doubtful).await {
                Err(fault) if tries < MINT_TRIES && self.topology.may_pass_elsewhere(&fault) => {}
                outcome => return outcome,
            }
            tries += 1;
        }
    }

    async fn mint_once(&self, shard: u16, doubtful: &Conn) -> Result<Meta, Fault> {
        let epoch = fresh_epoch()?;
        let meta = self.layout.meta(shard);
        let shards = self.layout.shards();
        let args = [epoch.to_string(), shards.to_string()];
        let reply = self
            .eval(&self.scripts.mint, shard, (Gate::Heed, false), &[meta.to_owned()], &args)
            .await?;
        let [epoch, clock, floor, here, recorded, minted] = integers(&reply)?;
        if here != doubtful.incarnation().0 {
            doubtful.kill();
            self.topology.distrust(shard);
        }
        if minted == 1 {
            tracing::warn!(shard, prefix = self.layout.prefix(), "a new epoch: the shard is cold");
        }
        if recorded != u64::from(shards) {
            return Err(mismatch(recorded, shards));
        }
        Ok(Meta { epoch, clock, floor })
    }
}

fn mismatch(recorded: u64, shards: u16) -> Fault {
    Fault::Unsupported(format!(
        "this prefix is used with {recorded} shards elsewhere, with {shards} here"
    ))
}
