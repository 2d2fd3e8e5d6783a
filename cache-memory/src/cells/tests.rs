use cache_core::tag::Tags;

use super::*;
use crate::testing::tagged;

fn tags(names: &[&str]) -> Tags {
    Tags::user(names).unwrap()
}

/// A slot with these tags, enrolled. The first that is new is its own.
fn enrolled(cells: &Cells, stamp: u64, names: &[&str]) -> Arc<Slot> {
    let tags = tags(names);
    let slot = tagged(&tags, stamp, cells.ties(&tags));
    assert_eq!(cells.enrol(&slot), Enrolment::Done);
    slot
}

#[test]
fn a_cell_that_left_between_interning_and_enrolling_is_noticed() {
    let cells = Cells::new(10);
    let wanted = tags(&["a", "t"]);
    let slot = tagged(&wanted, 0, cells.ties(&wanted));
    assert_eq!(slot.cells().count(), 1, "that of t; a is its own");
    drop(enrolled(&cells, 0, &["t"]));
    // The mark is needless, since no ticket is out: the cell goes.
    cells.invalidate(&tags(&["t"]));
    assert_eq!(cells.len(), 0);
    assert_eq!(cells.enrol(&slot), Enrolment::Retired);
}

#[test]
fn a_tag_has_a_cell_when_two_ask_for_it() {
    let cells = Cells::new(10);
    let first = enrolled(&cells, 0, &["t"]);
    assert_eq!((first.cells().count(), cells.len()), (0, 1));
    let second = enrolled(&cells, 0, &["t"]);
    assert_eq!((first.cells().count(), second.cells().count(), cells.len()), (1, 1, 1));
    let marked = cells.invalidate(&tags(&["t"]));
    assert!(!cells.is_valid(&first) && !cells.is_valid(&second));
    assert_eq!(marked.members.into_iter().flatten().count(), 2);
    assert_eq!(cells.len(), 0);
}

#[test]
fn who_leaves_is_forgotten_with_a_cell_and_without() {
    let cells = Cells::new(10);
    cells.leave(&enrolled(&cells, 0, &["t", "u"]));
    assert_eq!(cells.len(), 0);
    let (first, second) = (enrolled(&cells, 0, &["t"]), enrolled(&cells, 0, &["t"]));
    cells.leave(&first);
    assert_eq!(cells.len(), 1);
    cells.leave(&second);
    assert_eq!(cells.len(), 0);
}

#[test]
fn a_mark_supersedes_whose_own_tag_it_is_on() {
    let cells = Arc::new(Cells::new(10));
    let (stamp, _guard) = cells.issue(0);
    cells.invalidate(&tags(&["t"]));
    let late = tags(&["t"]);
    // A tag of a key is not looked for: the cell is found when the slot is enrolled.
    let own = Tie::Own(Own::at(0, cells.hash_of(&late[0])).unwrap());
    assert_eq!(cells.enrol(&tagged(&late, stamp.clock, [own])), Enrolment::Superseded);
    assert_eq!(cells.len(), 1, "the marked one");
}

/// Two slots and an invalidation meet at one tag, each of them perhaps the first.
#[test]
fn who_comes_at_the_same_time_is_found() {
    let cells = Arc::new(Cells::new(10));
    let start = std::sync::Barrier::new(3);
    for _ in 0..2_000 {
        let put = || {
            let (stamp, guard) = cells.issue(0);
            start.wait();
            let wanted = tags(&["t", "u"]);
            let enrolled = || {
                let slot = tagged(&wanted, stamp.clock, cells.ties(&wanted));
                (cells.enrol(&slot), slot)
            };
            let mut put = enrolled();
            while put.0 == Enrolment::Retired {
                put = enrolled();
            }
            (put, guard)
        };
        let puts = std::thread::scope(|scope| {
            let puts = [(); 2].map(|()| scope.spawn(put));
            start.wait();
            cells.invalidate(&tags(&["t"]));
            puts.map(|put| put.join().unwrap())
        });
        for ((enrolment, slot), guard) in puts {
            if enrolment == Enrolment::Done {
                assert!(!cells.is_valid(&slot), "its ticket is older than the mark");
                cells.leave(&slot);
            }
            drop(guard);
        }
        assert_eq!(cells.len(), 0);
    }
}

#[test]
fn interning_for_nothing_leaves_nothing() {
    let cells = Arc::new(Cells::new(10));
    let (_, guard) = cells.issue(0);
    cells.invalidate(&tags(&["m"]));
    let wanted = tags(&["a", "m", "z"]);
    let slot = tagged(&wanted, 0, cells.ties(&wanted));
    assert_eq!(cells.len(), 2, "of m and z");
    assert_eq!(cells.enrol(&slot), Enrolment::Superseded);
    assert_eq!(cells.len(), 1, "the marked one");
    drop(guard);
    assert_eq!(cells.len(), 0);
}

#[test]
fn a_cell_is_parked_once_however_often_it_is_marked() {
    let cells = Arc::new(Cells::new(10));
    let (_, oldest) = cells.issue(0);
    let guards: Vec<_> = (0..100)
        .map(|hint| {
            cells.invalidate(&tags(&["t"]));
            cells.issue(hint).1
        })
        .collect();
    assert_eq!(lock(&cells.parked).len(), 1);
    drop(oldest);
    assert_eq!(cells.len(), 1, "the tickets issued before the last mark need it");
    drop(guards);
    assert_eq!((cells.len(), lock(&cells.parked).len()), (0, 0));
}

#[test]
fn a_parked_cell_that_finds_members_lives_on_with_them() {
    let cells = Arc::new(Cells::new(10));
    let (_, old) = cells.issue(0);
    cells.invalidate(&tags(&["t"]));
    let slot = enrolled(&cells, 1, &["t"]);
    drop(old);
    assert_eq!((cells.len(), lock(&cells.parked).len()), (1, 0));
    assert!(cells.is_valid(&slot));
    cells.leave(&slot);
    assert_eq!(cells.len(), 0);
}

#[test]
fn what_was_taken_is_invalid_even_without_its_cell() {
    let cells = Cells::new(10);
    let slot = enrolled(&cells, 0, &["t"]);
    let marked = cells.invalidate(&tags(&["t"]));
    assert_eq!(cells.len(), 0);
    assert!(!cells.is_valid(&slot));
    assert!(marked.claim.owns(&slot));
    assert_eq!(marked.members.into_iter().flatten().count(), 1);
}

#[test]
fn the_earlier_of_two_invalidations_owns_the_slot() {
    let cells = Cells::new(10);
    let slot = enrolled(&cells, 0, &["a", "b"]);
    let first = cells.invalidate(&tags(&["a"]));
    let second = cells.invalidate(&tags(&["a", "b"]));
    let third = cells.invalidate_all();
    assert!(first.claim.owns(&slot));
    assert!(!second.claim.owns(&slot) && !third.owns(&slot));

    let slot = enrolled(&cells, 3, &["a"]);
    let clear = cells.invalidate_all();
    let later = cells.invalidate(&tags(&["a"]));
    assert!(clear.owns(&slot) && !later.claim.owns(&slot));
}

#[test]
fn over_the_cap_the_least_is_given_up() {
    let cells = Arc::new(Cells::new(2));
    let (_, _old) = cells.issue(0);
    for name in ["a", "b", "a", "a", "c", "a"] {
        cells.invalidate(&tags(&[name]));
    }
    // Filed: a under 1 with mark 6, b under 2, c under 5. Over the cap a is filed anew and b
    // is dropped.
    assert_eq!((cells.floor(), cells.len()), (2, 2));
    assert!(cells.take_floor_raised() && !cells.take_floor_raised());
}

#[test]
fn a_ticket_of_another_store_proves_nothing() {
    let (ours, theirs) = (Arc::new(Cells::new(1)), Arc::new(Cells::new(1)));
    let (stamp, guard) = theirs.issue(0);
    let key = cache_core::key::Key::new(cache_core::key::Digest::of(b""));
    let ticket = Ticket::guarded(key, stamp, std::time::Duration::ZERO, guard);
    assert_eq!(ours.reading_of(&ticket), None);
    assert_eq!(theirs.reading_of(&ticket), Some(0));
}

#[test]
fn who_is_enrolled_by_another_meanwhile_is_a_member_once() {
    let cells = Cells::new(10);
    let wanted = tags(&["t"]);
    let first = tagged(&wanted, 0, cells.ties(&wanted));
    cells.enrol_alone(&first);
    // Another put with the tag comes before the first has gone through its cells.
    let second = enrolled(&cells, 0, &["t"]);
    assert_eq!(cells.enrol(&first), Enrolment::Done);
    let members: usize = first.cells().map(|cell| lock(&cell.members).len()).sum();
    assert_eq!(members, 2);
    cells.leave(&first);
    cells.leave(&second);
    assert_eq!(cells.len(), 0);
}

/// In each round one slot leaves while another one with its tag comes; then that leaves, too.
#[test]
fn who_leaves_while_another_comes_is_no_member_afterwards() {
    const ROUNDS: usize = 20_000;
    let cells = Cells::new(10);
    let together = std::sync::Barrier::new(2);
    let leaving: Mutex<Option<Arc<Slot>>> = Mutex::new(None);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let name = format!("t{round}");
                *lock(&leaving) = Some(enrolled(&cells, 0, &[&name]));
                let wanted = tags(&[&name]);
                let coming = tagged(&wanted, 0, cells.ties(&wanted));
                together.wait();
                if cells.enrol(&coming) == Enrolment::Done {
                    cells.leave(&coming);
                }
                together.wait();
            }
        });
        scope.spawn(|| {
            for round in 0..ROUNDS {
                together.wait();
                let slot = lock(&leaving).take().unwrap();
                // Not always at the same step of the other one.
                (0..round % 61).for_each(|_| std::hint::spin_loop());
                cells.leave(&slot);
                together.wait();
            }
        });
    });
    assert_eq!(cells.len(), 0);
}

#[test]
fn a_cell_that_came_later_is_not_taken_for_one_that_was_selected() {
    let cells = Arc::new(Cells::new(10));
    let (_, ticket) = cells.issue(0);
    let slot = enrolled(&cells, 0, &["a", "s"]);
    cells.invalidate(&tags(&["x"]));
    let first = cells.invalidate(&tags(&["s", "x"]));
    // Nobody needs the mark of "x" any more, and the slot's own tag gets its cell.
    drop(ticket);
    cells.settle(10);
    let second = cells.invalidate(&tags(&["a"]));
    assert!(first.claim.owns(&slot) || second.claim.owns(&slot), "nobody takes it out");
}
