//! A server as a process on its core.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::subject::Subject;
use crate::error::Error;

/// A tick of the kernel's accounting: `USER_HZ` is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// A running server; dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    pub(crate) fn start(subject: Subject, core: usize) -> Result<Self, Error> {
        let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let mut child = Command::new("taskset")
            .args(["-c", &core.to_string()])
            .arg(program)
            .args(["serve", &subject.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Error::io("starting a server by taskset"))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout)
                .read_line(&mut line)
                .map_err(Error::io("waiting for a server"))?;
        }
        // Made before the line is looked at, so that the process ends in any case.
        let mut server = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let address = line.trim().parse();
        server.address = address.map_err(|_| Error::other(format!("{subject}: said '{line}'")))?;
        Ok(server)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Processor time so far, in user mode and in the kernel.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        // taskset has become the server: the pid is the same.
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = std::fs::read_to_string(&path).map_err(Error::io(path))?;
        // The second field, in parentheses, may hold blanks; utime and stime are 14th and 15th.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u32 = fields.skip(11).take(2).filter_map(|tick| tick.parse::<u32>().ok()).sum();
        Ok(TICK * ticks)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
