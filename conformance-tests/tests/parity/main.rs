//! The parity table, the numbered list of what this project set out to match: every row on both adapters and both stores.
//!
//! Every scenario of [`conformance_tests::http`] is a test of each column, `axum_redis::c045_…`;
//! `rows` are those that need more than a server to talk to. At the end the table is printed, and
//! a row that nothing has shown fails the run.
//!
//! ```text
//! cargo test -p conformance-tests --test parity                 # all, and the table
//! cargo test -p conformance-tests --test parity -- actix c045   # some
//! ```
//!
//! The program is also the servers under test: run with `serve axum …` it is `testbed-axum`, so
//! that no second build is needed, and none can be out of date.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and says what it found"
)]

mod column;
mod redis;
mod rows;
mod table;

use std::process::ExitCode;
use std::sync::{Arc, PoisonError, RwLock};

use conformance_tests::http::{self, SCENARIOS, Server};
use libtest_mimic::{Arguments, Failed, Trial};

use crate::column::{COLUMNS, Column, Store};
use crate::table::Table;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == "serve") {
        return match args.next() {
            Some(name) if name == "axum" => testbed_axum::main(args),
            Some(name) if name == "actix" => testbed_actix::main(args),
            other => panic!("no testbed of this name: {other:?}"),
        };
    }
    let mut arguments = Arguments::from_args();
    // Most of a test is waiting.
    let threads = std::thread::available_parallelism().map_or(4, |cores| 2 * cores.get());
    arguments.test_threads.get_or_insert(threads);
    let table = Arc::new(Table::default());
    let conclusion = libtest_mimic::run(&arguments, trials(&table));
    redis::stop();
    if arguments.list || arguments.exact {
        return conclusion.exit_code();
    }
    let whole = conclusion.num_filtered_out == 0 && conclusion.num_ignored == 0;
    println!("{table}");
    let gaps = table.gaps();
    if whole && !gaps.is_empty() {
        println!("gaps: {}", gaps.join(" "));
        return ExitCode::from(101);
    }
    conclusion.exit_code()
}

fn trials(table: &Arc<Table>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for column in COLUMNS {
        for scenario in SCENARIOS.iter().filter(|scenario| column.has(scenario)) {
            let id = scenario.id;
            let name = format!("{column}::{}::{id}", scenario.group);
            trials.push(trial(table, column, name, scenario.rows, false, move || {
                runtime().block_on(http::run_one(id, &column.binary())).map_err(|f| f.to_string())
            }));
        }
        for row in rows::ROWS.iter().filter(|row| row.on.contains(&column.store)) {
            let name = format!("{column}::rows::{}", row.id);
            trials.push(trial(table, column, name, row.rows, row.alone, move || {
                runtime().block_on((row.run)(column)).map_err(|failure| failure.to_string())
            }));
        }
        if column.store == Store::Memory {
            let name = format!("{column}::all_at_once_on_one_server");
            trials.push(Trial::test(name, move || all_at_once(column).map_err(Failed::from)));
        }
    }
    trials
}

fn trial(
    table: &Arc<Table>,
    column: Column,
    name: String,
    rows: &'static str,
    alone: bool,
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Trial {
    let table = Arc::clone(table);
    let id = name.rsplit("::").next().unwrap_or_default().to_owned();
    Trial::test(name, move || {
        let _alone = alone.then(|| TURNS.write().unwrap_or_else(PoisonError::into_inner));
        let _beside = (!alone).then(|| TURNS.read().unwrap_or_else(PoisonError::into_inner));
        let recorded = table.begin(column, rows, &id);
        run().map_err(|failure| Failed::from(format!("({rows})\n{failure}")))?;
        recorded.passed();
        Ok(())
    })
}

/// Whoever keeps the machine busy has it to itself.
static TURNS: RwLock<()> = RwLock::new(());

/// All scenarios that can share a server, against one.
fn all_at_once(column: Column) -> Result<(), String> {
    let _turn = TURNS.write().unwrap_or_else(PoisonError::into_inner);
    runtime().block_on(async {
        let started = Server::start(&column.binary(), "all").await;
        let server = started.map_err(|error| error.to_string())?;
        let verdicts = http::run_all(&server).await;
        let failed: Vec<String> = verdicts
            .iter()
            .filter_map(|verdict| {
                let failure = verdict.outcome.as_ref().err()?;
                Some(format!("{}: {failure}", verdict.scenario))
            })
            .collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
