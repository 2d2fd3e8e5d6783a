//! The program finds nothing in the store, and finds the mutants.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};

/// Runs the program; `None` if it takes longer than `limit` seconds.
fn checker(limit: u32, arguments: &str) -> Output {
    // `timeout` sends SIGTERM, at which the program stops its servers and processes.
    let output = Command::new("timeout")
        .arg(limit.to_string())
        .arg(env!("CARGO_BIN_EXE_checker"))
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output();
    output.expect("the program can be started")
}

fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

fn finds_nothing(limit: u32, arguments: &str) {
    let output = checker(limit, arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("1 runs: 0 violations, 0 losses"), "{text}");
}

fn is_caught(limit: u32, arguments: &str) {
    let output = checker(limit, arguments);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for expected in ["violation of Interval, seed 1", "  invalidation  ", "  fill  ", "  serve  "] {
        assert!(text.contains(expected), "{expected:?} is missing:\n{text}");
    }
}

#[test]
fn the_naive_mutant_is_caught_within_seconds() {
    is_caught(30, "--mutant naive --seconds 3 --faults none");
}

#[test]
fn the_unproven_mutant_is_caught_by_a_server_that_forgets() {
    is_caught(60, "--mutant unproven --seconds 6 --faults flush,lose-metadata,restart-snapshot");
}

#[test]
fn the_unproven_mutant_is_right_while_servers_are() {
    finds_nothing(60, "--mutant unproven --seconds 3 --faults kill-worker,pause-worker");
}

#[test]
fn a_single_server_with_all_faults() {
    finds_nothing(120, "--topology single --seconds 8");
}

#[test]
fn sentinels_with_a_lossy_failover() {
    finds_nothing(180, "--topology sentinel --seconds 6 --faults failover-lossy,cut,lose-metadata");
}

#[test]
fn a_cluster_with_migrations_and_light_faults() {
    finds_nothing(180, "--topology cluster --seconds 6 --faults light");
}

#[test]
fn nonsense_is_refused() {
    let output = checker(10, "--topology ring");
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("ring"));
}
