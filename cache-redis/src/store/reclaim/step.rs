//! One step: some members of indexes, and what becomes of their entries.

use std::mem;

use cache_core::tag::Tag;
use redis::Value;

use super::super::Inner;
use super::super::calls::integer;
use super::Aside;
use crate::connection::Gate;
use crate::error::Fault;
use crate::topology::Call;

/// Indexes that one step takes members of.
pub(super) const INDEXES: usize = 32;

/// Entries that one invalidation has named; see `reclaim.lua`.
pub(super) struct Group<'k> {
    pub(super) epoch: u64,
    pub(super) clock: u64,
    pub(super) floor: u64,
    pub(super) everything: bool,
    pub(super) tags: &'k [Tag],
    /// Their marks before the invalidation. Of no use where nothing is counted.
    pub(super) before: &'k [u64],
    pub(super) members: Vec<String>,
}

impl Inner {
    /// Takes the members of one step from the first of these indexes, in one trip. Of each of them
    /// in order, what was taken.
    pub(super) async fn take(
        &self,
        shard: u16,
        asides: &mut [Aside],
    ) -> Result<Vec<Vec<String>>, Fault> {
        let mut room = self.settings.reclaim_step;
        let wanted = asides.iter().take(INDEXES).map_while(|aside| {
            let at_hand = aside.taken.len();
            let more = aside.left.min(room.saturating_sub(at_hand));
            let has_room = room > 0;
            room = room.saturating_sub(at_hand + more);
            has_room.then_some(more)
        });
        let wanted: Vec<usize> = wanted.collect();
        let popped = self.pop(shard, asides, &wanted).await?;
        let taken = asides.iter_mut().zip(wanted).zip(popped).map(|((aside, wanted), popped)| {
            // Fewer than asked for: the index has expired, or somebody has tampered with it.
            aside.left = if popped.len() < wanted { 0 } else { aside.left - wanted };
            let mut members = mem::take(&mut aside.taken);
            members.extend(popped.iter().filter_map(name_of));
            members
        });
        Ok(taken.collect())
    }

    async fn pop(
        &self,
        shard: u16,
        asides: &[Aside],
        wanted: &[usize],
    ) -> Result<Vec<Vec<Value>>, Fault> {
        let from = || asides.iter().zip(wanted).filter(|(_, wanted)| **wanted > 0);
        let mut replies = Vec::new().into_iter();
        if from().next().is_some() {
            let call = Call {
                shard,
                gate: Gate::Heed,
                meta: 0,
                repeatable: false,
                build: &|commands| {
                    for (aside, wanted) in from() {
                        commands.command("SPOP").arg(&aside.name).arg(*wanted);
                    }
                },
            };
            replies = self.topology.call(&call).await?.values.into_iter();
        }
        let popped = wanted.iter().map(|wanted| match (wanted, replies.by_ref()) {
            (0, _) => Ok(Vec::new()),
            (_, replies) => match replies.next() {
                Some(Value::Array(members) | Value::Set(members)) => Ok(members),
                Some(Value::ServerError(error)) if error.code() == "WRONGTYPE" => Ok(Vec::new()),
                Some(Value::ServerError(error)) => Err(Fault::server(&error)),
                _ => Err(Fault::Protocol("SPOP")),
            },
        });
        popped.collect()
    }

    /// Unlinks the entries that their invalidations have killed; see `reclaim.lua`.
    pub(super) async fn unlink_dead(
        &self,
        shard: u16,
        counting: bool,
        groups: &[Group<'_>],
    ) -> Result<u64, Fault> {
        let mut keys = vec![self.layout.meta(shard).to_owned()];
        let mut args = vec![flag(counting)];
        for group in groups {
            keys.extend(group.members.iter().map(|member| self.layout.entry(shard, member)));
            args.extend([
                group.members.len().to_string(),
                group.epoch.to_string(),
                group.clock.to_string(),
                group.floor.to_string(),
                flag(group.everything),
                group.tags.len().to_string(),
            ]);
            args.extend(group.tags.iter().map(|tag| tag.as_str().to_owned()));
            args.extend(group.before.iter().map(u64::to_string));
        }
        let reply =
            self.eval(&self.scripts.reclaim, shard, (Gate::Heed, false), &keys, &args).await?;
        integer(&reply)
    }
}

/// A member as a name. Names of ours are text; anything else was planted.
pub(in super::super) fn name_of(member: &Value) -> Option<String> {
    match member {
        Value::BulkString(name) => String::from_utf8(name.clone()).ok(),
        _ => None,
    }
}

fn flag(set: bool) -> String {
    if set { "1" } else { "0" }.to_owned()
}
