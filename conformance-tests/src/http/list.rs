//! The list of scenarios, written once.
//!
//! [`__http_scenarios!`](crate::__http_scenarios) hands it to another macro: here to one that
//! makes the table, in a test to one that makes a `#[test]` of every line. A line is: name, need,
//! and the rows that the scenario shows: `C1` to `C102` number the features that this project set out
//! to match and its promises, `I1` to `I5` are the clauses about invalidation (see the module `history`).

/// Calls a macro with the list.
#[doc(hidden)]
#[macro_export]
macro_rules! __http_scenarios {
    ($($callback:tt)+) => {
        $($callback)+! {
            keys {
                c001_second_get_is_a_byte_identical_hit: Shared "C1 C2",
                c031_host_is_in_the_key_unless_told_otherwise: Fresh "C31 C32",
                c033_path_is_taken_as_sent: Shared "C33",
                c037_chosen_header_is_in_the_key: Shared "C37",
                c038_keys_are_short_and_stable_across_processes: Fresh "C38",
                c038_different_requests_never_share_a_key: Shared "C38",
                c039_key_template_from_the_path: Shared "C39",
                c040_failing_key_function_is_a_bypass: Shared "C40",
                c040_key_functions: Shared "C39 C40",
                c041_key_template_from_a_guards_value: Shared "C41",
                c042_routes_and_functions_share_an_explicit_key: Shared "C42",
            }
            query {
                c034_order_of_parameters_does_not_matter: Shared "C34",
                c034_raw_only_and_except: Shared "C34 C44",
                c035_repeated_values_are_distinguished: Shared "C35",
                c036_declared_parameters_are_normalised: Shared "C36",
            }
            methods {
                c016_unsafe_methods_are_never_cached_by_default: Shared "C16 C17",
                c018_head_is_answered_from_a_stored_get: Shared "C18",
                c018_head_has_its_own_entry_and_never_fills_get: Shared "C18",
                c016_other_methods_are_refused_by_the_framework: Shared "contract",
                c019_opted_in_method_has_its_body_in_the_key: Shared "C19",
                c019_key_body_is_bounded: Shared "C19",
            }
            statuses {
                c015_life_by_status: Fresh "C15",
                c015_life_by_the_handler: Shared "C15 C66",
                c020_any_2xx_but_206_is_stored: Shared "C20",
                c021_configured_statuses_only: Fresh "C21",
                c022_errors_are_never_stored: Shared "C22",
                c022_a_panic_closes_the_connection_and_nothing_else: Shared "C22",
            }
            bodies {
                c023_status_and_headers_are_replayed_in_order: Shared "C23 C24 C25 C26",
                c027_binary_bodies: Shared "C27",
                c027_bodies_of_all_kinds: Shared "C1 C23 C26",
                c027_a_served_file: Shared "C27 C29",
                c100_hits_do_not_change_what_is_stored: Shared "C100",
            }
            streaming {
                c028_chunks_go_out_as_they_are_produced: Shared "C28",
                c029_a_broken_stream_is_not_stored: Shared "C29",
                c029_an_aborted_client_stores_the_whole_or_nothing: Shared "C29 C95",
                c030_largest_body: Fresh "C30",
                c030_the_limit_may_be_raised: Fresh "C30",
                c030_a_stream_over_the_limit_passes_untouched: Fresh "C30",
                c030_default_limit_is_8_mib: Shared "C30",
            }
            headers {
                c003_status_header_is_configurable: Fresh "C3 C4",
                c005_no_status_header_on_what_is_not_stored: Shared "C5 C102",
                c024_connection_fields_are_not_replayed: Shared "C24",
                c024_the_framing_is_the_servers: Shared "contract",
                c045_vary_emitted_and_merged: Fresh "C37 C45",
                c046_vary_star_is_never_stored: Shared "C46",
                c047_handlers_vary_is_honoured: Shared "C47",
                c056_client_directives_are_ignored_under_a_ttl: Shared "C56 C57",
                c056_client_directives_are_honoured_where_told: Fresh "C56 C57 C58",
                c059_response_directives_are_respected: Shared "C59",
                c060_downstream_cache_control: Fresh "C60 C61 C62 C63",
                c064_age_counts: Shared "C64",
                c064_age_may_be_switched_off: Fresh "C64",
                c065_expires_is_the_handlers: Fresh "C65",
                c102_cache_status_says_why: Shared "C102",
                c102_cache_status_detail_and_off: Fresh "C102",
            }
            conditional {
                c048_strong_entity_tag_is_the_sha256: Shared "C48",
                c048_weak_and_no_entity_tags: Fresh "C48",
                c048_a_streamed_miss_has_no_tag_its_hits_do: Shared "C48",
                c049_handlers_own_tag_is_kept: Shared "C49",
                c050_tags_are_the_same_in_every_process: Fresh "C50",
                c051_if_none_match: Shared "C51 C52",
                c051_if_none_match_on_a_miss: Shared "C51 C54 C55",
                c053_if_modified_since: Shared "C53",
                c054_a_304_says_what_it_must: Shared "C54",
                c055_a_304_never_changes_what_is_stored: Shared "C55",
                c051_other_preconditions_go_to_the_handler: Shared "C51",
            }
            credentials {
                c066_set_cookie_is_not_stored: Shared "C66",
                c066_set_cookie_may_be_stripped: Fresh "C66",
                c067_authorization_bypasses: Shared "C67",
                c067_authorization_in_the_key: Shared "C67",
                c067_authorization_does_not_matter: Shared "C67",
                c067_cookies_bypass: Shared "C67",
                c067_cookies_are_ignored_and_unseen: Shared "C67",
                c067_chosen_cookies_are_in_the_key: Shared "C67",
                c068_condition_bypasses: Shared "C68",
                c068_storing_is_refused_by_the_response: Shared "C68",
                c069_guards_run_before_the_lookup: Shared "C69",
                c070_validation_failure_rejects: Shared "C70",
            }
            tags {
                c071_namespaces_are_invalidated_whole: Fresh "C71 C72 C73 C78",
                c072_a_namespace_replaces_the_applications: Fresh "C71 C72 C73",
                c074_tags_from_the_path: Shared "C74 C76",
                c074_tags_of_long_values: Shared "C74",
                c075_tags_added_by_the_handler: Shared "C75 C76",
                c075_tags_from_a_guards_value: Shared "C74 C76",
                c077_keys_one_and_several: Shared "C77",
                c077_a_key_reaches_all_methods_and_variants: Shared "C77 C47",
                c079_everything: Alone "C79 C80",
                c080_names_are_not_patterns: Shared "C80",
                c081_declarative_after_success_only: Shared "C81",
                c081_declarative_keys_and_tags: Shared "C81 C77",
                c081_declarative_before_and_both: Shared "C81",
                c081_declarative_by_a_guards_value: Shared "C81 C41",
                c081_declarative_around_a_function: Shared "C81 C42",
                c081_declarative_survives_a_lost_client: Shared "C81",
                c096_fill_straddling_a_tag_invalidation: Shared "C96 I1 I2",
                c096_fill_straddling_a_key_invalidation: Shared "C96 I1 I2",
                c096_fill_straddling_a_namespace_invalidation: Fresh "C96 I1 I2",
                c096_fill_straddling_a_clear: Alone "C96 I1 I2",
                c096_late_followers_never_get_the_earlier_run: Shared "C96 I1 I5",
                c096_stream_straddling_an_invalidation: Shared "C96 C28",
                c096_register_is_linearizable: Shared "C96 I1",
            }
            coalescing {
                c095_a_thousand_cold_requests_run_once: Shared "C95",
                c095_leaders_client_leaves: Shared "C95",
                c095_leaders_client_leaves_alone: Shared "C95",
                c095_followers_get_their_own_language: Shared "C95 C47 I5",
                c095_followers_are_judged_by_their_own_conditions: Shared "C95 C51",
                c095_failing_leader_leaves_nobody_hanging: Shared "C95 C22",
                c095_panicking_leader_leaves_nobody_hanging: Shared "C95",
                c095_off_per_route: Shared "C95",
                c095_waiting_is_bounded: Fresh "C95",
                c095_followers_are_bounded: Fresh "C95",
                c099_blocking_work_does_not_stall_others: Fresh "C99",
                c099_slow_requests_do_not_stall_others: Fresh "C99",
            }
            stale {
                c009_sub_second_life: Shared "C9",
                c010_default_life_and_whose_wins: Fresh "C10 C11",
                c012_life_by_a_function: Shared "C12",
                c012_failing_life_function_is_not_stored: Shared "C12",
                c013_until_the_end_of_day_and_week: Shared "C13 C14",
                c013_zone_of_the_application: Fresh "C13",
                c101_stale_while_revalidate: Shared "C101",
                c101_stale_if_error: Alone "C101",
            }
            rfc9111 {
                r1_lifetimes_are_the_responses: Shared "C59 C15 mode-http",
                r2_authorization_needs_a_word_of_the_response: Shared "C67 mode-http",
                r3_an_unsafe_success_invalidates_its_target: Shared "C81 mode-http",
                r4_client_directives_are_honoured: Shared "C56 C57 C58 mode-http",
                c101_parts_of_what_is_stored: Shared "C101",
            }
            admin {
                c006_no_external_service_is_needed: Fresh "C6",
                c008_expired_entries_go_without_a_read: Shared "C8",
                c089_starts_and_stops_with_its_process: Fresh "C89",
                c089_bad_policies_are_named: Fresh "contract",
                c089_unusable_stores_are_refused: Fresh "C89",
                c089_bad_arguments_are_named: Fresh "contract",
                c094_switch: Alone "C94",
                c097_independent_caches: Fresh "C97 C98",
                c097_independent_caches_of_one_process: Alone "C97 C98",
                c101_statistics: Alone "C101",
                c102_explain_runs_nothing: Shared "C102",
            }
            processes {
                c048_processes_share_what_is_stored: OneStore "C38 C48 C85",
                c096_invalidations_reach_every_process: OneStore "C76 C77 C78 C79 C85 C96",
                c096_fill_straddling_an_invalidation_elsewhere: OneStore "C96 I1 I2",
                c096_register_of_two_processes_is_linearizable: OneStore "C96 I1",
            }
            functions {
                c043_a_functions_arguments_select_its_result: Shared "C43 C95",
                c082_nothing_is_a_value_and_an_error_is_none: Alone "C82",
                c084_codecs_per_call_and_per_cache: Shared "C84 C43",
                c083_functions_are_invalidated_like_responses: Alone "C83 C79",
            }
            hostile {
                h1_long_targets: Shared "C38 hold-list",
                h2_separators_and_controls_in_targets: Shared "C38 hold-list",
                h3_fields_that_are_no_text: Shared "hold-list",
                h4_many_fields: Shared "hold-list",
                h5_broken_preconditions: Shared "C51 hold-list",
                h6_broken_directives_and_dates: Fresh "C56 hold-list",
                h7_broken_admin_requests: Shared "hold-list",
                c093_line_breaks_are_never_replayed: Shared "C93",
            }
        }
    };
}
