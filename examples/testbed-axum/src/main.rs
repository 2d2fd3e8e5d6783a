//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    testbed_axum::main(std::env::args_os().skip(1))
}
