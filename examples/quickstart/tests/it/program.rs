//! The program under test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Client, Reply};

/// Far beyond what a start takes.
const START: Duration = Duration::from_secs(60);

/// A running program on a free port. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    /// Reads what the program prints, so that it never waits for its reader.
    output: Option<JoinHandle<String>>,
    address: SocketAddr,
    /// Where its temporary database is, also after it was killed.
    _temporary: TempDir,
}

impl Program {
    pub(crate) fn start() -> Self {
        Self::start_with(|command| command)
    }

    pub(crate) fn start_with(adjust: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = command(&["--listen", "127.0.0.1:0"]);
        command.env("TMPDIR", temporary.path()).stdout(Stdio::piped());
        let mut child = adjust(&mut command).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        let output = std::thread::spawn(move || {
            let mut first = String::new();
            stdout.read_line(&mut first).unwrap();
            let _ = sender.send(first);
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).unwrap();
            rest
        });
        let first = receiver.recv_timeout(START).unwrap_or_else(|_| {
            let _ = child.kill();
            panic!("the program has not started to listen");
        });
        let address = first
            .strip_prefix("Listening on http://")
            .and_then(|address| address.trim_end().parse().ok())
            .unwrap_or_else(|| panic!("no address in {first:?}"));
        Self { child, output: Some(output), address, _temporary: temporary }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.client().get(target)
    }

    pub(crate) fn put(&self, target: &str) -> Reply {
        self.client().send("PUT", target, &[])
    }

    /// Sends SIGTERM and returns the exit code and all that was printed after the first line.
    #[cfg(unix)]
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let printed = self.output.take().unwrap().join().unwrap();
        (self.child.wait().unwrap().code(), printed)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.args(arguments).stdin(Stdio::null());
    command
}
