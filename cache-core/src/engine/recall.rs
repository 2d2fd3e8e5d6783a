//! What this process last saw under a primary key: the nominated fields of its responses, and
//! their tags. It saves trips to stores that wait, and is never relied on: names that lead
//! nowhere lead to another lookup, and hints change no answer.

use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderName;

use crate::key::Digest;
use crate::tag::Tags;

const SLOTS: usize = 8192;

/// What is known of one primary key.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// The fields that select a variant; empty where there are no variants.
    pub(crate) names: Arc<[HeaderName]>,
    /// The tags of the entry last found or stored.
    pub(crate) tags: Tags,
}

/// A fixed-size table; a collision replaces.
#[derive(Debug)]
pub(crate) struct Recall {
    slots: Box<[Slot]>,
}

type Slot = Mutex<Option<(Digest, Known)>>;

impl Default for Recall {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| Mutex::new(None)).collect() }
    }
}

impl Recall {
    /// What is known, if anything.
    pub(crate) fn get(&self, primary: &Digest) -> Known {
        let slot =
            self.slot(primary).map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner));
        match slot.as_deref() {
            Some(Some((owner, known))) if owner == primary => known.clone(),
            _ => Known::default(),
        }
    }

    /// Replaces what is known.
    pub(crate) fn set(&self, primary: &Digest, known: Known) {
        if let Some(slot) = self.slot(primary) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some((*primary, known));
        }
    }

    fn slot(&self, primary: &Digest) -> Option<&Slot> {
        self.slots.get(usize::try_from(primary.fold() % SLOTS as u64).unwrap_or_default())
    }
}
