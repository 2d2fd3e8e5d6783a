//! A set of slots, each of which knows its place in it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::{mem, option, vec};

use crate::slot::Slot;

/// A set of slots by identity, sized for what sets there are: many have one member, some have
/// very many.
///
/// A slot keeps its [`Place`] in each set that it is a member of, so that a member is found
/// without a search, and of a large set only its end and the place of the leaver are touched. The
/// caller says which of the slot's places is that of this set.
#[derive(Debug, Default)]
pub(crate) enum Members {
    #[default]
    None,
    One(Member),
    Many(Box<List>),
}

/// In a box, so that a set with one member, as most are, does not pay for it.
#[derive(Debug)]
pub(crate) struct List(Vec<Member>);

/// A slot, not kept alive. Its address is not used again while this is there.
#[derive(Clone, Debug)]
pub(crate) struct Member(Weak<Slot>);

/// Where a slot is in a set. It is read and written by who has the set to himself, and means
/// nothing where the slot is no member.
#[derive(Debug, Default)]
pub(crate) struct Place(AtomicU32);

/// Hands out the members of a set that is no longer in use.
#[derive(Debug)]
pub(crate) enum IntoIter {
    One(option::IntoIter<Member>),
    Many(vec::IntoIter<Member>),
}

/// Lists of at most so many places keep them.
const KEPT: usize = 8;

impl Members {
    pub(crate) const fn is_empty(&self) -> bool {
        // A list that loses its last member becomes `None`.
        matches!(self, Self::None)
    }

    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(list) => list.0.len(),
        }
    }

    /// The member at a place below [`len`](Self::len).
    pub(crate) fn at(&self, place: usize) -> Option<&Member> {
        match self {
            Self::None => None,
            Self::One(one) => (place == 0).then_some(one),
            Self::Many(list) => list.0.get(place),
        }
    }

    /// Whether the slot is a member. `place` is its own place in this set.
    pub(crate) fn has(&self, slot: &Arc<Slot>, place: &Place) -> bool {
        // A slot that is no member may have kept a place that is another's by now.
        self.at(place.get()).is_some_and(|member| member.is(slot))
    }

    /// Puts in a slot that is no member. `place` is its own place in this set.
    pub(crate) fn insert(&mut self, slot: &Arc<Slot>, place: &Place) {
        place.set(self.len());
        let member = Member(Arc::downgrade(slot));
        match self {
            Self::None => *self = Self::One(member),
            Self::One(_) => {
                let mut list = Vec::with_capacity(4);
                if let Self::One(one) = mem::take(self) {
                    list.push(one);
                }
                list.push(member);
                *self = Self::Many(Box::new(List(list)));
            }
            Self::Many(list) => {
                let list = &mut list.0;
                if list.len() == list.capacity() {
                    // Not twice as much: there are several places for each entry.
                    list.reserve_exact((list.len() / 4).max(4));
                }
                list.push(member);
            }
        }
    }

    /// Takes a slot out; `place_of` gives the place of a slot in this set. Whether it was there.
    pub(crate) fn remove(
        &mut self,
        slot: &Arc<Slot>,
        place_of: impl Fn(&Slot) -> Option<&Place>,
    ) -> bool {
        let Some(place) = place_of(slot).filter(|place| self.has(slot, place)) else {
            return false;
        };
        let place = place.get();
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Many(list) => {
                list.0.swap_remove(place);
                // A member is taken out before it goes.
                let moved = list.0.get(place).and_then(Member::slot);
                if let Some(moved) = moved.as_deref().and_then(place_of) {
                    moved.set(place);
                }
                self.tidy();
            }
        }
        true
    }

    /// Takes out the last one.
    pub(crate) fn pop(&mut self) -> Option<Member> {
        match self {
            Self::None => None,
            Self::One(_) => self.take().next(),
            Self::Many(list) => {
                let last = list.0.pop();
                self.tidy();
                last
            }
        }
    }

    /// Leaves the set empty, in constant time.
    pub(crate) fn take(&mut self) -> IntoIter {
        match mem::take(self) {
            Self::None => IntoIter::One(None.into_iter()),
            Self::One(one) => IntoIter::One(Some(one).into_iter()),
            Self::Many(list) => IntoIter::Many(list.0.into_iter()),
        }
    }

    /// Gives back what a list does not need any more, at a constant cost per removal. Many lists are
    /// long at first and short for long: of a second's entries only a few are asked for again.
    fn tidy(&mut self) {
        let Self::Many(list) = self else { return };
        let list = &mut list.0;
        match list.len() {
            0 | 1 => *self = list.pop().map_or(Self::None, Self::One),
            length if list.capacity() > KEPT && length < list.capacity() / 4 => {
                list.shrink_to(length * 2);
            }
            _ => {}
        }
    }
}

impl Member {
    /// The slot, unless it is gone.
    pub(crate) fn slot(&self) -> Option<Arc<Slot>> {
        self.0.upgrade()
    }

    fn is(&self, slot: &Arc<Slot>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(slot))
    }
}

impl Place {
    pub(crate) const fn new(raw: u32) -> Self {
        Self(AtomicU32::new(raw))
    }

    pub(crate) fn raw(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    fn get(&self) -> usize {
        usize::try_from(self.raw()).unwrap_or(usize::MAX)
    }

    /// No set has more than 2³² members: the cache counts its entries in 32 bits.
    fn set(&self, place: usize) {
        self.0.store(u32::try_from(place).unwrap_or(u32::MAX), Ordering::Release);
    }
}

impl Iterator for IntoIter {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        match self {
            Self::One(members) => members.next(),
            Self::Many(members) => members.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(members) => members.size_hint(),
            Self::Many(members) => members.size_hint(),
        }
    }
}

impl ExactSizeIterator for IntoIter {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::slot;

    fn place(slot: &Slot) -> Option<&Place> {
        Some(&slot.due)
    }

    #[test]
    fn a_set_grows_and_shrinks_through_all_its_forms() {
        for size in [1, 2, 5, 1_000] {
            let slots: Vec<_> = (0..size).map(|_| slot()).collect();
            let mut members = Members::default();
            for slot in &slots {
                members.insert(slot, &slot.due);
                assert!(!members.is_empty(), "{size}");
            }
            assert!(!members.remove(&slot(), place), "{size}");
            // From the middle outwards, so that most move before they leave.
            let (low, high) = slots.split_at(size / 2);
            let order: Vec<_> = low.iter().rev().chain(high).collect();
            for (gone, slot) in order.into_iter().enumerate() {
                assert_eq!(members.len(), size - gone, "{size}");
                assert!(members.remove(slot, place), "{size}");
                assert!(!members.remove(slot, place), "{size}");
            }
            assert!(members.is_empty(), "{size}");
        }
    }

    #[test]
    fn a_list_gives_back_the_room_of_those_who_left() {
        let slots: Vec<_> = (0..100).map(|_| slot()).collect();
        let mut members = Members::default();
        slots.iter().for_each(|slot| members.insert(slot, &slot.due));
        for (gone, slot) in slots.iter().enumerate() {
            let (length, room) = match &members {
                Members::Many(list) => (list.0.len(), list.0.capacity()),
                Members::None | Members::One(_) => (members.len(), members.len()),
            };
            assert_eq!(length, slots.len() - gone);
            assert!(room <= KEPT.max(4 * length + 3), "{room} places for {length}");
            assert!(members.remove(slot, place));
        }
        assert!(members.is_empty());
        members.insert(&slots[0], &slots[0].due);
        members.insert(&slots[1], &slots[1].due);
        // The one that stays knows its place.
        assert!(members.remove(&slots[0], place));
        assert!(members.remove(&slots[1], place));
    }

    #[test]
    fn who_was_taken_is_not_mistaken_for_who_came_after() {
        let (old, new) = (slot(), slot());
        let mut members = Members::default();
        members.insert(&old, &old.due);
        members.take();
        members.insert(&new, &new.due);
        assert!(!members.remove(&old, place));
        assert!(members.remove(&new, place));
    }

    #[test]
    fn taking_leaves_nothing_and_gives_each_member_once() {
        for size in [0, 1, 5, 100] {
            let slots: Vec<_> = (0..size).map(|_| slot()).collect();
            let mut members = Members::default();
            slots.iter().for_each(|slot| members.insert(slot, &slot.due));
            let taken = members.take();
            assert!(members.is_empty());
            assert_eq!(taken.len(), size);
            let taken = taken.filter_map(|member| member.slot());
            let mut addresses: Vec<_> = taken.map(|slot| Arc::as_ptr(&slot).addr()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len(), size);
        }
    }

    #[test]
    fn the_last_is_popped_until_there_is_none() {
        let slots: Vec<_> = (0..3).map(|_| slot()).collect();
        let mut members = Members::default();
        slots.iter().for_each(|slot| members.insert(slot, &slot.due));
        for slot in slots.iter().rev() {
            assert!(members.pop().is_some_and(|member| member.is(slot)));
        }
        assert!(members.pop().is_none() && members.is_empty());
    }

    #[test]
    fn a_member_does_not_keep_its_slot() {
        let slot = slot();
        let mut members = Members::default();
        members.insert(&slot, &slot.due);
        let member = members.at(0).cloned().unwrap();
        assert!(member.slot().is_some());
        drop(slot);
        assert!(member.slot().is_none());
    }
}
