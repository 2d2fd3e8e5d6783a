//! What this store promises beyond the contract that the conformance suite checks.

mod kit;

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock, ManualClock, unix_millis};
use cache_core::key::{Digest, Key};
use cache_core::store::{
    Guarantee, Invalidated, Lookup, PutOutcome, Refusal, Stamp, Store, StoreErrorKind, Ticket,
};
use cache_memory::MemoryStore;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

use crate::kit::{Kit, entry, key, ready};

const DONE: fn(u64) -> Invalidated = |removed| Invalidated::new(removed, true);

#[test]
fn a_hit_shares_the_body_and_brings_no_ticket() {
    let kit = Kit::new();
    let body = Bytes::from(vec![7; 1000]);
    let put = entry(key("k"), &["t"], kit.clock.now() + Duration::from_secs(1), body.clone());
    assert_eq!(kit.put(kit.miss("k"), put), PutOutcome::Stored);
    match kit.store.try_lookup(&key("k"), &[]) {
        Some(Lookup::Found(found, None)) => assert_eq!(found.body().as_ptr(), body.as_ptr()),
        other => panic!("{other:?}"),
    }
    assert_eq!(kit.store.guarantee(), Guarantee::Linearizable);
}

#[test]
fn a_fill_that_straddles_an_invalidation_is_superseded() {
    let kit = Kit::new();
    let ticket = kit.miss("k");
    assert_eq!(kit.invalidate(&["only known from the response"]), DONE(0));
    let late = kit.entry("k", &["only known from the response"], "late");
    assert_eq!(kit.put(ticket, late), PutOutcome::Superseded);
    assert!(!kit.finds("k"));

    let ticket = kit.miss("k");
    kit.invalidate(&["another"]);
    let unrelated = kit.entry("k", &["t"], "in time");
    assert_eq!(kit.put(ticket, unrelated), PutOutcome::Stored);
    assert!(kit.finds("k"));
}

#[test]
fn a_superseded_put_costs_nobody_else_its_place() {
    let kit = Kit::new();
    let old = kit.begin("k");
    kit.invalidate(&["t"]);
    let new = kit.begin("k");
    assert_eq!(kit.put(new, kit.entry("k", &["t"], "new")), PutOutcome::Stored);
    assert_eq!(kit.put(old, kit.entry("k", &["t"], "old")), PutOutcome::Superseded);
    assert_eq!(kit.find("k").unwrap().body(), "new");

    let old = kit.begin("k");
    kit.clear();
    let new = kit.begin("k");
    assert_eq!(kit.put(new, kit.entry("k", &[], "newer")), PutOutcome::Stored);
    assert_eq!(kit.put(old, kit.entry("k", &[], "old")), PutOutcome::Superseded);
    assert_eq!(kit.find("k").unwrap().body(), "newer");
}

#[test]
fn the_weight_is_that_of_the_entries_held() {
    let kit = Kit::new();
    let weigh = |name: &str, tags: &[&str], body: &str| {
        let before = kit.store.weight();
        assert_eq!(kit.put(kit.begin(name), kit.entry(name, tags, body)), PutOutcome::Stored);
        i128::from(kit.store.weight()) - i128::from(before)
    };
    let bare = weigh("bare", &[], "");
    assert!(bare > 0, "an entry is never free");
    assert_eq!(weigh("body", &[], &"x".repeat(500)), bare + 500);
    assert!(weigh("tags", &["t", "u"], "") > bare + 2);
    assert_eq!(weigh("bare", &[], &"x".repeat(100)), 100, "replacing counts the difference");
    assert_eq!(weigh("bare", &[], ""), -100);
    let tagged = kit.store.weight();
    assert_eq!(kit.invalidate(&["t"]), DONE(1));
    assert_eq!(i128::from(tagged - kit.store.weight()), weigh("tags", &["t", "u"], ""));
    kit.clear();
    assert_eq!(kit.store.weight(), 0);
}

#[test]
fn replacing_unlinks_the_replaced_and_not_the_replacement() {
    let kit = Kit::new();
    kit.fill("k", &["old", "both"]);
    kit.fill("k", &["new", "both"]);
    assert_eq!(kit.store.tag_cells(), 2);
    assert_eq!(kit.invalidate(&["old"]), DONE(0));
    assert!(kit.finds("k"));
    assert_eq!(kit.invalidate(&["both"]), DONE(1));
    assert!(!kit.finds("k"));
    assert_eq!((kit.store.len(), kit.store.weight(), kit.store.tag_cells()), (0, 0, 0));
}

#[test]
fn eviction_cleans_the_index() {
    let kit = Kit::with(|builder| builder.max_bytes(100_000).max_body(10_000));
    for n in 0..2_000 {
        let (name, own) = (format!("k{n}"), format!("own{n}"));
        kit.fill(&name, &["shared", &own]);
        assert!(kit.store.weight() <= 100_000);
    }
    let held = kit.store.len();
    assert!((50..200).contains(&held), "{held}");
    assert_eq!(kit.store.tag_cells(), held + 1);
    assert_eq!(kit.store.keys().len(), held);
    assert_eq!(kit.invalidate(&["shared"]), DONE(held.try_into().unwrap()));
    assert_eq!((kit.store.len(), kit.store.weight(), kit.store.tag_cells()), (0, 0, 0));
}

#[test]
fn the_number_of_entries_is_bounded() {
    for max in [1, 2, 10, 1_000] {
        let kit = Kit::with(|builder| builder.max_entries(max));
        for n in 0..3 * max {
            let name = format!("k{n}");
            kit.put(kit.begin(&name), kit.entry(&name, &[], ""));
        }
        let held = kit.store.len();
        assert!(held <= max && held * 10 >= max * 8, "{held} of {max}");
    }
}

#[test]
fn what_is_too_large_or_not_ours_is_refused() {
    let kit = Kit::with(|builder| builder.max_bytes(100_000).max_body(50_000));
    let put = |ticket, size| {
        let end = kit.clock.now() + Duration::from_secs(1);
        kit.put(ticket, entry(key("k"), &[], end, Bytes::from(vec![0; size])))
    };
    assert_eq!(put(kit.begin("k"), 50_000), PutOutcome::Stored);
    assert_eq!(put(kit.begin("k"), 50_001), PutOutcome::Refused(Refusal::TooLarge));
    assert_eq!(kit.find("k").unwrap().body().len(), 50_000);
    assert_eq!(put(kit.begin("another"), 1), PutOutcome::Refused(Refusal::KeyMismatch));
    let impatient = kit.begin("k").valid_for(Duration::from_millis(10));
    kit.clock.advance(Duration::from_millis(11));
    assert_eq!(put(impatient, 1), PutOutcome::Refused(Refusal::TooOld));

    let foreign = Stamp { epoch: 0, clock: u64::MAX };
    assert_eq!(put(Ticket::new(key("k"), foreign, Duration::ZERO), 1), PutOutcome::Superseded);
    assert_eq!(put(Kit::new().begin("k"), 1), PutOutcome::Superseded);
    assert!(kit.finds("k"));
}

#[test]
fn a_ticket_serves_a_variant_of_its_key() {
    let kit = Kit::new();
    let variant = key("k").variant_of(Digest::of(b"de"));
    let ticket = kit.begin("k").for_variant(variant);
    let german = entry(variant, &["t"], kit.clock.now() + Duration::from_secs(1), Bytes::new());
    assert_eq!(kit.put(ticket, german), PutOutcome::Stored);
    assert!(!kit.finds("k"));
    assert!(matches!(kit.store.try_lookup(&variant, &[]), Some(Lookup::Found(..))));
}

#[test]
fn expiry_is_exact_to_the_millisecond() {
    let kit = Kit::new();
    let short = kit.entry_for(Duration::from_millis(250), "k", &["t"], "");
    kit.put(kit.begin("k"), short);
    kit.clock.advance(Duration::from_millis(250));
    assert!(kit.finds("k"), "at `keep_until` itself");
    kit.clock.advance(Duration::from_millis(1));
    assert!(!kit.finds("k"));
    assert!(kit.store.keys().is_empty());
}

#[test]
fn a_lookup_that_is_told_the_time_goes_by_that() {
    let kit = Kit::new();
    kit.fill("k", &["t"]);
    let end = kit.clock.now() + Duration::from_secs(3600);
    let found = |now| match kit.store.try_lookup_at(&key("k"), &[], unix_millis(now)) {
        Some(Lookup::Found(..)) => true,
        Some(Lookup::Miss(_)) => false,
        other => panic!("{other:?}"),
    };
    assert!(found(kit.clock.now()) && found(end));
    assert!(!found(end + Duration::from_millis(1)));
    // Whatever the time, what is invalid is not found.
    kit.invalidate(&["t"]);
    assert!(!found(kit.clock.now()) && !found(std::time::SystemTime::UNIX_EPOCH));
}

#[test]
fn the_expired_are_freed_without_being_read_and_not_counted() {
    let kit = Kit::new();
    for n in 0..100_u64 {
        let (name, life) = (format!("k{n}"), Duration::from_millis(10 * (n + 1)));
        kit.put(kit.begin(&name), kit.entry_for(life, &name, &["t"], ""));
    }
    kit.clock.advance(Duration::from_millis(501));
    kit.store.sweep();
    assert_eq!(kit.store.len(), 50);
    kit.clock.advance(Duration::from_millis(100));
    assert_eq!(kit.invalidate(&["t"]), DONE(40), "ten more have expired since");
    assert_eq!((kit.store.len(), kit.store.tag_cells()), (0, 0));
}

#[test]
fn an_expired_put_replaces() {
    let kit = Kit::new();
    kit.fill("k", &["t"]);
    let ticket = kit.begin("k");
    let past = kit.entry_for(Duration::ZERO, "k", &["t"], "");
    kit.clock.advance(Duration::from_millis(1));
    assert_eq!(kit.put(ticket, past), PutOutcome::Stored);
    assert!(!kit.finds("k"));
    assert_eq!((kit.store.len(), kit.store.tag_cells()), (0, 0));
}

#[test]
fn a_ticket_keeps_nothing_of_a_store_that_is_gone() {
    let kit = Kit::new();
    let (seen, body) = watched();
    let end = kit.clock.now() + Duration::from_secs(1);
    kit.put(kit.begin("k"), entry(key("k"), &["t"], end, body));
    let _ticket = kit.begin("other");
    drop(kit);
    // The janitor may have the store in hand for a moment.
    let gone = (0..1_000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        seen.upgrade().is_none()
    });
    assert!(gone);
}

/// A body, and what is there as long as it is.
fn watched() -> (Weak<Vec<u8>>, Bytes) {
    struct Shared(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Shared {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let bytes = Arc::new(vec![7; 1_000]);
    (Arc::downgrade(&bytes), Bytes::from_owner(Shared(bytes)))
}

#[test]
fn dropped_tickets_leave_no_cells() {
    let kit = Kit::new();
    let key = key("k");
    for n in 0..1_000_000 {
        let ticket = kit.store.try_lookup(&key, &[]);
        if n % 10 == 0 {
            kit.invalidate(&[&format!("t{n}")]);
        }
        drop(ticket);
    }
    assert_eq!(kit.store.tag_cells(), 0);
}

#[test]
fn a_straggler_keeps_cells_only_as_long_as_it_lives() {
    let kit = Kit::new();
    let old = kit.begin("k");
    for n in 0..10_000 {
        drop(kit.begin("another"));
        kit.invalidate(&[&format!("t{n}")]);
    }
    assert_eq!(kit.store.tag_cells(), 10_000);
    assert_eq!(kit.put(old, kit.entry("k", &["t17"], "")), PutOutcome::Superseded);
    kit.store.sweep();
    assert_eq!(kit.store.tag_cells(), 0);
}

#[test]
fn over_the_cap_the_floor_is_raised() {
    let kit = Kit::with(|builder| builder.mark_cap(10));
    kit.fill("old", &["o"]);
    let first = kit.begin("k");
    for n in 0..10 {
        kit.invalidate(&[&format!("t{n}")]);
    }
    assert!(kit.finds("old"), "within the cap nothing is given up");
    let middle = kit.begin("k");
    for n in 10..20 {
        kit.invalidate(&[&format!("t{n}")]);
    }
    assert_eq!(kit.store.tag_cells(), 11, "ten kept for their marks, one for its entry");
    let last = kit.begin("young");

    assert!(!kit.finds("old"));
    assert_eq!(kit.put(first, kit.entry("k", &["unrelated"], "")), PutOutcome::Superseded);
    assert_eq!(kit.put(middle, kit.entry("k", &["t0"], "")), PutOutcome::Stored);
    assert_eq!(kit.put(last, kit.entry("young", &["t19"], "")), PutOutcome::Stored);
    assert!(kit.finds("k") && kit.finds("young"));
    kit.store.sweep();
    assert_eq!((kit.store.len(), kit.store.tag_cells()), (2, 2), "the old one is freed");
}

#[test]
fn a_forgotten_mark_still_supersedes() {
    let kit = Kit::with(|builder| builder.mark_cap(0));
    let ticket = kit.begin("k");
    kit.invalidate(&["t"]);
    assert_eq!(kit.store.tag_cells(), 0);
    assert_eq!(kit.put(ticket, kit.entry("k", &["t"], "")), PutOutcome::Superseded);
    kit.fill("k", &["t"]);
    assert!(kit.finds("k"));
}

#[test]
fn clear_then_fill_hits() {
    let kit = Kit::new();
    let straddling = kit.begin("k0");
    for n in 0..100 {
        kit.fill(&format!("k{n}"), &["t"]);
    }
    assert_eq!(kit.clear(), DONE(100));
    assert_eq!((kit.store.len(), kit.store.weight(), kit.store.tag_cells()), (0, 0, 0));
    assert_eq!(kit.put(straddling, kit.entry("k0", &[], "")), PutOutcome::Superseded);
    kit.fill("k0", &["t"]);
    assert!(kit.finds("k0"));
    assert_eq!(kit.invalidate(&["t"]), DONE(1));
    assert_eq!(kit.clear(), DONE(0));
}

#[test]
fn ten_thousand_entries_under_one_tag() {
    let kit = Kit::new();
    for n in 0..10_000 {
        kit.fill(&format!("k{n}"), &["many", ["even", "odd"][n % 2]]);
    }
    assert_eq!(kit.store.tag_cells(), 3);
    assert_eq!(kit.invalidate(&["odd"]), DONE(5_000));
    assert_eq!(kit.invalidate(&["many", "even", "odd"]), DONE(5_000), "each counted once");
    assert_eq!((kit.store.len(), kit.store.tag_cells()), (0, 0));
}

#[test]
fn over_the_budget_the_rest_is_removed_behind() {
    for clear in [false, true] {
        let kit = Kit::with(|builder| builder.reclaim_budget(100, Duration::from_secs(1)));
        for n in 0..350 {
            kit.fill(&format!("k{n}"), &[["a", "b"][n % 2]]);
        }
        let done = if clear { kit.clear() } else { kit.invalidate(&["a", "b"]) };
        // How many a clear has to remove is not known beforehand.
        assert_eq!(done, Invalidated::new(if clear { 100 } else { 0 }, false));
        assert!((0..350).all(|n| !kit.finds(&format!("k{n}"))), "in force at once");
        kit.fill("k7", &["a"]);
        kit.store.sweep();
        assert_eq!(kit.store.keys(), [key("k7")], "the fresh one is spared");
        assert_eq!((kit.store.len(), kit.store.tag_cells()), (1, 1));
    }
}

#[test]
fn what_one_invalidation_left_behind_is_not_counted_by_the_next() {
    let kit = Kit::with(|builder| builder.reclaim_budget(10, Duration::from_secs(1)));
    for n in 0..30 {
        kit.fill(&format!("k{n}"), &["a", "b"]);
    }
    assert_eq!(kit.invalidate(&["a"]), Invalidated::new(0, false));
    kit.fill("fresh", &["b"]);
    let next = kit.invalidate(&["b"]);
    assert!(next.removed <= 1, "{next:?}");
    kit.store.sweep();
    assert!(kit.store.is_empty());
    assert_eq!(kit.store.tag_cells(), 0);
}

/// Nobody waits for a count that would not be complete, nor competes with the work behind.
#[test]
fn what_the_budget_cannot_do_is_not_begun() {
    let kit = Kit::with(|builder| builder.reclaim_budget(10, Duration::from_secs(1)));
    // Without its thread, nothing is done behind but by `sweep`.
    ready(kit.store.close());
    for n in 0..11 {
        kit.fill(&format!("k{n}"), &["many"]);
        kit.fill(&format!("few{n}"), &[&format!("t{}", n % 2)]);
    }
    assert_eq!(kit.invalidate(&["many"]), Invalidated::new(0, false));
    assert_eq!(kit.invalidate(&["t0"]), Invalidated::new(0, false), "work is left over");
    assert!(!kit.finds("k0") && !kit.finds("few0") && kit.finds("few1"));
    assert_eq!(kit.store.sweep(), 11 + 6);
    assert_eq!(kit.invalidate(&["t1"]), DONE(5));
}

#[test]
fn work_left_over_does_not_pile_up() {
    let kit = Kit::with(|builder| builder.reclaim_budget(10, Duration::from_secs(1)));
    // Nobody takes it up.
    ready(kit.store.close());
    for n in 0..11 {
        kit.fill(&format!("k{n}"), &["many"]);
    }
    assert_eq!(kit.invalidate(&["many"]), Invalidated::new(0, false));
    for n in 1..64 {
        kit.fill("few", &["few"]);
        assert_eq!(kit.invalidate(&["few"]), Invalidated::new(0, false), "{n}");
    }
    for _ in 0..100 {
        kit.fill("few", &["few"]);
        assert_eq!(kit.invalidate(&["few"]), DONE(1));
    }
    kit.store.sweep();
    assert_eq!(kit.store.len(), 0);
}

#[test]
fn the_budget_also_ends_by_time() {
    #[derive(Debug)]
    struct Racing(ManualClock);
    impl Clock for Racing {
        fn now(&self) -> std::time::SystemTime {
            self.0.now()
        }
        fn monotonic(&self) -> Duration {
            self.0.advance(Duration::from_millis(5));
            self.0.monotonic()
        }
    }
    let builder = MemoryStore::builder().clock(Arc::new(Racing(ManualClock::default())));
    let store = builder.reclaim_budget(10_000, Duration::from_millis(12)).build().unwrap();
    for n in 0..1_000 {
        let key = Key::new(Digest::of(format!("k{n}").as_bytes()));
        let end = ManualClock::default().now() + Duration::from_secs(3600);
        let ticket = ready(store.begin(&key)).unwrap();
        ready(store.put(ticket, entry(key, &["t"], end, Bytes::new()))).unwrap();
    }
    let done = kit::invalidate(&store, &["t"]);
    assert!(!done.complete && done.removed > 0 && done.removed < 1_000, "{done:?}");
    store.sweep();
    assert!(store.is_empty());
}

#[test]
fn nothing_is_selected_by_no_tags() {
    let kit = Kit::new();
    let ticket = kit.begin("k");
    assert_eq!(kit.invalidate(&[]), DONE(0));
    assert_eq!(kit.put(ticket, kit.entry("k", &["t"], "")), PutOutcome::Stored);
    assert_eq!(kit.invalidate(&["unheard of"]), DONE(0));
    assert_eq!(kit.store.tag_cells(), 1);
}

#[test]
fn an_unpolled_future_has_done_nothing() {
    let kit = Kit::new();
    kit.fill("k", &["t"]);
    drop(kit.store.invalidate(&cache_core::store::Selection::All));
    let ticket = kit.begin("k");
    drop(kit.store.put(ticket, kit.entry("k", &["t"], "new")));
    assert_eq!(kit.find("k").unwrap().body(), "k");
}

#[test]
fn clones_are_one_store() {
    let kit = Kit::new();
    let other = kit.store.clone();
    kit.fill("k", &["t"]);
    assert_eq!((other.len(), other.tag_cells()), (1, 1));
    assert!(other.weight() > 0);
    assert!(format!("{other:?}").contains("len: 1"), "{other:?}");
}

#[test]
fn a_closed_store_answers_and_says_so() {
    let kit = Kit::new();
    ready(kit.store.ready()).unwrap();
    ready(kit.store.close());
    let error = ready(kit.store.ready()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    kit.fill("k", &["t"]);
    assert!(kit.finds("k"));
    assert_eq!(kit.invalidate(&["t"]), DONE(1));
}

#[test]
fn a_dropped_store_is_freed_whatever_tickets_are_out() {
    let kit = Kit::new();
    let body = Bytes::from(vec![1; 100]);
    let put = entry(key("k"), &["a", "b"], kit.clock.now() + Duration::from_secs(1), body);
    let seen = put.clone();
    assert_eq!(kit.put(kit.begin("k"), put), PutOutcome::Stored);
    let ticket = kit.begin("k");
    let Kit { store, clock } = kit;
    drop((store, clock));
    drop(ticket);
    // The janitor may hold the store for the moment of a step.
    let body = seen.body().clone();
    drop(seen);
    while !body.is_unique() {
        std::thread::yield_now();
    }
}

/// The policy is that of `quick_cache`: on a skewed trace with a scan in it the hit ratio is that
/// of a plain cache of the same weight.
#[test]
fn the_hit_ratio_is_that_of_the_plain_cache() {
    const CAPACITY: u64 = 2_000_000;
    #[derive(Clone)]
    struct Weigh;
    impl Weighter<u64, u64> for Weigh {
        fn weight(&self, _: &u64, val: &u64) -> u64 {
            *val
        }
    }
    let kit = Kit::with(|builder| builder.max_bytes(CAPACITY).max_body(100_000));
    kit.fill("one", &["t"]);
    let each = kit.store.weight();
    kit.clear();
    let options = OptionsBuilder::new()
        .weight_capacity(CAPACITY)
        .estimated_items_capacity(976)
        .shards(8)
        .build()
        .unwrap();
    let plain: Cache<u64, u64, Weigh> =
        Cache::with_options(options, Weigh, Default::default(), Default::default());

    let (mut ours, mut theirs) = (0_u32, 0_u32);
    let mut recent: VecDeque<u64> = VecDeque::new();
    let mut random = 88_172_645_463_325_252_u64;
    const REQUESTS: u64 = 150_000;
    for n in 0..REQUESTS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // A power law over 20 000 keys, a bit of recency, and a scan now and then.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a distribution, not a calculation"
        )]
        let skewed = (20_000.0 * ((random >> 11) as f64 / (1_u64 << 53) as f64).powi(4)) as u64;
        let id = match random % 10 {
            0 => recent.front().copied().unwrap_or(skewed),
            1 if n / 5_000 % 4 == 3 => 1_000_000 + n,
            _ => skewed,
        };
        recent.push_back(id);
        if recent.len() > 50 {
            recent.pop_front();
        }
        let name = format!("{id:>3}");
        if kit.finds(&name) {
            ours += 1;
        } else {
            kit.fill(&name, &["t"]);
        }
        if plain.get(&id).is_some() { theirs += 1 } else { plain.insert(id, each) }
    }
    let point = u32::try_from(REQUESTS / 100).unwrap();
    assert!(ours > 20 * point, "{ours} of {REQUESTS}");
    assert!(ours.abs_diff(theirs) < point, "{ours} and {theirs} of {REQUESTS}");
}
