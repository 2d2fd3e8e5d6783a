//! All slots by the time after which they must not be found.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use cache_core::clock::unix_millis;

use crate::lock::lock;
use crate::members::Member;
use crate::slot::Slot;
use crate::stripes::Stripes;

/// Finds what is due without looking at what is not, and walks over everything in steps.
///
/// A slot is here from before it enters the cache until after it has left.
#[derive(Debug)]
pub(crate) struct Deadlines {
    stripes: Stripes<Mutex<BTreeSet<Due>>>,
}

/// A slot and its `keep_until` in milliseconds, rounded down.
#[derive(Clone, Debug)]
struct Due {
    millis: u64,
    member: Member,
}

/// Where a walk over all slots has come to.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    stripe: usize,
    after: Option<Due>,
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self { stripes: Stripes::new() }
    }

    pub(crate) fn insert(&self, slot: &Arc<Slot>) {
        let due = Due::of(slot);
        lock(self.stripe(&due)).insert(due);
    }

    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        let due = Due::of(slot);
        lock(self.stripe(&due)).remove(&due);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.stripes.iter().map(|stripe| lock(stripe).len()).sum()
    }

    /// Takes out up to `limit` slots whose time has passed at `now`, in milliseconds.
    ///
    /// Rounded down on both sides, so a slot is taken when its `keep_until` is surely past, at
    /// most a millisecond late.
    pub(crate) fn take_due(&self, now: u64, limit: usize) -> Vec<Arc<Slot>> {
        let mut taken = Vec::new();
        for stripe in self.stripes.iter() {
            let mut stripe = lock(stripe);
            while taken.len() < limit && stripe.first().is_some_and(|due| due.millis < now) {
                taken.extend(stripe.pop_first().and_then(|due| due.member.slot()));
            }
        }
        taken
    }

    /// The next slots of a walk, at most `limit`; none at its end. Slots that come in behind the
    /// walk are not seen.
    pub(crate) fn advance(&self, walk: &mut Walk, limit: usize) -> Vec<Arc<Slot>> {
        let mut found = Vec::new();
        while let Some(stripe) = self.stripes.at(walk.stripe) {
            let stripe = lock(stripe);
            let from = walk.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut last = None;
            for due in stripe.range((from, Bound::Unbounded)) {
                if found.len() == limit {
                    break;
                }
                found.extend(due.member.slot());
                last = Some(due.clone());
            }
            if last.is_some() {
                walk.after = last;
            }
            if found.len() == limit {
                break;
            }
            walk.stripe += 1;
            walk.after = None;
        }
        found
    }

    fn stripe(&self, due: &Due) -> &Mutex<BTreeSet<Due>> {
        self.stripes.of(u64::try_from(due.member.address()).unwrap_or(0) >> 4)
    }
}

impl Due {
    fn of(slot: &Arc<Slot>) -> Self {
        Self { millis: unix_millis(slot.entry.keep_until()), member: Member::of(slot) }
    }

    fn order(&self) -> (u64, usize) {
        (self.millis, self.member.address())
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::slot_until;

    #[test]
    fn only_what_is_past_is_due() {
        let deadlines = Deadlines::new();
        let slots: Vec<_> = (0..100).map(slot_until).collect();
        slots.iter().for_each(|slot| deadlines.insert(slot));
        assert!(deadlines.take_due(0, 1000).is_empty());
        assert_eq!(deadlines.take_due(10, 4).len(), 4);
        assert_eq!(deadlines.take_due(10, 1000).len(), 6);
        assert_eq!(deadlines.len(), 90);
        slots.iter().for_each(|slot| deadlines.remove(slot));
        assert_eq!(deadlines.len(), 0);
    }

    #[test]
    fn a_walk_meets_each_slot_once_while_it_removes_them() {
        for step in [1, 7, 1000] {
            let deadlines = Deadlines::new();
            let slots: Vec<_> = (0..200).map(|n| slot_until(n % 5)).collect();
            slots.iter().for_each(|slot| deadlines.insert(slot));
            let (mut walk, mut seen) = (Walk::default(), HashSet::new());
            loop {
                let found = deadlines.advance(&mut walk, step);
                if found.is_empty() {
                    break;
                }
                for slot in found {
                    assert!(seen.insert(Arc::as_ptr(&slot)), "{step}");
                    deadlines.remove(&slot);
                }
            }
            assert_eq!(seen.len(), 200, "{step}");
            assert_eq!(deadlines.len(), 0, "{step}");
        }
    }
}
