//! Tests of the tests: the right store passes, and each broken one fails exactly its named cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod histories;
mod reference;

use std::collections::BTreeSet;

use conformance_tests::{CASES, Kind, Report, run_all, store_conformance};

use crate::reference::{Bug, Reclaim, ReferenceFixture};

/// Of each mutant, the cases that it must fail; it must pass all others.
macro_rules! mutants {
    ($($bug:ident: [$($case:ident)+],)+) => {
        const MUTANTS: &[(Bug, &[&str])] = &[$((Bug::$bug, &[$(stringify!($case)),+])),+];

        #[expect(non_snake_case, reason = "named as the bugs are")]
        mod mutant {
            $(
                #[tokio::test]
                async fn $bug() {
                    super::fails_exactly(super::Bug::$bug).await;
                }
            )+
        }
    };
}

mutants! {
    StampTakenAtPut: [
        try_lookup_agrees_with_lookup found_brings_a_good_ticket close_never_lies
        doubt_lost_metadata_is_a_miss second_fill_wins begin_reads_the_clock_inside_the_call
        begin_before_refresh ticket_serves_a_variant dropped_tickets_do_no_harm
        fill_straddles_invalidation fill_straddles_invalidation_response_tag
        invalidate_key_straddles_fill clear_straddles_fill mark_outlives_its_entries
        floor_trim concurrent_put_and_invalidate drop_put_future
    ],
    StampRereadAfterVerdict: [
        found_brings_a_good_ticket close_never_lies doubt_lost_metadata_is_a_miss
        second_fill_wins begin_reads_the_clock_inside_the_call begin_before_refresh
        ticket_serves_a_variant fill_straddles_invalidation
        fill_straddles_invalidation_response_tag invalidate_key_straddles_fill
        clear_straddles_fill mark_outlives_its_entries floor_trim
        concurrent_put_and_invalidate drop_put_future
    ],
    MarkWithoutAdvance: [
        hint_independence try_lookup_agrees_with_lookup second_handle_sees_everything
        found_brings_a_good_ticket close_never_lies second_fill_wins
        begin_reads_the_clock_inside_the_call begin_before_refresh ticket_serves_a_variant
        dropped_tickets_do_no_harm removed_count_leaves_out_the_expired validity
        two_tags_one_invalidated last_of_32_tags most_tags_allowed undeclared_tag_checked
        retag_drops_old_tag untagged_is_left_alone same_tag_twice many_tags_one_call
        tag_bytes key_tag_reaches_all_variants namespace_levels ten_thousand_keys_of_one_tag
        fill_straddles_invalidation fill_straddles_invalidation_response_tag
        fill_after_invalidation_hits invalidate_key_straddles_fill clear_straddles_fill
        clear_reaches_everything clear_then_fill_hits clear_then_tag
        stale_window_respects_marks mark_outlives_its_entries floor_trim acknowledgement
        failed_shard_is_an_error removed_count removed_count_of_a_clear
        concurrent_put_and_invalidate orphan_window drop_put_future drop_invalidate_future
    ],
    MarkMustBeBelow: [
        try_lookup_agrees_with_lookup second_fill_wins begin_reads_the_clock_inside_the_call
        dropped_tickets_do_no_harm validity two_tags_one_invalidated last_of_32_tags
        most_tags_allowed same_tag_twice tag_bytes namespace_levels
        fill_straddles_unrelated_invalidation fill_after_invalidation_hits
        mark_outlives_its_entries acknowledgement reclaim_spares_fresh orphan_window
    ],
    UnhintedTagsSkipped: [
        hint_independence try_lookup_agrees_with_lookup second_handle_sees_everything
        found_brings_a_good_ticket begin_reads_the_clock_inside_the_call
        begin_before_refresh ticket_serves_a_variant validity two_tags_one_invalidated
        last_of_32_tags most_tags_allowed undeclared_tag_checked retag_drops_old_tag
        untagged_is_left_alone same_tag_twice many_tags_one_call tag_bytes
        key_tag_reaches_all_variants namespace_levels ten_thousand_keys_of_one_tag
        fill_after_invalidation_hits clear_then_tag stale_window_respects_marks
        acknowledgement failed_shard_is_an_error concurrent_put_and_invalidate orphan_window
        drop_put_future drop_invalidate_future
    ],
    FirstTagsOnly: [last_of_32_tags most_tags_allowed],
    TagKindsMixed: [tag_bytes],
    ClearWithoutFloor: [clear_straddles_fill],
    ConstantEpoch: [doubt_lost_metadata_is_a_miss],
    TrimWithoutFloor: [floor_trim],
    MarkDroppedWithLastEntry: [mark_outlives_its_entries],
    MarksAreGlobal: [
        hint_independence retag_drops_old_tag untagged_is_left_alone many_tags_one_call
        tag_bytes key_tag_reaches_all_variants namespace_levels
        fill_straddles_unrelated_invalidation
    ],
    BeginWithoutClock: [begin_reads_the_clock_inside_the_call dropped_tickets_do_no_harm],
    IndexIsTruth: [
        try_lookup_agrees_with_lookup found_brings_a_good_ticket close_never_lies
        doubt_lost_metadata_is_a_miss second_fill_wins begin_reads_the_clock_inside_the_call
        begin_before_refresh ticket_serves_a_variant dropped_tickets_do_no_harm
        retag_drops_old_tag fill_straddles_invalidation
        fill_straddles_invalidation_response_tag invalidate_key_straddles_fill
        clear_straddles_fill mark_outlives_its_entries floor_trim removed_count
        concurrent_put_and_invalidate drop_put_future
    ],
    OrphanedByInvalidation: [orphan_window drop_invalidate_future],
    ReclaimByName: [reclaim_spares_fresh],
    RemovedCountsNames: [removed_count_leaves_out_the_expired removed_count],
    AcknowledgedBeforeDone: [
        hint_independence try_lookup_agrees_with_lookup second_handle_sees_everything
        found_brings_a_good_ticket close_never_lies second_fill_wins
        begin_reads_the_clock_inside_the_call begin_before_refresh ticket_serves_a_variant
        dropped_tickets_do_no_harm validity two_tags_one_invalidated last_of_32_tags
        most_tags_allowed undeclared_tag_checked retag_drops_old_tag untagged_is_left_alone
        same_tag_twice many_tags_one_call tag_bytes key_tag_reaches_all_variants
        namespace_levels ten_thousand_keys_of_one_tag fill_straddles_invalidation
        fill_straddles_invalidation_response_tag fill_after_invalidation_hits
        invalidate_key_straddles_fill clear_straddles_fill clear_reaches_everything
        clear_then_fill_hits clear_then_tag stale_window_respects_marks
        mark_outlives_its_entries floor_trim acknowledgement failed_shard_is_an_error
        reclaim_spares_fresh concurrent_put_and_invalidate orphan_window drop_put_future
    ],
    OkThoughShardFailed: [failed_shard_is_an_error],
    StopsAtFailedShard: [failed_shard_is_an_error],
    CopiesFedByPush: [
        second_handle_sees_everything begin_reads_the_clock_inside_the_call
        ticket_serves_a_variant fill_after_invalidation_hits clear_then_fill_hits
        stale_window_respects_marks lookups_never_go_back
    ],
    InvalidateNotDetached: [drop_invalidate_future],
    EmptySelectionIsAll: [empty_tag_list],
    CheckedAfterWriting: [second_fill_wins drop_put_future],
    WrittenInParts: [second_fill_wins never_half_an_entry],
    OverwriteKeepsTags: [retag_drops_old_tag],
    OverwriteKeepsLife: [overwriting_replaces_life expired_put_replaces],
    FirstPutWins: [
        second_handle_sees_everything found_brings_a_good_ticket
        overwriting_replaces_body_and_tags last_put_wins overwriting_replaces_life
        expired_put_replaces overdue_ticket_refused undeclared_tag_checked
        retag_drops_old_tag removed_count lookups_never_go_back
    ],
    ExpiredPutIgnored: [expired_put_replaces],
    NothingKept: [
        own_key_only variants_are_separate stored_is_found hint_independence
        try_lookup_agrees_with_lookup second_handle_sees_everything
        found_brings_a_good_ticket doubt_damaged_entry_is_a_miss
        doubt_lost_metadata_is_a_miss overwriting_replaces_body_and_tags last_put_wins
        second_fill_wins begin_reads_the_clock_inside_the_call begin_before_refresh
        ticket_of_another_key_refused ticket_serves_a_variant dropped_tickets_do_no_harm
        expiry sub_second_expiry keep_until_is_kept overwriting_replaces_life far_keep_until
        freshness_is_not_the_stores overdue_ticket_refused
        removed_count_leaves_out_the_expired validity last_of_32_tags most_tags_allowed
        undeclared_tag_checked retag_drops_old_tag untagged_is_left_alone same_tag_twice
        many_tags_one_call empty_tag_list tag_bytes key_tag_reaches_all_variants
        namespace_levels ten_thousand_keys_of_one_tag fill_straddles_unrelated_invalidation
        fill_after_invalidation_hits clear_then_fill_hits clear_then_tag
        stale_window_respects_marks floor_trim removed_count removed_count_of_a_clear
        reclaim_spares_fresh concurrent_fills_are_stored drop_lookup_future binary_fields
        binary_body empty_body large_body every_content life_is_kept
    ],
    KeyMismatchAccepted: [ticket_of_another_key_refused],
    OverdueAccepted: [overdue_ticket_refused],
    ExpiredReturned: [
        expiry sub_second_expiry overwriting_replaces_life expired_put_replaces
        removed_count_leaves_out_the_expired
    ],
    ExpiryInSeconds: [
        expiry sub_second_expiry overwriting_replaces_life
        removed_count_leaves_out_the_expired
    ],
    KeyIgnored: [
        own_key_only variants_are_separate stored_is_found close_never_lies
        doubt_damaged_entry_is_a_miss doubt_lost_metadata_is_a_miss
        ticket_of_another_key_refused ticket_serves_a_variant overwriting_replaces_life
        overdue_ticket_refused removed_count_leaves_out_the_expired untagged_is_left_alone
        many_tags_one_call empty_tag_list tag_bytes key_tag_reaches_all_variants
        namespace_levels ten_thousand_keys_of_one_tag fill_straddles_invalidation
        mark_outlives_its_entries removed_count removed_count_of_a_clear
        reclaim_spares_fresh drop_lookup_future
    ],
    VariantIgnored: [
        variants_are_separate ticket_serves_a_variant key_tag_reaches_all_variants
        mark_outlives_its_entries
    ],
    TryLookupUnchecked: [try_lookup_agrees_with_lookup],
    TryPutUnchecked: [try_put_agrees_with_put],
    StaleHidden: [
        begin_before_refresh freshness_is_not_the_stores stale_window_respects_marks
    ],
    FoundOnce: [
        stored_is_found hint_independence try_lookup_agrees_with_lookup found_brings_a_good_ticket
        last_put_wins second_fill_wins keep_until_is_kept retag_drops_old_tag
        fill_straddles_unrelated_invalidation fill_after_invalidation_hits
        clear_then_fill_hits stale_window_respects_marks reclaim_spares_fresh
        concurrent_fills_are_stored drop_lookup_future binary_fields binary_body empty_body
        large_body every_content life_is_kept
    ],
    TicketForAnotherKey: [miss_brings_a_ticket_for_its_key ticket_of_another_key_refused],
    DamageReturned: [doubt_damaged_entry_is_a_miss],
    FieldsMerged: [binary_fields],
    BodyIsText: [binary_body large_body],
    BodyCut: [large_body],
    EmptyBodyIsNothing: [empty_body],
    OnlyResponses: [every_content],
    LifeInSeconds: [life_is_kept],
    GuaranteeDiffers: [guarantee_is_stated],
    NeverReady: [ready_is_ok],
    CloseOpensUp: [close_never_lies],
    FarTimesOverflow: [far_keep_until],
    PanicsOnManyTags: [most_tags_allowed],
}

async fn fails_exactly(bug: Bug) {
    let reclaim = if bug.needs_lazy() { Reclaim::Never } else { Reclaim::Inline };
    let report = run(reclaim, Some(bug)).await;
    let (_, named) = MUTANTS.iter().find(|(named, _)| *named == bug).unwrap();
    let expected: BTreeSet<&str> = named.iter().copied().collect();
    let failed: BTreeSet<&str> = report.failed().collect();
    let survived: Vec<_> = expected.difference(&failed).collect();
    let beyond: Vec<_> = failed.difference(&expected).collect();
    assert!(
        survived.is_empty() && beyond.is_empty(),
        "{bug:?} should fail {survived:?} and not {beyond:?}\n{report}"
    );
}

async fn run(reclaim: Reclaim, bug: Option<Bug>) -> Report {
    run_all(move || async move { ReferenceFixture::new(reclaim, bug) }).await
}

#[tokio::test]
async fn the_right_store_passes() {
    let report = run(Reclaim::Inline, None).await;
    report.assert_passed();
    let passed = format!("{} passed, 0 failed, 0 not optimal, 0 skipped", CASES.len());
    assert_eq!(report.to_string(), passed);
}

#[tokio::test]
async fn a_store_that_only_marks_is_right_but_not_optimal() {
    let report = run(Reclaim::Never, None).await;
    report.assert_passed();
    assert!(report.to_string().contains("not optimal: invalidate::small_selection_is_complete"));
}

#[test]
fn every_case_bites() {
    let failed: BTreeSet<&str> = MUTANTS.iter().flat_map(|(_, cases)| *cases).copied().collect();
    let cases = CASES.iter().filter(|case| case.kind != Kind::Optimal);
    let idle: Vec<_> = cases.map(|case| case.id).filter(|id| !failed.contains(id)).collect();
    assert!(idle.is_empty(), "no mutant fails {idle:?}");
    let names: BTreeSet<&str> = CASES.iter().map(|case| case.id).collect();
    let unknown: Vec<_> = failed.difference(&names).collect();
    assert!(unknown.is_empty(), "there is no {unknown:?}");
}

#[tokio::test]
async fn a_failure_is_three_lines() {
    let report = run(Reclaim::Inline, Some(Bug::EmptySelectionIsAll)).await;
    let text = report.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "FAILED: tags::empty_tag_list");
    assert_eq!(
        lines[1],
        "  clause: An empty selection is `Ok`, removes nothing and has no effect."
    );
    assert_eq!(
        lines[2],
        "  observed: p1.lookup(bare) = miss; p1.put(bare, \"body\") = Stored; p1.lookup(tagged) = miss; \
         p1.put(tagged, \"body\" [t]) = Stored; p1.lookup(under way) = miss; p1.invalidate(nothing) = \
         Ok(removed 2, complete true); expected that nothing was removed, completely"
    );
    assert_eq!(lines[3], format!("{} passed, 1 failed, 0 not optimal, 0 skipped", CASES.len() - 1));
}

async fn fresh() -> ReferenceFixture {
    ReferenceFixture::new(Reclaim::Inline, None)
}

store_conformance!(fresh = fresh);
