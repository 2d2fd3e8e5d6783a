//! The set of slots that carry one tag.

use std::collections::{HashSet, hash_set};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Weak};
use std::{mem, option, vec};

use crate::slot::Slot;

/// Above this many members a list becomes a table.
const FEW: usize = 16;

/// A set of slots by identity, sized for what tags are: most have one member (the tag of a key),
/// some have very many.
#[derive(Debug, Default)]
pub(crate) enum Members {
    #[default]
    None,
    One(Member),
    Few(Box<List>),
    Many(Box<Table>),
}

/// In a box, so that a tag with one member, as most are, does not pay for it.
#[derive(Debug)]
pub(crate) struct List(Vec<Member>);

type Table = HashSet<Member, BuildHasherDefault<AddressHasher>>;

/// A slot known by its address.
#[derive(Clone, Debug)]
pub(crate) struct Member(Weak<Slot>);

/// Hands out the members of a set that is no longer in use.
#[derive(Debug)]
pub(crate) enum IntoIter {
    One(option::IntoIter<Member>),
    Few(vec::IntoIter<Member>),
    Many(hash_set::IntoIter<Member>),
}

impl Members {
    pub(crate) const fn is_empty(&self) -> bool {
        // A list or table that loses its last member becomes `None`.
        matches!(self, Self::None)
    }

    pub(crate) fn insert(&mut self, member: Member) {
        match self {
            Self::None => *self = Self::One(member),
            Self::One(one) if *one == member => {}
            Self::One(_) => {
                let mut list = Vec::with_capacity(4);
                if let Self::One(one) = mem::take(self) {
                    list.push(one);
                }
                list.push(member);
                *self = Self::Few(Box::new(List(list)));
            }
            Self::Few(list) if list.0.contains(&member) => {}
            Self::Few(list) if list.0.len() < FEW => list.0.push(member),
            Self::Few(list) => {
                let mut table: Table = list.0.drain(..).collect();
                table.insert(member);
                *self = Self::Many(Box::new(table));
            }
            Self::Many(table) => {
                table.insert(member);
            }
        }
    }

    /// Whether the member was there.
    pub(crate) fn remove(&mut self, member: &Member) -> bool {
        let (found, left) = match self {
            Self::None => (false, true),
            Self::One(one) => (one == member, one != member),
            Self::Few(list) => {
                let list = &mut list.0;
                let at = list.iter().position(|other| other == member);
                if let Some(at) = at {
                    list.swap_remove(at);
                }
                (at.is_some(), !list.is_empty())
            }
            Self::Many(table) => {
                let found = table.remove(member);
                // Bounded waste after a mass of evictions, at a constant cost per removal.
                if found && table.capacity() > 8 * FEW && table.len() < table.capacity() / 8 {
                    table.shrink_to(table.len() * 2);
                }
                (found, !table.is_empty())
            }
        };
        if found && !left {
            *self = Self::None;
        }
        found
    }

    /// Leaves the set empty, in constant time.
    pub(crate) fn take(&mut self) -> IntoIter {
        match mem::take(self) {
            Self::None => IntoIter::One(None.into_iter()),
            Self::One(one) => IntoIter::One(Some(one).into_iter()),
            Self::Few(list) => IntoIter::Few(list.0.into_iter()),
            Self::Many(table) => IntoIter::Many(table.into_iter()),
        }
    }
}

impl Member {
    pub(crate) fn of(slot: &Arc<Slot>) -> Self {
        Self(Arc::downgrade(slot))
    }

    /// The slot, unless it is gone.
    pub(crate) fn slot(&self) -> Option<Arc<Slot>> {
        self.0.upgrade()
    }

    pub(crate) fn address(&self) -> usize {
        self.0.as_ptr().addr()
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.address());
    }
}

impl Iterator for IntoIter {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        match self {
            Self::One(members) => members.next(),
            Self::Few(members) => members.next(),
            Self::Many(members) => members.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(members) => members.size_hint(),
            Self::Few(members) => members.size_hint(),
            Self::Many(members) => members.size_hint(),
        }
    }
}

impl ExactSizeIterator for IntoIter {}

/// Hashes an address, which nobody outside can choose.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, i: u64) {
        // 2⁶⁴/φ mixes the address into the high bits, the shift brings them down: the table takes
        // its position from the low bits and its check byte from the high ones.
        let mixed = (self.0.rotate_left(5) ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn write_usize(&mut self, i: usize) {
        self.write_u64(u64::try_from(i).unwrap_or(u64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::slot;

    #[test]
    fn a_set_grows_and_shrinks_through_all_its_forms() {
        for size in [1, 2, FEW, FEW + 1, 10 * FEW] {
            let slots: Vec<_> = (0..size).map(|_| slot(&[])).collect();
            let mut members = Members::default();
            for slot in &slots {
                members.insert(Member::of(slot));
                members.insert(Member::of(slot));
                assert!(!members.is_empty(), "{size}");
            }
            assert!(!members.remove(&Member::of(&slot(&[]))), "{size}");
            for (at, slot) in slots.iter().enumerate() {
                assert!(members.remove(&Member::of(slot)), "{size}");
                assert!(!members.remove(&Member::of(slot)), "{size}");
                assert_eq!(members.is_empty(), at + 1 == size, "{size}");
            }
        }
    }

    #[test]
    fn taking_leaves_nothing_and_gives_each_member_once() {
        for size in [0, 1, 5, 100] {
            let slots: Vec<_> = (0..size).map(|_| slot(&[])).collect();
            let mut members = Members::default();
            slots.iter().for_each(|slot| members.insert(Member::of(slot)));
            let taken = members.take();
            assert!(members.is_empty());
            assert_eq!(taken.len(), size);
            let mut addresses: Vec<_> = taken.map(|member| member.address()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses.len(), size);
        }
    }

    #[test]
    fn a_member_does_not_keep_its_slot() {
        let slot = slot(&[]);
        let member = Member::of(&slot);
        assert!(member.slot().is_some());
        drop(slot);
        assert!(member.slot().is_none());
    }
}
