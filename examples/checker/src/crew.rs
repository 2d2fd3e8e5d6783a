//! The worker processes, as the parent sees them.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use conformance_tests::history::{Event, Fault, Register, machine_time};
use conformance_tests::servers::wait_for;
use rustix::process::{Pid, Signal, kill_process};

use crate::error::Error;
use crate::protocol::{Answer, Job, Report};

/// How long a worker may take to open its store.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long it may take to end after its time.
const END_LIMIT: Duration = Duration::from_secs(20);

/// A killed worker's last words are lost: what it did so long before its last message is not
/// surely known, and what it had sent may take effect so long after its death. In nanoseconds.
const UNKNOWN: u64 = 2_000_000_000;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) register: Register,
    events: Mutex<Vec<Event>>,
}

impl Office {
    pub(crate) const fn new(register: Register) -> Self {
        Self { register, events: Mutex::new(Vec::new()) }
    }

    pub(crate) fn log(&self, event: Event) {
        self.events().push(event);
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.events())
    }

    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of a run; each has one process at a time.
#[derive(Debug)]
pub(crate) struct Crew {
    office: Arc<Office>,
    /// What the next process of each place gets.
    jobs: Vec<Job>,
    workers: BTreeMap<usize, Worker>,
    next_handle: u32,
}

#[derive(Debug)]
struct Worker {
    child: Child,
    heard: Arc<Heard>,
    reader: JoinHandle<Result<(), Error>>,
}

/// What a worker has said about itself.
#[derive(Debug, Default)]
struct Heard {
    is_ready: AtomicBool,
    as_of: AtomicU64,
}

impl Crew {
    /// Starts a process for each job and waits until all are ready.
    pub(crate) fn start(office: Arc<Office>, jobs: Vec<Job>) -> Result<Self, Error> {
        let places = jobs.len();
        let mut crew = Self { office, jobs, workers: BTreeMap::new(), next_handle: 0 };
        for place in 0..places {
            crew.spawn(place)?;
        }
        for (handle, worker) in (0..).zip(crew.workers.values()) {
            let ready = || worker.heard.is_ready.load(Ordering::SeqCst);
            wait_for("a worker", START_LIMIT, ready).map_err(|_| Error::Worker(handle))?;
        }
        Ok(crew)
    }

    pub(crate) fn places(&self) -> usize {
        self.jobs.len()
    }

    /// Ends the process of a place at once, whatever it is doing, and starts another.
    pub(crate) fn replace(&mut self, place: usize) -> Result<(), Error> {
        if let Some(mut worker) = self.workers.remove(&place) {
            worker.child.kill()?;
            worker.child.wait()?;
            // Reads what is left in the pipe.
            let _ = worker.reader.join();
            let as_of = worker.heard.as_of.load(Ordering::SeqCst);
            self.office.log(Event::Fault(Fault {
                name: "what a killed worker did last".to_owned(),
                from: as_of.saturating_sub(UNKNOWN),
                to: machine_time() + UNKNOWN,
                forgets: true,
                injected: false,
            }));
        }
        self.spawn(place)
    }

    /// Pauses or resumes the process of a place.
    pub(crate) fn pause(&self, place: usize, paused: bool) -> Result<(), Error> {
        if let Some(worker) = self.workers.get(&place) {
            let signal = if paused { Signal::STOP } else { Signal::CONT };
            kill_process(Pid::from_child(&worker.child), signal).map_err(std::io::Error::from)?;
        }
        Ok(())
    }

    /// Waits until the processes have ended by themselves.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let mut late = None;
        for (place, worker) in &mut self.workers {
            let ended = wait_for("a worker's end", END_LIMIT, || {
                matches!(worker.child.try_wait(), Ok(Some(_)))
            });
            if let Err(error) = ended {
                late = Some(error);
                let _ = worker.child.kill();
            }
            let status = worker.child.wait()?;
            if !status.success() && late.is_none() {
                return Err(std::io::Error::other(format!("worker {place} ended: {status}")).into());
            }
        }
        while let Some((_, worker)) = self.workers.pop_first() {
            if let Ok(read) = worker.reader.join() {
                read?;
            }
        }
        late.map_or(Ok(()), |error| Err(error.into()))
    }

    fn spawn(&mut self, place: usize) -> Result<(), Error> {
        let Some(job) = self.jobs.get(place) else { return Ok(()) };
        let job = Job { handle: self.next_handle, ..job.clone() };
        self.next_handle += 1;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Worker(job.handle));
        };
        let heard = Arc::new(Heard::default());
        heard.as_of.store(machine_time(), Ordering::SeqCst);
        let (office, hears) = (Arc::clone(&self.office), Arc::clone(&heard));
        let reader = std::thread::Builder::new().name(format!("worker {place}")).spawn(
            move || -> Result<(), Error> {
                say(&mut stdin, &job)?;
                listen(&office, &hears, stdin, stdout)
            },
        )?;
        self.workers.insert(place, Worker { child, heard, reader });
        Ok(())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in self.workers.values_mut() {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

/// Does what a worker says, until it ends.
fn listen(
    office: &Office,
    heard: &Heard,
    mut stdin: ChildStdin,
    stdout: ChildStdout,
) -> Result<(), Error> {
    for line in BufReader::new(stdout).lines() {
        // The last line of a killed one may be cut off.
        let Ok(report) = serde_json::from_str(&line?) else { break };
        match report {
            Report::Ready => heard.is_ready.store(true, Ordering::SeqCst),
            // It may be gone before it gets the answer; what it said last is still in the pipe.
            Report::Read { id, key } => {
                let _ = say(&mut stdin, &Answer { id, versions: office.register.read(key) });
            }
            Report::Change { id, tags } => {
                let _ = say(&mut stdin, &Answer { id, versions: office.register.change(&tags) });
            }
            Report::Events { as_of, events } => {
                office.events().extend(events);
                heard.as_of.store(as_of, Ordering::SeqCst);
            }
        }
    }
    Ok(())
}

fn say(stdin: &mut ChildStdin, message: &impl serde::Serialize) -> Result<(), Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(stdin.write_all(&line)?)
}
