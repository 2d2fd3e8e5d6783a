//! The list of cases, written once.
//!
//! [`__store_cases!`](crate::__store_cases) hands the list to another macro: here to one that
//! makes the table [`ALL`], in a user's test to one that makes a `#[test]` of every line. A line
//! is: name, kind, need, the words of the contract it checks. The words are those of the
//! documentation of [`cache_core::store`].

mod concurrency;
mod expiry;
mod invalidate;
mod lookup;
mod payload;
mod tags;
mod write;

use cache_core::store::Invalidated;

use crate::case::{Body, Case, Kind, Needs, Stop, expect};

/// Calls a macro with the list.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ($($callback:tt)+) => {
        $($callback)+! {
            lookup {
                own_key_only: Required Nothing
                    "Own key only. A lookup never returns an entry of another key.",
                variants_are_separate: Required Nothing
                    "Own key only. A variant is a key of its own.",
                miss_brings_a_ticket_for_its_key: Required Nothing
                    "Miss: nothing usable; a ticket (for that key).",
                stored_is_found: Required Nothing
                    "Without eviction, failure and further invalidation a lookup after `Stored` \
                     finds the entry.",
                hint_independence: Required Order
                    "`hints` only save trips: any hints, right, wrong or none, give the same answers.",
                try_lookup_agrees_with_lookup: Required Order
                    "`try_lookup` and `try_lookup_at` answer like `lookup` if that needs no waiting.",
                second_handle_sees_everything: Required Order
                    "Handles. Several stores made over the same outside system are handles of one store.",
                found_brings_a_good_ticket: Required Order
                    "Found: with it, if it cost nothing, a ticket to replace it.",
                found_brings_a_ticket: Optimal Nothing
                    "Found: with it, if it cost nothing, a ticket to replace it.",
                guarantee_is_stated: Required Nothing
                    "`guarantee` is what this instance really provides.",
                ready_is_ok: Required Nothing
                    "`ready`: whether the store can be reached and used now.",
                close_never_lies: Required Order
                    "`close`: later calls may fail or miss (but never serve what is invalid).",
                doubt_damaged_entry_is_a_miss: Required Nothing
                    "Doubt. Unreadable, foreign, damaged or wrongly typed data is a miss.",
                doubt_lost_metadata_is_a_miss: Required Order
                    "Doubt. What cannot be proved valid is a miss: missing metadata.",
            }
            write {
                overwriting_replaces_body_and_tags: Required Nothing
                    "Overwriting replaces body, life and tags together.",
                last_put_wins: Required Nothing
                    "Overwriting replaces: a lookup after `Stored` never gives an older entry.",
                second_fill_wins: Required Order
                    "After `Superseded` no lookup ever returns that entry, be it older or not \
                     than what is there.",
                begin_reads_the_clock_inside_the_call: Required Order
                    "`begin` issues a ticket without a lookup; its stamp is read inside the call.",
                begin_before_refresh: Required Order
                    "Verdict. An invalidation between `begin` and the refresh's `put` supersedes it.",
                ticket_of_another_key_refused: Required Nothing
                    "`put` refuses an entry for another key than the ticket's with `KeyMismatch`.",
                try_put_agrees_with_put: Required Order
                    "`try_put` puts like `put` if that needs no waiting.",
                ticket_serves_a_variant: Required Order
                    "A ticket's reading of the clock is good for another variant of the same \
                     primary key.",
                dropped_tickets_do_no_harm: Required Order
                    "A ticket is permission to fill; holding or dropping it promises nothing.",
            }
            expiry {
                expiry: Timed Nothing
                    "Expiry. An entry is not returned after its `keep_until`.",
                sub_second_expiry: Timed Nothing
                    "Expiry. An entry is not returned after its `keep_until`, to the millisecond.",
                keep_until_is_kept: Timed Nothing
                    "Without eviction, failure and further invalidation a lookup after `Stored` \
                     finds the entry (until `keep_until`).",
                overwriting_replaces_life: Timed Nothing
                    "Overwriting replaces body, life and tags together.",
                expired_put_replaces: Required Nothing
                    "An entry that is already past its `keep_until` replaces what was there and \
                     is never found.",
                far_keep_until: Required Nothing
                    "Expiry. A `keep_until` may lie in the far future.",
                freshness_is_not_the_stores: Required Nothing
                    "A valid entry within its `keep_until` is found; whether it is fresh is the \
                     engine's decision.",
                overdue_ticket_refused: Timed Nothing
                    "`put` refuses a ticket that is overdue with `TooOld`.",
                removed_count_leaves_out_the_expired: Timed Order
                    "`removed` counts live entries of the selection, exactly if `complete`.",
            }
            tags {
                validity: Required Order
                    "Validity. An entry is returned only if no invalidation of any of its tags, \
                     and no clear, had taken effect since its ticket was issued.",
                two_tags_one_invalidated: Required Order
                    "Validity. Valid iff the mark of each of its tags is at most its stamp: one \
                     invalidated tag suffices.",
                last_of_32_tags: Required Order
                    "Validity. The mark of each of its tags, the last included.",
                most_tags_allowed: Required Order
                    "Validity. The mark of each of its tags, with as many as an entry may carry.",
                undeclared_tag_checked: Required Order
                    "Validity. The entry carries all its tags: those of the last put count, \
                     whatever was hinted.",
                retag_drops_old_tag: Required Order
                    "Overwriting replaces body, life and tags together.",
                untagged_is_left_alone: Required Order
                    "Without further invalidation (of its own tags) the entry is found.",
                same_tag_twice: Required Order
                    "Acknowledgement. Retrying is always right.",
                many_tags_one_call: Required Order
                    "Selection: entries that carry any of these tags.",
                empty_tag_list: Required Nothing
                    "An empty selection is `Ok`, removes nothing and has no effect.",
                tag_bytes: Required Order
                    "A tag is data, never a pattern or script text; a user tag never spells a \
                     reserved one.",
                key_tag_reaches_all_variants: Required Order
                    "Keys, namespaces and URIs are reserved tags; the key tag is in every variant.",
                namespace_levels: Required Order
                    "Keys, namespaces and URIs are reserved tags; an entry has one per level of \
                     its namespace.",
                ten_thousand_keys_of_one_tag: Required Order
                    "`invalidate` takes effect first, then reclaims within a bounded budget.",
            }
            invalidate {
                fill_straddles_invalidation: Required Order
                    "Verdict. `put` says `Stored` only if the entry was valid at an instant inside \
                     the call. After `Superseded` no lookup ever returns that entry.",
                fill_straddles_invalidation_response_tag: Required Order
                    "Verdict. The same with a tag that nobody had mentioned before.",
                fill_straddles_unrelated_invalidation: Required Order
                    "Validity. Only marks of its own tags count: never caching is not a way to be safe.",
                fill_after_invalidation_hits: Required Order
                    "Validity. A mark equal to the stamp is valid: the ticket was issued after the \
                     invalidation.",
                invalidate_key_straddles_fill: Required Order
                    "Verdict. Keys are reserved tags: invalidating one supersedes its fill.",
                clear_straddles_fill: Required Order
                    "Verdict. A clear between ticket and `put` supersedes, tags or none.",
                clear_reaches_everything: Required Order
                    "Selection: every entry of this store.",
                clear_then_fill_hits: Required Order
                    "Validity. Its stamp is at least the floor: a fill begun after the clear is found.",
                clear_then_tag: Required Order
                    "Validity. Tags still count after a clear.",
                stale_window_respects_marks: Required Order
                    "Validity. An entry that is past its freshness is found until it is \
                     invalidated, and not after.",
                mark_outlives_its_entries: Required Order
                    "Validity. A mark stays in force as long as an older ticket is out, whatever \
                     became of the entries under the tag.",
                floor_trim: Required Order
                    "Validity. Marks are dropped only by raising the floor: old entries may miss, \
                     young entries hit.",
                acknowledgement: Required Order
                    "Acknowledgement. `invalidate` returns `Ok` only when the marks are in force \
                     for every handle in every process; it never acknowledges what is only queued.",
                failed_shard_is_an_error: Required Order
                    "Acknowledgement. Every shard is tried even when one fails; any failure is an \
                     `Err`, and retrying is always right.",
                removed_count: Required Order
                    "`removed` counts live entries of the selection, exactly if `complete`.",
                removed_count_of_a_clear: Required Order
                    "`removed` counts live entries of the selection, exactly if `complete`.",
                small_selection_is_complete: Optimal Order
                    "`complete`: whether all of them were removed before the return.",
                reclaim_spares_fresh: Required Order
                    "`removed` counts what was invalid: what was put after the invalidation stays.",
            }
            concurrency {
                concurrent_put_and_invalidate: Required Order
                    "Validity, under a race: nothing whose ticket is older than the invalidation \
                     is found after its return.",
                orphan_window: Required Order
                    "Validity, under a race: a later invalidation reaches whatever was put during \
                     an earlier one.",
                concurrent_fills_are_stored: Required Nothing
                    "Verdict. Without an invalidation every fill of a key is `Stored`, one is found.",
                never_half_an_entry: Required Nothing
                    "Own key only. A lookup never returns half of an entry.",
                lookups_never_go_back: Required Nothing
                    "Overwriting replaces: a lookup after `Stored` never gives an older entry.",
                drop_lookup_future: Required Nothing
                    "Cancellation. Dropping a `lookup` or `begin` does nothing.",
                drop_put_future: Required Order
                    "Cancellation. A dropped `put` leaves at worst an entry that obeys the rule.",
                drop_invalidate_future: Required Order
                    "Cancellation. `invalidate` runs on, detached, when its caller is dropped.",
            }
            payload {
                binary_fields: Required Nothing
                    "The content is the engine's: fields come back byte by byte, repeated ones in order.",
                binary_body: Required Nothing
                    "The content is the engine's: any body comes back byte by byte.",
                empty_body: Required Nothing
                    "The content is the engine's: an empty body is a body.",
                large_body: Required Nothing
                    "The content is the engine's: a large body comes back whole.",
                every_content: Required Nothing
                    "The content is the engine's: responses, variant records and values come back.",
                life_is_kept: Required Nothing
                    "The content is the engine's: the times that decide freshness come back.",
            }
        }
    };
}

macro_rules! table {
    ($($group:ident { $($id:ident: $kind:ident $needs:ident $clause:literal,)+ })+) => {
        /// Every case, in the order of the list.
        pub static ALL: &[Case] = &[$($(
            Case {
                id: stringify!($id),
                group: stringify!($group),
                kind: Kind::$kind,
                needs: Needs::$needs,
                clause: $clause,
                run: Body(|cx| Box::pin($group::$id(cx))),
            },
        )+)+];
    };
}

__store_cases!(table);

/// `removed` is exact if complete, and never too much.
fn count_is(done: Invalidated, live: u64) -> Result<(), Stop> {
    expect(done.removed == live || (!done.complete && done.removed < live), || {
        format!("expected {live} removed, or fewer and not complete")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: HashSet<_> = ALL.iter().map(|case| case.id).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn timed_cases_are_a_group() {
        assert!(ALL.iter().all(|case| case.kind != Kind::Timed || case.group == "expiry"));
    }

    #[test]
    fn clauses_fit_a_line() {
        assert!(ALL.iter().all(|case| case.clause.ends_with('.') || case.clause.ends_with(')')));
        assert!(ALL.iter().all(|case| !case.clause.contains("  ")));
    }
}
