//! What the program prints.

use std::fmt;
use std::io::{self, Write};

/// Prints a line. A reader that has gone away is no reason to stop.
pub(crate) fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// The same on standard error.
pub(crate) fn complain(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
