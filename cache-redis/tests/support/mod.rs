//! A real `redis-server`, started by the test that needs it and stopped by its pid:
//! `conformance_tests::servers` for tests, which fail by panicking.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::time::Duration;

use conformance_tests::servers::{self, Signal};
use redis::Connection;

/// A silence that no server reaches unless it is dead, however busy the machine is: for deployments
/// of which none is to be replaced.
pub(crate) const STEADY: Duration = Duration::from_secs(15);

/// A running server. Dropping it stops the process and removes its directory.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) dir: PathBuf,
    inner: servers::Server,
}

impl Server {
    /// A fresh server on a free port of the loopback interface, without persistence.
    pub(crate) fn start(args: &[&str]) -> Self {
        servers::Server::start(args).unwrap_or_else(|error| panic!("{error}")).into()
    }

    /// The same, not yet started.
    pub(crate) fn prepare(args: &[&str]) -> Self {
        servers::Server::prepare(args).unwrap_or_else(|error| panic!("{error}")).into()
    }

    /// The password that this server asks for.
    pub(crate) fn with_password(self, password: &str) -> Self {
        self.inner.with_password(password).into()
    }

    /// Starts it, or starts it again on the same port and in the same directory.
    pub(crate) fn spawn(&mut self) {
        self.inner.spawn().unwrap_or_else(|error| panic!("{error}"));
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        self.inner.kill();
    }

    /// Stops or continues the process: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let signal = if name == "STOP" { Signal::Stop } else { Signal::Continue };
        self.inner.signal(signal).unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn inner(&self) -> &servers::Server {
        &self.inner
    }

    pub(crate) fn url(&self) -> String {
        self.inner.url()
    }

    /// A connection of the test's own.
    pub(crate) fn raw(&self) -> Connection {
        self.inner.connect().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs one command.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        self.inner.run(command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits until this replica has all that its primary has written so far. `WAIT` would not say
    /// it: it asks about the writes of its own connection.
    pub(crate) fn catches_up_with(&self, primary: &Self) {
        let offset = |server: &Self, name| server.inner.info("replication", name)?.parse().ok();
        let written: Option<u64> = offset(primary, "master_repl_offset");
        servers::wait_for("a replica to have it all", Duration::from_secs(30), || {
            written.is_some() && offset(self, "slave_repl_offset") >= written
        })
        .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Runs one command and lets it fail.
    pub(crate) fn try_run(&self, command: &[&str]) -> Result<redis::Value, servers::ServerError> {
        self.inner.try_run(command)
    }
}

impl From<servers::Server> for Server {
    fn from(inner: servers::Server) -> Self {
        Self { port: inner.port(), dir: inner.dir().to_owned(), inner }
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> u16 {
    servers::free_port().unwrap_or_else(|error| panic!("{error}"))
}
