//! Mutants that only go wrong over time: between the steps of a call, or after it.

use std::time::Duration;

use cache_core::entry::Entry;
use cache_core::key::Key;
use cache_core::store::{Invalidated, Lookup, PutOutcome, Selection, StoreError, Ticket};
use cache_core::tag::Tags;

use super::queue::Job;
use super::shard::Held;
use super::{Bug, Reference, of};

impl Reference {
    /// The whole put of a mutant that takes several steps, or only what comes before it.
    pub(super) async fn put_in_steps(&self, ticket: &Ticket, entry: &Entry) -> Option<PutOutcome> {
        match self.bug {
            Some(Bug::CheckedAfterWriting) => {
                let stamp = ticket.stamp();
                let held = Held::new(entry.clone(), stamp);
                self.write(of(&mut self.lock(), &entry.key()), held);
                tokio::task::yield_now().await;
                let mut shards = self.lock();
                let shard = of(&mut shards, &self.slot(&entry.key()));
                if shard.is_valid(entry.tags(), stamp, None) {
                    return Some(PutOutcome::Stored);
                }
                shard.remove_if_stamped(&entry.key(), stamp);
                Some(PutOutcome::Superseded)
            }
            Some(Bug::WrittenInParts) => {
                of(&mut self.lock(), &entry.key()).replace_body(entry);
                tokio::time::sleep(Duration::from_millis(1)).await;
                None
            }
            _ => None,
        }
    }

    /// The same for invalidations.
    pub(super) async fn invalidate_in_steps(
        &self,
        what: &Selection,
    ) -> Option<Result<Invalidated, StoreError>> {
        match (self.bug, what) {
            (Some(Bug::AcknowledgedBeforeDone), _) => {
                self.queue.push(Job::Invalidate(what.clone()));
                Some(Ok(Invalidated::new(0, false)))
            }
            (Some(Bug::ReclaimByName), _) => {
                self.queue.push(Job::Remove(self.listed(what)));
                None
            }
            (Some(Bug::CopiesFedByPush), _) => {
                self.queue.push(Job::DropCopies);
                None
            }
            (Some(Bug::InvalidateNotDetached), Selection::Tags(tags)) => {
                Some(self.invalidate_one_by_one(tags).await)
            }
            (Some(Bug::OrphanedByInvalidation), _) => Some(Ok(self.invalidate_listed(what).await)),
            _ => None,
        }
    }

    async fn invalidate_one_by_one(&self, tags: &Tags) -> Result<Invalidated, StoreError> {
        let mut removed = 0;
        for tag in tags.iter() {
            let one = Selection::Tags(Tags::new(vec![tag.clone()]));
            removed += self.invalidate_now(&one)?.removed;
            tokio::task::yield_now().await;
        }
        Ok(Invalidated::new(removed, true))
    }

    async fn invalidate_listed(&self, what: &Selection) -> Invalidated {
        let names: Vec<_> = self.lock().iter_mut().map(|shard| shard.mark_listed(what)).collect();
        tokio::time::sleep(Duration::from_millis(1)).await;
        let now = self.clock.now();
        let mut removed = 0;
        for (shard, names) in self.lock().iter_mut().zip(&names) {
            removed += shard.reclaim_names(names, what, now);
            shard.unlist(what);
        }
        Invalidated::new(removed, true)
    }

    fn listed(&self, what: &Selection) -> Vec<Key> {
        self.lock().iter().flat_map(|shard| shard.listed(what)).collect()
    }

    /// Counts a step, and does what is due by it.
    pub(super) fn step(&self) {
        match self.queue.step() {
            Some(Job::Invalidate(what)) => drop(self.invalidate_now(&what)),
            Some(Job::Remove(names)) => {
                let now = self.clock.now();
                let mut shards = self.lock();
                for name in names {
                    of(&mut shards, &name).remove_names(&[name], now);
                }
            }
            Some(Job::DropCopies) => self.copies.lock().unwrap().clear(),
            None => {}
        }
    }

    /// What the second handle would rather take than ask.
    pub(super) fn copy(&self, key: &Key) -> Option<Entry> {
        if !self.second {
            return None;
        }
        let copies = self.copies.lock().unwrap();
        copies.get(key).filter(|copy| copy.keep_until() > self.clock.now()).cloned()
    }

    pub(super) fn keep_copy(&self, key: &Key, lookup: &Lookup) {
        if let Lookup::Found(entry, _) = lookup
            && self.second
            && self.has(Bug::CopiesFedByPush)
        {
            self.copies.lock().unwrap().insert(*key, entry.clone());
        }
    }
}
