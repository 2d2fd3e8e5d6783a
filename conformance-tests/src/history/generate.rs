//! The tasks that make a history.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock, SystemClock, unix_millis};
use cache_core::entry::{Content, Entry};
use cache_core::key::Digest;
use cache_core::key::vary::VariantRecord;
use cache_core::store::{Lookup, PutOutcome, Selection, Store, Ticket};
use cache_core::tag::Tag;
use http::header::ACCEPT;
use tokio::sync::mpsc;

use super::body::Computed;
use super::config::Config;
use super::event::{
    Actor, EVERYTHING, Event, Failure, Filled, History, Invalidation, Missed, Outcome, Served,
};
use super::random::Random;
use super::world::{Names, Register, Truth};
use crate::cx::poll_times;

/// Works on the store through `handles` for the time set, and returns what happened.
///
/// The tasks are spawned on the current runtime, which should have several threads. Each handle
/// gets `config.tasks` tasks that look up and fill, and one that invalidates.
///
/// # Panics
///
/// There is no runtime, or the store panics.
pub async fn run(handles: Vec<Arc<dyn Store>>, config: Config) -> History {
    let started = unix_millis(SystemClock.now());
    let (log, mut events) = mpsc::channel(LOG_ROOM);
    let stage = Stage {
        run: format!("history-{:x}-{started:x}-{:x}", config.seed, std::process::id()),
        truth: Arc::new(Register::new(&config)),
        clock: own_clock,
        until: own_clock() + nanos(config.duration),
        log,
    };
    let mut handles_at_work = Vec::new();
    for (handle, store) in (0_u32..).zip(handles) {
        let stage = stage.clone();
        handles_at_work.push(tokio::spawn(work(store, handle, config, stage)));
    }
    drop(stage);
    let mut history = History::new(config.seed, Vec::new());
    while let Some(event) = events.recv().await {
        history.events.push(event);
    }
    for handle in handles_at_work {
        resumed(handle.await);
    }
    history
}

/// How many events may wait to be taken.
const LOG_ROOM: usize = 1024;

/// What the tasks of a run have in common, wherever they are.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "other harnesses build it; it is complete")]
pub struct Stage {
    /// Names the run; keys and tags are unique to it, so that runs may share a server.
    pub run: String,
    /// The truth behind the cache.
    pub truth: Arc<dyn Truth>,
    /// Nanoseconds, on a clock that never goes backwards and that all tasks of the run share:
    /// `machine_time` if they are in several processes.
    pub clock: fn() -> u64,
    /// When they stop.
    pub until: u64,
    /// Where what happens is written down.
    pub log: mpsc::Sender<Event>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage")
            .field("run", &self.run)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// The part of one handle in a run, which may have others in other processes. `handle` is its
/// number, unique in the run, at most 2²⁴.
///
/// # Panics
///
/// There is no runtime, or the store panics.
///
/// # Cancellation
///
/// The tasks go on until their time is over, or until nobody takes their events.
pub async fn work(store: Arc<dyn Store>, handle: u32, config: Config, stage: Stage) {
    let names = Arc::new(Names::new(&stage.run, &config));
    let mut tasks = Vec::new();
    for task in 0..=u32::try_from(config.tasks).unwrap_or(u32::MAX - 1) {
        let by = Actor { handle, task };
        let mut worker = Worker {
            by,
            store: Arc::clone(&store),
            names: Arc::clone(&names),
            stage: stage.clone(),
            random: Random::new(config.seed, stream(by)),
            rest: config.rest,
            lull: config.lull,
            fills: 0,
        };
        tasks.push(tokio::spawn(async move {
            // Task 0 of each handle is the one that invalidates.
            if task == 0 { worker.invalidates().await } else { worker.asks().await }
        }));
    }
    drop(stage);
    for task in tasks {
        resumed(task.await);
    }
}

fn resumed(ended: Result<(), tokio::task::JoinError>) {
    // Cancelled only at the end of the runtime, when nobody waits for this.
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

const fn stream(by: Actor) -> u64 {
    (by.handle as u64) << 32 | by.task as u64
}

struct Worker {
    by: Actor,
    store: Arc<dyn Store>,
    names: Arc<Names>,
    stage: Stage,
    random: Random,
    rest: u32,
    lull: u32,
    fills: u64,
}

impl Worker {
    fn now(&self) -> u64 {
        (self.stage.clock)()
    }

    fn goes_on(&self) -> bool {
        self.now() < self.stage.until && !self.stage.log.is_closed()
    }

    async fn log(&self, event: Event) {
        // Nobody takes it any more at the end of an aborted run only.
        let _ = self.stage.log.send(event).await;
    }

    async fn asks(&mut self) {
        while self.goes_on() {
            // The smaller of two draws: some keys are hotter than others.
            let keys = self.names.keys();
            let key = self.random.below(keys).min(self.random.below(keys));
            self.ask(key).await;
        }
    }

    async fn ask(&mut self, key: u32) {
        let start = self.now();
        let Some(lookup) = self.lookup(key).await else {
            let (by, end) = (self.by, self.now());
            self.log(Event::Failed(Failure { by, start, end })).await;
            return self.pause(100).await;
        };
        let (by, end) = (self.by, self.now());
        match lookup {
            Lookup::Found(entry, ticket) => {
                let content = self.read(key, &entry);
                self.log(Event::Served(Served { by, start, end, key, content })).await;
                if self.random.percent(5) {
                    self.refresh(key, start, ticket).await;
                } else {
                    self.pause(self.rest).await;
                }
            }
            Lookup::Miss(ticket) => {
                self.log(Event::Missed(Missed { by, start, end, key })).await;
                self.fill(key, start, ticket).await;
            }
            _ => {}
        }
    }

    /// With the hints that are right, others, or none; without waiting, if the store can.
    async fn lookup(&mut self, key: u32) -> Option<Lookup> {
        let hints = match self.random.below(4) {
            0 => vec![],
            1 => vec![self.names.declared(key)],
            2 => vec![self.names.declared(key), self.names.discovered(key, 4)],
            _ => vec![self.random.below(self.names.tags())],
        };
        let hints: Vec<Tag> = self.names.named(hints).to_vec();
        let name = self.names.key(key)?;
        let at_once =
            if self.random.percent(50) { self.store.try_lookup(name, &hints) } else { None };
        match at_once {
            Some(lookup) => Some(lookup),
            None => self.store.lookup(name, &hints).await.ok(),
        }
    }

    /// What the entry says, if all of it is of one piece.
    fn read(&self, key: u32, entry: &Entry) -> Option<Computed> {
        let content = Computed::from_body(entry.body())?;
        let tags = self.names.named(content.seen.iter().map(|(tag, _)| *tag));
        let under = self.names.key(key).is_some_and(|key| entry.is_under(key));
        (under && *tags == *entry.tags()).then_some(content)
    }

    /// A fill with an entry in place, by the ticket that came with it or by a new one.
    async fn refresh(&mut self, key: u32, found_at: u64, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            return self.fill(key, found_at, ticket).await;
        }
        let asked = self.now();
        let Some(name) = self.names.key(key) else { return };
        match self.store.begin(name).await {
            Ok(ticket) => self.fill(key, asked, ticket).await,
            Err(_) => {
                let (by, end) = (self.by, self.now());
                self.log(Event::Failed(Failure { by, start: asked, end })).await;
            }
        }
    }

    async fn fill(&mut self, key: u32, asked: u64, ticket: Ticket) {
        let at = self.now();
        let Some(seen) = self.stage.truth.read(key).await else { return };
        self.work().await;
        if self.random.percent(2) {
            // The handler failed: the ticket is dropped.
            return;
        }
        let content = Computed { key, fill: self.next_fill(), at, seen };
        let life = self.life();
        let kept_until = self.now() + nanos(life);
        let Some(entry) = self.entry(&content, life) else { return };
        let put = self.now();
        let outcome = self.put(ticket, entry).await;
        let (by, end) = (self.by, self.now());
        let filled = Filled { by, asked, put, end, kept_until, outcome, content };
        self.log(Event::Filled(filled)).await;
    }

    /// 24 bits for the handle, 12 for the task, the rest for the fill.
    const fn next_fill(&mut self) -> u64 {
        self.fills += 1;
        (self.by.handle as u64) << 40 | (self.by.task as u64) << 28 | self.fills
    }

    /// What a handler takes: 0–4 ms, one in twenty 20 ms.
    async fn work(&mut self) {
        let millis = if self.random.percent(5) { 20 } else { u64::from(self.random.below(5)) };
        if millis == 0 {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    /// Mostly long; sometimes so short that the entry expires within the run.
    fn life(&mut self) -> Duration {
        let short = self.random.percent(5);
        Duration::from_millis(if short { u64::from(5 + self.random.below(20)) } else { 600_000 })
    }

    fn entry(&self, content: &Computed, life: Duration) -> Option<Entry> {
        // Any content will do; this one needs no more than a name.
        let (record, _) = VariantRecord::default().with(&[ACCEPT], Digest::of(b"history"))?;
        let tags = self.names.named(content.seen.iter().map(|(tag, _)| *tag));
        let body = Bytes::from(content.to_body());
        let keep_until = SystemClock.now() + life;
        let key = *self.names.key(content.key)?;
        Some(Entry::new(key, tags, keep_until, Content::Variants(record), body))
    }

    /// One in fifty puts is dropped half-way.
    async fn put(&mut self, ticket: Ticket, entry: Entry) -> Outcome {
        let put = self.store.put(ticket, entry);
        let outcome =
            if self.random.percent(2) { poll_times(1, put).await } else { Some(put.await) };
        match outcome {
            Some(Ok(PutOutcome::Stored)) => Outcome::Stored,
            Some(Ok(PutOutcome::Superseded)) => Outcome::Superseded,
            Some(Ok(_)) => Outcome::Refused,
            Some(Err(_)) | None => Outcome::Unknown,
        }
    }

    async fn invalidates(&mut self) {
        while self.goes_on() {
            let millis = u64::from(1 + self.random.below(self.lull));
            tokio::time::sleep(Duration::from_millis(millis)).await;
            self.invalidate().await;
        }
    }

    /// Changes the truth, then invalidates. One in fifty calls is dropped half-way; one in two
    /// hundred is a clear.
    async fn invalidate(&mut self) {
        let tags = self.selection();
        let what = match tags.first() {
            Some(&EVERYTHING) => Selection::All,
            _ => Selection::Tags(self.names.named(tags.iter().copied())),
        };
        let Some(tags) = self.stage.truth.change(&tags).await else { return };
        let call = self.now();
        let store = Arc::clone(&self.store);
        let invalidation = store.invalidate(&what);
        let done = if self.random.percent(2) {
            poll_times(1, invalidation).await
        } else {
            Some(invalidation.await)
        };
        let ret = matches!(done, Some(Ok(_))).then(|| self.now());
        let by = self.by;
        self.log(Event::Invalidated(Invalidation { by, call, ret, tags })).await;
    }

    fn selection(&mut self) -> Vec<u32> {
        let clear = self.random.below(200) == 0;
        let more = if self.random.percent(20) { 2 } else { 0 };
        let tags = self.names.tags();
        if clear {
            return vec![EVERYTHING];
        }
        let mut chosen: Vec<u32> = (0..=more).map(|_| self.random.below(tags)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }

    /// Sleeps a little with this chance in percent, else lets others run.
    async fn pause(&mut self, chance: u32) {
        if self.random.percent(chance) {
            let millis = u64::from(1 + self.random.below(3));
            tokio::time::sleep(Duration::from_millis(millis)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Good for one process.
fn own_clock() -> u64 {
    nanos(SystemClock.monotonic())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
