//! What has been shown: rows × columns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::column::{COLUMNS, Column, Store};

const ROWS: u32 = 102;

/// Rows that are not built yet.
const LATER: [u32; 1] = [87];

/// Rows about what a store in the process does not have: several servers, bytes to damage, an end
/// of its own.
const NOT_IN_MEMORY: [u32; 5] = [85, 86, 90, 91, 92];

/// The outcome of every test, by row and column.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<BTreeMap<(u32, Column), Cell>>);

#[derive(Debug, Default)]
struct Cell {
    tests: usize,
    failed: Vec<String>,
}

impl Table {
    /// Records a test as failed until it says that it has passed.
    pub(crate) fn begin(&self, column: Column, rows: &'static str, id: &str) -> Recorded<'_> {
        let rows: Vec<u32> = numbers(rows).collect();
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in &rows {
            let cell = cells.entry((*row, column)).or_default();
            cell.tests += 1;
            cell.failed.push(id.to_owned());
        }
        Recorded { table: self, column, rows, id: id.to_owned() }
    }

    /// The rows that some column does not show.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = |row, column| cells.get(&(row, column)).is_some_and(Cell::passed);
        (1..=ROWS)
            .filter(|row| !LATER.contains(row))
            .filter(|row| !COLUMNS.iter().all(|at| shown(*row, *at) || !applies(*row, *at)))
            .map(|row| format!("C{row}"))
            .collect()
    }
}

impl Cell {
    const fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

/// A test that runs.
pub(crate) struct Recorded<'a> {
    table: &'a Table,
    column: Column,
    rows: Vec<u32>,
    id: String,
}

impl Recorded<'_> {
    pub(crate) fn passed(self) {
        let mut cells = self.table.0.lock().unwrap_or_else(PoisonError::into_inner);
        for row in &self.rows {
            if let Some(cell) = cells.get_mut(&(*row, self.column)) {
                cell.failed.retain(|id| *id != self.id);
            }
        }
    }
}

fn applies(row: u32, column: Column) -> bool {
    column.store != Store::Memory || !NOT_IN_MEMORY.contains(&row)
}

fn numbers(rows: &str) -> impl Iterator<Item = u32> {
    rows.split_whitespace().filter_map(|row| row.strip_prefix('C')?.parse().ok())
}

impl fmt::Display for Table {
    /// A cell says how many tests have shown the row there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "\n{:5}", "row")?;
        COLUMNS.iter().try_for_each(|column| write!(f, "{:>14}", column.to_string()))?;
        for row in 1..=ROWS {
            write!(f, "\n{:5}", format!("C{row}"))?;
            for column in COLUMNS {
                let text = match cells.get(&(row, column)) {
                    Some(cell) if cell.passed() => format!("pass {:>2}", cell.tests),
                    Some(cell) => format!("FAIL {:>2}", cell.failed.len()),
                    None if LATER.contains(&row) => "later".to_owned(),
                    None if !applies(row, column) => "n/a".to_owned(),
                    None => "-".to_owned(),
                };
                write!(f, "{text:>14}")?;
            }
        }
        writeln!(f)
    }
}
