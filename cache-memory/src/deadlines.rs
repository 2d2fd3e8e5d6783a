//! All slots by the time after which they must not be found.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use crate::lock::lock;
use crate::members::{Members, Place};
use crate::slot::Slot;
use crate::stripes::Stripes;

/// Finds what is due without looking at what is not, and walks over everything in steps.
///
/// A slot is here from before it enters the cache until after it has left.
#[derive(Debug)]
pub(crate) struct Deadlines {
    stripes: Stripes<Mutex<Spans>>,
}

/// Slots by the span of time that their `keep_until` lies in. Within a span they have no order:
/// to come and to go touches nothing but the end of a list, however many there are.
type Spans = BTreeMap<u64, Members>;

/// A span is 2¹⁰ milliseconds.
const SPAN_BITS: u32 = 10;

/// Where a walk over all slots has come to.
///
/// Each span is gone through from its end: who leaves a list is replaced by its last member, which
/// has been seen.
#[derive(Debug)]
pub(crate) struct Walk {
    stripe: usize,
    span: u64,
    /// How many of the span's first members have not been seen.
    unseen: usize,
}

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self { stripes: Stripes::new() }
    }

    pub(crate) fn insert(&self, slot: &Arc<Slot>) {
        let mut spans = lock(self.stripe(slot));
        spans.entry(span_of(slot)).or_default().insert(slot, &slot.due);
    }

    pub(crate) fn remove(&self, slot: &Arc<Slot>) {
        let mut spans = lock(self.stripe(slot));
        if let Entry::Occupied(mut members) = spans.entry(span_of(slot)) {
            members.get_mut().remove(slot, place);
            if members.get().is_empty() {
                members.remove();
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.stripes
            .iter()
            .map(|stripe| lock(stripe).values().map(Members::len).sum::<usize>())
            .sum()
    }

    /// Takes out up to `limit` slots whose time has passed at `now`, in milliseconds.
    ///
    /// Rounded down on both sides, so a slot is taken when its `keep_until` is surely past. With a
    /// limit it may be so when the span is over: no more than that many slots of the present span
    /// are looked at, in all.
    pub(crate) fn take_due(&self, now: u64, limit: usize) -> Vec<Arc<Slot>> {
        let (mut taken, mut looks) = (Vec::new(), limit);
        for stripe in self.stripes.iter() {
            let mut spans = lock(stripe);
            while taken.len() < limit
                && let Some(mut first) = spans.first_entry()
                && *first.key() <= now >> SPAN_BITS
            {
                let is_over = *first.key() < now >> SPAN_BITS;
                let members = first.get_mut();
                if is_over {
                    while taken.len() < limit
                        && let Some(member) = members.pop()
                    {
                        taken.extend(member.slot());
                    }
                } else {
                    looks -= take_past(members, now, looks.min(limit - taken.len()), &mut taken);
                }
                if members.is_empty() {
                    first.remove();
                } else {
                    break;
                }
            }
        }
        taken
    }

    /// The next slots of a walk, at most `limit`; none at its end. Slots that come in behind the
    /// walk are not seen, nor need be those that come in while it goes on.
    pub(crate) fn advance(&self, walk: &mut Walk, limit: usize) -> Vec<Arc<Slot>> {
        let mut found = Vec::new();
        while let Some(stripe) = self.stripes.at(walk.stripe) {
            let spans = lock(stripe);
            for (span, members) in spans.range(walk.span..) {
                if *span != walk.span {
                    (walk.span, walk.unseen) = (*span, usize::MAX);
                }
                walk.unseen = walk.unseen.min(members.len());
                while walk.unseen > 0 {
                    if found.len() == limit {
                        return found;
                    }
                    walk.unseen -= 1;
                    found.extend(members.at(walk.unseen).and_then(|member| member.slot()));
                }
            }
            *walk = Walk { stripe: walk.stripe + 1, ..Walk::default() };
        }
        found
    }

    fn stripe(&self, slot: &Arc<Slot>) -> &Mutex<Spans> {
        self.stripes.of(u64::try_from(Arc::as_ptr(slot).addr()).unwrap_or(0) >> 4)
    }
}

impl Default for Walk {
    fn default() -> Self {
        Self { stripe: 0, span: 0, unseen: usize::MAX }
    }
}

/// Takes out those that are past, of the last `looks` ones. Says how many were looked at.
fn take_past(members: &mut Members, now: u64, looks: usize, taken: &mut Vec<Arc<Slot>>) -> usize {
    let length = members.len();
    let first = length.saturating_sub(looks);
    for at in (first..length).rev() {
        let slot = members.at(at).and_then(|member| member.slot());
        if let Some(slot) = slot.filter(|slot| millis_of(slot) < now) {
            members.remove(&slot, place);
            taken.push(slot);
        }
    }
    length - first
}

fn span_of(slot: &Slot) -> u64 {
    millis_of(slot) >> SPAN_BITS
}

fn millis_of(slot: &Slot) -> u64 {
    slot.entry.keep_until_in_millis()
}

#[expect(clippy::unnecessary_wraps, reason = "a place that every slot has")]
fn place(slot: &Slot) -> Option<&Place> {
    Some(&slot.due)
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
        assert_eq!(deadlines.take_due(10, 1000).len(), 10);
        assert_eq!(deadlines.len(), 90);
        slots.iter().for_each(|slot| deadlines.remove(slot));
        assert_eq!(deadlines.len(), 0);
    }

    #[test]
    fn with_a_limit_what_is_past_is_taken_when_its_span_is_over() {
        let deadlines = Deadlines::new();
        let slots: Vec<_> = (0..3000).map(slot_until).collect();
        slots.iter().for_each(|slot| deadlines.insert(slot));
        let (mut taken, span) = (0, 1 << SPAN_BITS);
        loop {
            let due = deadlines.take_due(2 * span, 7);
            if due.is_empty() {
                break;
            }
            assert!(due.len() <= 7 && due.iter().all(|slot| millis_of(slot) < 2 * span));
            taken += due.len();
        }
        assert_eq!(taken, 2 * 1024);
        assert_eq!(deadlines.take_due(2 * span + 10, usize::MAX).len(), 10);
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
