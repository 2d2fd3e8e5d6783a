//! What the map of tags has for each, and is asked for by.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use cache_core::tag::Tag;

use super::Cell;
use crate::slot::Slot;

/// What there is for a tag. As a key of the map it is equal to its tag, of which it has the hash, so
/// that nothing that lies far away is read for the sake of others.
#[derive(Debug)]
pub(super) enum Known {
    Cell {
        hash: u32,
        cell: Arc<Cell>,
    },
    /// Nothing but one slot, whose own tag it is.
    Alone {
        hash: u32,
        slot: Arc<Slot>,
    },
}

impl Known {
    pub(super) fn cell(&self) -> Option<&Arc<Cell>> {
        match self {
            Self::Cell { cell, .. } => Some(cell),
            Self::Alone { .. } => None,
        }
    }

    pub(super) fn is_alone(&self, slot: &Arc<Slot>) -> bool {
        matches!(self, Self::Alone { slot: own, .. } if Arc::ptr_eq(own, slot))
    }
}

/// What the map finds things by: a tag and its hash.
pub(super) trait Named {
    /// There is one: what the map has for a slot has the slot's own.
    fn tag(&self) -> Option<&Tag>;
    fn hash(&self) -> u32;
}

impl Named for Known {
    fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Cell { cell, .. } => Some(&cell.tag),
            Self::Alone { slot, .. } => slot.own_tag(),
        }
    }

    fn hash(&self) -> u32 {
        match self {
            Self::Cell { hash, .. } | Self::Alone { hash, .. } => *hash,
        }
    }
}

/// A tag that is looked for.
pub(super) struct Sought<'t> {
    pub(super) tag: &'t Tag,
    pub(super) hash: u32,
}

impl Named for Sought<'_> {
    fn tag(&self) -> Option<&Tag> {
        Some(self.tag)
    }

    fn hash(&self) -> u32 {
        self.hash
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        let same = |(own, others): (&Tag, &Tag)| {
            // Who goes looks for the tag that is there: its text need not be read for that.
            std::ptr::eq(own, others) || own == others
        };
        self.hash() == other.hash() && self.tag().zip(other.tag()).is_some_and(same)
    }
}

impl Eq for dyn Named + '_ {}

impl Hash for dyn Named + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(Named::hash(self));
    }
}

impl<'n> Borrow<dyn Named + 'n> for Known {
    fn borrow(&self) -> &(dyn Named + 'n) {
        self
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        let (own, others): (&dyn Named, &dyn Named) = (self, other);
        own == others
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let named: &dyn Named = self;
        Hash::hash(named, state);
    }
}
