//! What a proxy's program does before and after it serves.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use crate::args::{self, Command, Options};

/// How long requests under way may take once the program was asked to stop.
pub const GRACE: Duration = Duration::from_millis(400);

/// Reads the arguments, without the program's name.
///
/// # Errors
///
/// The exit code of a program that is not to serve: all has been said.
pub fn options(
    name: &str,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Options, ExitCode> {
    match args::parse(arguments) {
        Ok(Command::Serve(options)) => Ok(*options),
        Ok(Command::Help) => {
            let text = format!("Usage: {name} --origin URL [OPTIONS]\n\n{}", args::OPTIONS);
            let _ = io::stdout().write_all(text.as_bytes());
            Err(ExitCode::SUCCESS)
        }
        Err(error) => Err(refuse(name, &format!("{error} (see --help)"))),
    }
}

/// Says why the program does not serve, and gives its exit code.
pub fn refuse(name: &str, message: &dyn Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "{name}: {message}");
    ExitCode::from(2)
}

/// The first line of the output, which whoever started the program waits for.
///
/// # Errors
///
/// The output is closed.
pub fn announce(address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on http://{address}")?;
    out.flush()
}
