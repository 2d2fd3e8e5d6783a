//! Rows that need more than a server to talk to: a store that breaks, that is full, that is many.

mod bounds;
mod crossing;
mod faults;
mod suite;
mod topologies;

use std::pin::Pin;

use conformance_tests::http::Failure;

use crate::column::{Column, Store};

pub(crate) type Running = Pin<Box<dyn Future<Output = Result<(), Failure>>>>;

/// One such test.
pub(crate) struct Row {
    pub(crate) id: &'static str,
    /// The rows that it shows.
    pub(crate) rows: &'static str,
    /// The stores that it is about.
    pub(crate) on: &'static [Store],
    /// Whether it keeps the machine so busy that others would measure it.
    pub(crate) alone: bool,
    pub(crate) run: fn(Column) -> Running,
}

const BOTH: &[Store] = &[Store::Memory, Store::Redis];
const REDIS: &[Store] = &[Store::Redis];

macro_rules! rows {
    ($($module:ident::$id:ident: $on:ident $alone:literal $rows:literal,)+) => {
        pub(crate) const ROWS: &[Row] = &[$(Row {
            id: stringify!($id),
            rows: $rows,
            on: $on,
            alone: $alone,
            run: |column| Box::pin($module::$id(column)),
        },)+];
    };
}

rows! {
    bounds::c007_the_store_is_bounded: BOTH true "C7",
    topologies::c085_sentinel: REDIS false "C85 C86",
    topologies::c086_cluster: REDIS false "C85 C86",
    suite::c088_the_store_passes_the_public_suite: BOTH true "C88",
    faults::c090_down_slow_or_hanging: REDIS false "C90 C22",
    faults::c091_damaged_bytes_are_a_miss: REDIS false "C91 C92 C93",
    crossing::c096_frameworks_share_one_store: REDIS false "C85 C96 C38",
}

/// A failure of something that the test itself needs.
fn needed(error: impl std::fmt::Display) -> Failure {
    Failure::new("what the test needs", error)
}
