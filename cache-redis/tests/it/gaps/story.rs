//! One fixed story of two processes that holds every way in which an older answer could come back,
//! with places between its steps for a fault to strike.
//!
//! The body of every entry is the version of the data that its handler saw. A version is made
//! *before* the invalidation is called, so whatever is found must be at least as new as the last
//! invalidation that had returned when the lookup began. That is I1, checked at each step.

use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::{Lookup, PutOutcome, Refusal, Store, StoreError, Ticket};

use super::deployment::{Deployment, Place};
use crate::worker::{Worker, entry, key, tag};

/// The steps of the story; gap `n` is before step `n`.
pub(super) const STEPS: usize = 13;

/// How soon caching must be back once the fault is over, on any machine. `application::*` measure it.
const RECOVERY: Duration = Duration::from_secs(60);

pub(super) struct Story<'n> {
    what: String,
    names: &'n [String; 3],
    p1: Worker,
    p2: Worker,
    /// The data behind the handlers, and what of it has been acknowledged as invalidated.
    version: u64,
    floor: u64,
    /// Whether calls may fail while the fault lasts.
    errors: bool,
    straddling: Option<(Ticket, u64)>,
    second: Option<(Ticket, u64)>,
    pub(super) hits: u32,
}

impl<'n> Story<'n> {
    pub(super) async fn begin(
        what: String,
        deployment: &Deployment,
        place: &'n Place,
        errors: bool,
    ) -> Self {
        // Where no call may fail, the time limit must not be what fails it on a busy machine.
        let patience = Duration::from_millis(if errors { 150 } else { 10_000 });
        let p1 = deployment.worker(&place.prefix, patience).await;
        let p2 = deployment.worker(&place.prefix, patience).await;
        Self {
            what,
            names: &place.names,
            p1,
            p2,
            version: 1,
            floor: 0,
            errors,
            straddling: None,
            second: None,
            hits: 0,
        }
    }

    pub(super) async fn step(&mut self, step: usize) {
        let [a, b, c] = self.names;
        let (p1, p2) = (self.p1.clone(), self.p2.clone());
        match step {
            0 | 10 => self.fill(&p1, a).await,
            1 => self.read(&p2, a).await,
            2 => self.straddling = self.ticket(&p1, b).await,
            3 => self.second = self.ticket(&p2, c).await,
            4 => self.invalidate(&p2).await,
            5 => self.read(&p1, a).await,
            6 => {
                let old = self.straddling.take();
                self.put(&p1, b, old).await;
            }
            7 => self.read(&p2, b).await,
            8 => {
                let old = self.second.take();
                self.put(&p2, c, old).await;
            }
            9 => self.read(&p1, c).await,
            11 => self.invalidate(&p1).await,
            _ => {
                for name in [a, b, c] {
                    self.read(&p1, name).await;
                    self.read(&p2, name).await;
                }
            }
        }
    }

    /// After the fault: nothing old, and caching works again (I2).
    pub(super) async fn end(mut self) -> u32 {
        self.errors = true;
        let names = self.names;
        let (p1, p2) = (self.p1.clone(), self.p2.clone());
        let end = SystemClock.monotonic() + RECOVERY;
        loop {
            for name in names {
                self.read(&p1, name).await;
                self.read(&p2, name).await;
            }
            if self.works(&p1, &p2, &names[0]).await && self.works(&p2, &p1, &names[2]).await {
                return self.hits;
            }
            assert!(SystemClock.monotonic() < end, "{}: caching is not back", self.what);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether an invalidation, a fill and a hit of both processes follow each other.
    async fn works(&mut self, one: &Worker, other: &Worker, name: &str) -> bool {
        self.version += 1;
        if one.try_invalidate(&["t"]).await.is_err() {
            return false;
        }
        self.floor = self.version;
        let Some((ticket, version)) = self.ticket(one, name).await else { return false };
        let put = one.0.put(ticket, entry(name, &["t"], &format!("{name}:{version}"))).await;
        if !matches!(put, Ok(PutOutcome::Stored)) {
            return false;
        }
        let before = self.hits;
        self.read(one, name).await;
        self.read(other, name).await;
        self.hits == before + 2
    }

    async fn read(&mut self, worker: &Worker, name: &str) {
        let floor = self.floor;
        // With the tag hinted and without it: the answers are the same.
        for hints in [&[tag("t")][..], &[]] {
            match worker.0.lookup(&key(name), hints).await {
                Ok(Lookup::Found(found, _)) => {
                    let body = std::str::from_utf8(found.body()).unwrap();
                    let (of, version) = body.split_once(':').unwrap();
                    assert_eq!(of, name, "{}: another key's entry", self.what);
                    let version: u64 = version.parse().unwrap();
                    assert!(version >= floor, "{}: {name} is stale: {body}", self.what);
                    self.hits += u32::from(hints.is_empty());
                }
                Ok(_) => {}
                Err(error) => self.failed(&error),
            }
        }
    }

    async fn ticket(&mut self, worker: &Worker, name: &str) -> Option<(Ticket, u64)> {
        match worker.0.begin(&key(name)).await {
            Ok(ticket) => Some((ticket, self.version)),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    async fn put(&mut self, worker: &Worker, name: &str, ticket: Option<(Ticket, u64)>) {
        let Some((ticket, version)) = ticket else { return };
        let put = worker.0.put(ticket, entry(name, &["t"], &format!("{name}:{version}"))).await;
        match put {
            Ok(PutOutcome::Stored) => {
                assert!(version >= self.floor, "{}: {name} stored though outrun", self.what);
            }
            Ok(PutOutcome::Superseded | PutOutcome::Refused(Refusal::Capacity)) => {}
            Ok(other) => panic!("{}: {other:?}", self.what),
            Err(error) => self.failed(&error),
        }
    }

    async fn fill(&mut self, worker: &Worker, name: &str) {
        let ticket = self.ticket(worker, name).await;
        self.put(worker, name, ticket).await;
    }

    async fn invalidate(&mut self, worker: &Worker) {
        self.version += 1;
        match worker.try_invalidate(&["t"]).await {
            Ok(_) => self.floor = self.version,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &StoreError) {
        let source = std::error::Error::source(error);
        assert!(self.errors, "{}: {error}: {source:?}", self.what);
    }
}
