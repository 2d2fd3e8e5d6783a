//! What comes in between the steps of a put.

use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::ManualClock;
use cache_core::entry::{Content, Entry};
use cache_core::key::Digest;
use cache_core::tag::Tags;

use super::*;
use crate::slot::Phase;

/// A put that stops half-way, so that something else can come in between.
struct Halfway {
    store: MemoryStore,
    clock: Arc<ManualClock>,
    ticket: Ticket,
    slot: Arc<Slot>,
}

impl Halfway {
    /// Up to where the indexes know the slot and the cache does not.
    fn enrolled() -> Self {
        let clock = Arc::new(ManualClock::default());
        let builder = MemoryStore::builder().clock(Arc::<ManualClock>::clone(&clock));
        let store = builder.build().unwrap();
        let key = Key::new(Digest::of(b"k"));
        let keep_until = clock.now() + Duration::from_millis(5);
        let content = Content::Variants(Default::default());
        let entry = Entry::new(key, tags(), keep_until, content, Bytes::new());
        let ticket = store.0.ticket(&key);
        let stamp = store.0.cells.reading_of(&ticket).unwrap();
        let slot = store.0.enrol(&entry, stamp, 1).unwrap();
        Self { store, clock, ticket, slot }
    }

    /// Up to where a lookup can find the slot and there is no verdict.
    fn inserted() -> Self {
        let halfway = Self::enrolled();
        assert!(halfway.store.0.entries.insert(&halfway.slot).is_empty());
        halfway
    }

    fn leaves_nothing(self) {
        drop(self.ticket);
        let inner = &self.store.0;
        assert_eq!((inner.entries.len(), inner.deadlines.len(), inner.cells.len()), (0, 0, 0));
    }
}

fn tags() -> Tags {
    Tags::user(["a", "b"]).unwrap()
}

#[test]
fn invalidated_before_the_insertion() {
    for clear in [false, true] {
        let put = Halfway::enrolled();
        let inner = &put.store.0;
        let done = if clear { inner.clear() } else { inner.invalidate(&tags()) };
        assert_eq!(done, Invalidated::new(0, true));
        assert_eq!(inner.insert(&put.slot), PutOutcome::Superseded);
        put.leaves_nothing();
    }
}

#[test]
fn invalidated_between_insertion_and_verdict() {
    for clear in [false, true] {
        let put = Halfway::inserted();
        let inner = &put.store.0;
        assert!(inner.find(put.ticket.key(), inner.clock.now_in_millis()).is_some());
        let done = if clear { inner.clear() } else { inner.invalidate(&tags()) };
        assert_eq!(done, Invalidated::new(0, true), "what is not stored is not removed");
        assert!(!put.slot.confirm());
        put.leaves_nothing();
    }
}

#[test]
fn expired_before_the_insertion() {
    let put = Halfway::enrolled();
    put.clock.advance(Duration::from_millis(6));
    put.store.sweep();
    assert_eq!(put.store.0.insert(&put.slot), PutOutcome::Stored);
    put.leaves_nothing();
}

#[test]
fn of_two_removers_the_first_removes_and_counts() {
    for clear in [false, true] {
        let put = Halfway::inserted();
        let inner = &put.store.0;
        assert!(put.slot.confirm());
        assert_eq!(put.slot.condemn(), Phase::Confirmed);
        let done = if clear { inner.clear() } else { inner.invalidate(&tags()) };
        assert_eq!(done, Invalidated::new(0, true));
        assert!(inner.take_out(&put.slot), "the second has left it to the first");
        put.leaves_nothing();
    }
}

#[test]
fn a_late_removal_spares_the_replacement() {
    let put = Halfway::inserted();
    let inner = &put.store.0;
    assert!(put.slot.confirm());
    let again = inner.enrol(&put.slot.entry, put.slot.stamp, 1).unwrap();
    assert_eq!(inner.insert(&again), PutOutcome::Stored);
    assert_eq!(inner.remove(&put.slot), None);
    assert!(inner.find(put.ticket.key(), inner.clock.now_in_millis()).is_some());
    assert_eq!(inner.invalidate(&tags()), Invalidated::new(1, true));
    put.leaves_nothing();
}
