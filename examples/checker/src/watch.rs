//! Whether the servers were left alone.
//!
//! I2 is owed only if the servers kept what they had. The faults say when they did not; but servers
//! on a busy machine also fail over or evict by themselves. Each is asked ten times a second who it
//! is. When that has changed, or the answer was late or none, everything since the last good answer
//! is written down as a disturbance.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use conformance_tests::history::{Event, Fault, machine_time};
use redis::{Client, Connection};

use crate::crew::Office;

const INTERVAL: Duration = Duration::from_millis(100);

/// An answer that takes longer says that the machine is too busy to tell.
const LATE: Duration = Duration::from_millis(300);

/// Watches servers until it is dropped or stopped.
#[derive(Debug)]
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn over(
        urls: impl Iterator<Item = String>,
        office: &Arc<Office>,
    ) -> Result<Self, std::io::Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for url in urls {
            let (office, stop) = (Arc::clone(office), Arc::clone(&stop));
            let thread = std::thread::Builder::new().name(format!("watch {url}"));
            threads.push(thread.spawn(move || watch(&url, &office, &stop))?);
        }
        Ok(Self { stop, threads })
    }

    /// Looks once more, and ends.
    pub(crate) fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn watch(url: &str, office: &Office, stop: &AtomicBool) {
    let mut connection = None;
    let mut known: Option<Identity> = None;
    let mut good = machine_time();
    loop {
        let last = stop.load(Ordering::SeqCst);
        let asked = machine_time();
        let seen = ask(url, &mut connection);
        let now = machine_time();
        let late = u128::from(now - asked) > LATE.as_nanos();
        let same = seen.is_some() && (known.is_none() || seen == known);
        if !same || late {
            let name = "found disturbed".to_owned();
            let fault = Fault { name, from: good, to: now, forgets: true, injected: false };
            office.log(Event::Fault(fault));
        }
        if seen.is_some() {
            known = seen;
            good = asked;
        }
        if last {
            return;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// What does not change while a server keeps what it has.
#[derive(Debug, PartialEq, Eq)]
struct Identity(Vec<String>);

const LINES: [&str; 4] = ["run_id:", "role:", "master_replid:", "evicted_keys:"];

fn ask(url: &str, connection: &mut Option<Connection>) -> Option<Identity> {
    if connection.is_none() {
        let opened = Client::open(url).ok()?.get_connection_with_timeout(LATE).ok()?;
        opened.set_read_timeout(Some(LATE)).ok()?;
        *connection = Some(opened);
    }
    let info: Option<String> = redis::cmd("INFO")
        .arg(&["server", "replication", "stats"])
        .query(connection.as_mut()?)
        .ok();
    if info.is_none() {
        *connection = None;
    }
    let info = info?;
    let lines = info.lines().filter(|line| LINES.iter().any(|name| line.starts_with(name)));
    Some(Identity(lines.map(str::to_owned).collect()))
}
