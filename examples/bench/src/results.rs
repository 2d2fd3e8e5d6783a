//! Everything in one file, with the facts of the machine.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use cache_core::clock::{Clock as _, SystemClock};

use crate::args::{Instructions, Scale, Servers};
use crate::error::Error;
use crate::say::{complain, say};
use crate::{instructions, scale, servers};

/// Measures everything and writes it down.
pub(crate) fn run(options: &Servers) -> Result<(), Error> {
    let mut text = String::from(
        "# Results\n\nWritten by `cargo run --release -p bench -- results`. What the columns mean: \
         [README.md](README.md).\n\n## Machine\n\n",
    );
    for (name, fact) in facts() {
        // Writing to a string does not fail.
        let _ = writeln!(text, "* {name}: {fact}");
    }
    let servers = servers::measure(options)?;
    let _ = write!(
        text,
        "\n## `servers`\n\n{} pairs of {} s.\n\n{servers}",
        options.pairs, options.seconds
    );
    complain("instructions");
    let smoke = options.smoke;
    let only = smoke.then(|| "axum/around/hit/1KiB".to_owned());
    match instructions::measure(&Instructions { only, ..Instructions::default() }) {
        Ok(table) => {
            let _ = write!(text, "\n## `instructions`\n\n{table}");
        }
        Err(error) => complain(format_args!("without instructions: {error}")),
    }
    text.push_str("\n## `scale`\n");
    let scaled = scale::measure(&Scale { only: None, smoke }, |title, table| {
        let _ = write!(text, "\n### {title}\n\n{table}");
    });
    let path = if smoke {
        std::env::temp_dir().join("RESULTS.md")
    } else {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("RESULTS.md")
    };
    std::fs::write(&path, text).map_err(Error::io("writing RESULTS.md"))?;
    say(format_args!("written: {}", path.display()));
    // What was measured before it failed is not lost.
    scaled
}

/// What the figures depend on.
fn facts() -> Vec<(&'static str, String)> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let first_line = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        // nginx, varnishd and wrk speak on standard error, or fail when asked for their version.
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        said.lines().next().map(|line| line.trim().to_owned())
    };
    let of_git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let mut facts = vec![
        ("date", httpdate::fmt_http_date(SystemClock.now())),
        ("processor", format!("{}, {cores} cores", processor("model name"))),
        ("SHA instructions", yes(processor("flags").contains("sha_ni")).to_owned()),
    ];
    let mut add = |name, fact: Option<String>| {
        if let Some(fact) = fact.filter(|fact| !fact.is_empty()) {
            facts.push((name, fact));
        }
    };
    add("kernel", first_line("uname", "-sr"));
    add("compiler", first_line("rustc", "--version"));
    add("commit", of_git(&["rev-parse", "--short=12", "HEAD"]));
    add(
        "changed files",
        of_git(&["status", "--porcelain", "--untracked-files=no"])
            .map(|changed| changed.lines().count().to_string()),
    );
    for (name, program, argument) in [
        ("wrk", "wrk", "--version"),
        ("redis", "redis-server", "--version"),
        ("nginx", "nginx", "-v"),
        ("varnish", "varnishd", "-V"),
        ("valgrind", "valgrind", "--version"),
    ] {
        add(name, first_line(program, argument));
    }
    facts
}

fn processor(field: &str) -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = cpuinfo.lines().find(|line| line.starts_with(field));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or("unknown").to_owned()
}

const fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}
