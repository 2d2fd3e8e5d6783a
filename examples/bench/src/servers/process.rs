//! Processes on their cores. Each ends with its handle; and with this program, however that ends.

use std::ffi::OsStr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::Error;

/// A tick of the kernel's accounting: `USER_HZ` is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Keeps this thread, and what it starts from now on, on these cores.
pub(crate) fn pin_this_thread(cores: &str) -> Result<(), Error> {
    let thread = std::fs::read_link("/proc/thread-self").map_err(Error::io("/proc/thread-self"))?;
    let number = thread.file_name().unwrap_or_default();
    let mut command = Command::new("taskset");
    let done = command.args(["-p", "-c", cores]).arg(number).stdout(Stdio::null()).status();
    if done.map_err(Error::io("taskset"))?.success() {
        Ok(())
    } else {
        Err(Error::other(format!("taskset cannot keep a thread on cores {cores}")))
    }
}

/// A command that runs on these cores (`0`, `0-1`) and is killed when this program is gone.
pub(crate) fn pinned(cores: &str, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", cores]).arg(program);
    command
}

/// A running process; dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(mut command: Command, what: &str) -> Result<Self, Error> {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.map_err(Error::io(format!("starting {what} by setpriv and taskset")))?;
        Ok(Self { child })
    }

    pub(crate) fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// An error if it has ended.
    pub(crate) fn alive(&mut self, what: &str) -> Result<(), Error> {
        match self.child.try_wait().map_err(Error::io("asking for a process"))? {
            Some(status) => Err(Error::other(format!("{what} has ended: {status}"))),
            None => Ok(()),
        }
    }

    /// Processor time so far, in user mode and in the kernel, with that of its children.
    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        // setpriv and taskset have become the server: the pid is the same.
        cpu_of_tree(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of the servers here only Varnish has a child, which ends with its parent.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cpu_of_tree(pid: u32) -> Result<Duration, Error> {
    let mut sum = ticks_of(&pid.to_string(), 2)?;
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.map_err(Error::io("reading the tasks of a process"))?.flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            sum += cpu_of_tree(child)?;
        }
    }
    Ok(sum)
}

/// Processor time of this program and of the children that it has waited for.
pub(crate) fn cpu_of_this() -> Result<Duration, Error> {
    ticks_of("self", 4)
}

/// The first so many of: user, kernel, and the two of children that were waited for.
fn ticks_of(process: &str, fields: usize) -> Result<Duration, Error> {
    let path = format!("/proc/{process}/stat");
    let stat = std::fs::read_to_string(&path).map_err(Error::io(path))?;
    // The second field, in parentheses, may hold blanks; utime is the 14th.
    let numbers = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    Ok(TICK * numbers.skip(11).take(fields).filter_map(|tick| tick.parse::<u32>().ok()).sum())
}

/// What the machine has done for others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Others {
    /// In user mode and in the kernel, by anybody.
    all: Duration,
    /// By this program, and by what it has started and waited for.
    own: Duration,
    /// What the host has taken.
    stolen: Duration,
}

impl Others {
    pub(crate) fn read() -> Result<Self, Error> {
        let stat = std::fs::read_to_string("/proc/stat").map_err(Error::io("/proc/stat"))?;
        let first = stat.lines().next().unwrap_or_default();
        // user nice system idle iowait irq softirq steal
        let ticks: Vec<u32> =
            first.split_whitespace().skip(1).filter_map(|tick| tick.parse().ok()).collect();
        let stolen = ticks.get(7).copied().unwrap_or(0);
        let all = ticks.iter().take(3).sum::<u32>();
        Ok(Self { all: TICK * all, own: cpu_of_this()?, stolen: TICK * stolen })
    }

    /// Processor time since `earlier` that neither this program nor what it has waited for has
    /// used, nor the `servers` that still run.
    pub(crate) fn since(self, earlier: Self, servers: Duration) -> Duration {
        let all = self.all.saturating_sub(earlier.all);
        let own = self.own.saturating_sub(earlier.own) + servers;
        all.saturating_sub(own) + self.stolen.saturating_sub(earlier.stolen)
    }
}

/// Whether a program can be started: an error names what to install.
pub(crate) fn require(program: &str, package: &str) -> Result<(), Error> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    });
    if found {
        return Ok(());
    }
    Err(Error::other(format!("'{program}' is not in the PATH (Debian: apt-get install {package})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_handle() {
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut process = Process::start(command, "sleep").unwrap();
        process.alive("sleep").unwrap();
        let entry = format!("/proc/{}", process.child.id());
        assert!(std::path::Path::new(&entry).exists());
        drop(process);
        assert!(!std::path::Path::new(&entry).exists());
    }

    #[test]
    fn what_is_missing_is_named() {
        let message = require("no-such-program", "some-package").unwrap_err().to_string();
        assert!(message.contains("no-such-program") && message.contains("some-package"));
        assert!(require("sh", "dash").is_ok());
    }
}
