//! Running under callgrind, and reading what it wrote.

use std::collections::HashMap;
use std::fmt;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::table::{Table, grouped};

/// What callgrind has counted, per call.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    calls: u64,
    /// Instructions that each function itself has run.
    functions: HashMap<String, u64>,
    /// How often memory was asked for.
    allocations: u64,
}

/// Counts the instructions of `calls` calls of a case.
pub(crate) fn count(case: &str, calls: usize) -> Result<Profile, Error> {
    let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
    let directory = tempfile::tempdir().map_err(Error::io("making a directory"))?;
    let written = directory.path().join("callgrind.out");
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*run_counted*"])
        .arg(format!("--callgrind-out-file={}", written.display()))
        .arg(program)
        .args(["calls", case, &calls.to_string()])
        .stdout(Stdio::null())
        .output()
        .map_err(Error::io("starting valgrind (is it installed?)"))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        return Err(Error::other(format!("{case}: {}: {said}", ran.status)));
    }
    let text = std::fs::read_to_string(&written).map_err(Error::io("reading what was counted"))?;
    let mut profile = Profile::read(&text);
    profile.calls = calls as u64;
    if profile.total() == 0 {
        return Err(Error::other(format!("{case}: nothing was counted")));
    }
    Ok(profile)
}

impl Profile {
    /// Reads callgrind's format: `fn=` says whose the cost lines after it are; the line after
    /// `calls=` is the cost of that call, which the called function has too.
    fn read(text: &str) -> Self {
        let mut profile = Self::default();
        let mut names: HashMap<&str, &str> = HashMap::new();
        let (mut current, mut called, mut is_call) = ("", "", false);
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("fn=") {
                current = resolve(&mut names, name);
            } else if let Some(name) = line.strip_prefix("cfn=") {
                called = resolve(&mut names, name);
            } else if let Some(times) = line.strip_prefix("calls=") {
                is_call = true;
                if is_request_for_memory(called) && !is_request_for_memory(current) {
                    let times = times.split(' ').next().and_then(|times| times.parse().ok());
                    profile.allocations += times.unwrap_or(0_u64);
                }
            } else if line
                .starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok()).unwrap_or(0);
                if !std::mem::take(&mut is_call) {
                    *profile.functions.entry(current.to_owned()).or_default() += cost;
                }
            }
        }
        profile
    }

    /// Instructions of one call.
    pub(crate) fn total(&self) -> u64 {
        self.sum(|_| true)
    }

    pub(crate) fn outside_sha2(&self) -> u64 {
        self.sum(|name| !name.contains("sha2::"))
    }

    /// Instructions in functions of this project, as far as they were not inlined into others, and
    /// with what was inlined into them.
    pub(crate) fn own(&self) -> u64 {
        self.sum(|name| {
            let name = name.trim_start_matches(['<', '&']);
            ["cache_core::", "cache_memory::", "adapter_axum::", "adapter_actix::"]
                .iter()
                .any(|crate_name| name.starts_with(crate_name))
        })
    }

    pub(crate) fn allocator(&self) -> u64 {
        const NAMES: [&str; 9] = [
            "malloc",
            "free",
            "cfree",
            "realloc",
            "calloc",
            "_int_malloc",
            "_int_free",
            "_int_realloc",
            "malloc_consolidate",
        ];
        self.sum(|name| {
            NAMES.contains(&name) || name.contains("__rust_") || name.contains("__rdl_")
        })
    }

    pub(crate) fn allocations(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2⁵²")]
        let (allocations, calls) = (self.allocations as f64, self.calls.max(1) as f64);
        allocations / calls
    }

    /// The functions with the most instructions of their own, per call.
    pub(crate) fn hottest(&self, shown: usize) -> impl fmt::Display {
        let mut functions: Vec<_> = self.functions.iter().collect();
        functions.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let mut table = Table::new(&["function", "instructions"]);
        for (name, cost) in functions.into_iter().take(shown) {
            let name: String = name.chars().take(110).collect();
            table.row([name.replace('|', "¦"), grouped(cost / self.calls.max(1))]);
        }
        table
    }

    fn sum(&self, counts: impl Fn(&str) -> bool) -> u64 {
        let functions = self.functions.iter().filter(|(name, _)| counts(name));
        functions.map(|(_, cost)| cost).sum::<u64>() / self.calls.max(1)
    }
}

/// `(12) name` gives a name its number, `(12)` is the name of that number.
fn resolve<'t>(names: &mut HashMap<&'t str, &'t str>, text: &'t str) -> &'t str {
    match text.split_once(' ') {
        Some((number, name)) if number.starts_with('(') => {
            names.insert(number, name);
            name
        }
        _ => names.get(text).copied().unwrap_or(text),
    }
}

fn is_request_for_memory(name: &str) -> bool {
    matches!(name, "malloc" | "calloc" | "realloc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_call_is_the_called_functions() {
        let text = "\
events: Ir
fl=(1) a.rs
fn=(1) cache_core::outer
16 10
+3 5
cfn=(2) sha2::sha256::compress
calls=2 7
* 200
cfn=(3) malloc
calls=4 9
20 40

fn=(2)
7 200
fn=(3)
9 40
totals: 255
";
        let profile = Profile { calls: 1, ..Profile::read(text) };
        assert_eq!((profile.total(), profile.outside_sha2()), (255, 55));
        assert_eq!((profile.own(), profile.allocator()), (15, 40));
        assert!((profile.allocations() - 4.0).abs() < f64::EPSILON);
    }
}
