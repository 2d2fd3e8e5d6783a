//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    testbed_actix::main(std::env::args_os().skip(1))
}
