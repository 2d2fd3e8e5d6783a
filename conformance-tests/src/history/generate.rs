//! The tasks that make a history.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::Digest;
use cache_core::key::vary::VariantRecord;
use cache_core::store::{Lookup, PutOutcome, Selection, Store, Ticket};
use cache_core::tag::Tag;
use http::header::ACCEPT;

use super::body::Computed;
use super::config::Config;
use super::event::{
    Actor, EVERYTHING, Event, Filled, History, Invalidation, Missed, Outcome, Served,
};
use super::random::Random;
use super::world::World;
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
    let world = Arc::new(World::new(&config));
    let deadline = SystemClock.monotonic() + config.duration;
    let mut tasks = Vec::new();
    for (handle, store) in (0_u32..).zip(handles) {
        for task in 0..=u32::try_from(config.tasks).unwrap_or(u32::MAX - 1) {
            let by = Actor { handle, task };
            let random = Random::new(config.seed, stream(by));
            let (store, world) = (Arc::clone(&store), Arc::clone(&world));
            let mut worker =
                Worker { by, store, world, random, deadline, fills: 0, events: Vec::new() };
            tasks.push(tokio::spawn(async move {
                // Task 0 of each handle is the one that invalidates.
                if task == 0 {
                    worker.invalidates().await;
                } else {
                    worker.asks().await;
                }
                worker.events
            }));
        }
    }
    let mut history = History::new(config.seed, Vec::new());
    for task in tasks {
        match task.await {
            Ok(events) => history.events.extend(events),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only at the end of the runtime, when nobody waits for this.
            Err(_) => {}
        }
    }
    history
}

const fn stream(by: Actor) -> u64 {
    (by.handle as u64) << 32 | by.task as u64
}

struct Worker {
    by: Actor,
    store: Arc<dyn Store>,
    world: Arc<World>,
    random: Random,
    deadline: Duration,
    fills: u64,
    events: Vec<Event>,
}

impl Worker {
    async fn asks(&mut self) {
        while SystemClock.monotonic() < self.deadline {
            // The smaller of two draws: some keys are hotter than others.
            let keys = self.world.keys();
            let key = self.random.below(keys).min(self.random.below(keys));
            self.ask(key).await;
        }
    }

    async fn ask(&mut self, key: u32) {
        let start = now();
        let Some(lookup) = self.lookup(key).await else {
            self.events.push(Event::Failed(self.by));
            return self.pause(100).await;
        };
        let (by, end) = (self.by, now());
        match lookup {
            Lookup::Found(entry, ticket) => {
                let content = self.read(key, &entry);
                self.events.push(Event::Served(Served { by, start, end, key, content }));
                if self.random.percent(5) {
                    self.refresh(key, start, ticket).await;
                } else {
                    self.pause(10).await;
                }
            }
            Lookup::Miss(ticket) => {
                self.events.push(Event::Missed(Missed { by, start, end, key }));
                self.fill(key, start, ticket).await;
            }
            _ => {}
        }
    }

    /// With the hints that are right, others, or none; without waiting, if the store can.
    async fn lookup(&mut self, key: u32) -> Option<Lookup> {
        let hints = match self.random.below(4) {
            0 => vec![],
            1 => vec![self.world.declared(key)],
            2 => vec![self.world.declared(key), self.world.discovered(key, 4)],
            _ => vec![self.random.below(self.world.tags())],
        };
        let hints: Vec<Tag> = self.world.named(hints).to_vec();
        let name = self.world.key(key)?;
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
        let tags = self.world.named(content.seen.iter().map(|(tag, _)| *tag));
        (self.world.key(key) == Some(entry.key()) && tags == *entry.tags()).then_some(content)
    }

    /// A fill with an entry in place, by the ticket that came with it or by a new one.
    async fn refresh(&mut self, key: u32, found_at: u64, ticket: Option<Ticket>) {
        if let Some(ticket) = ticket {
            return self.fill(key, found_at, ticket).await;
        }
        let asked = now();
        let Some(name) = self.world.key(key) else { return };
        match self.store.begin(name).await {
            Ok(ticket) => self.fill(key, asked, ticket).await,
            Err(_) => self.events.push(Event::Failed(self.by)),
        }
    }

    async fn fill(&mut self, key: u32, asked: u64, ticket: Ticket) {
        let at = now();
        let seen = self.world.read(key);
        self.work().await;
        if self.random.percent(2) {
            // The handler failed: the ticket is dropped.
            return;
        }
        self.fills += 1;
        let content = Computed { key, fill: stream(self.by) << 24 | self.fills, at, seen };
        let life = self.life();
        let kept_until = now() + nanos(life);
        let Some(entry) = self.entry(&content, life) else { return };
        let put = now();
        let outcome = self.put(ticket, entry).await;
        let (by, end) = (self.by, now());
        let filled = Filled { by, asked, put, end, kept_until, outcome, content };
        self.events.push(Event::Filled(filled));
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
        let tags = self.world.named(content.seen.iter().map(|(tag, _)| *tag));
        let body = Bytes::from(content.to_body());
        let keep_until = SystemClock.now() + life;
        let key = *self.world.key(content.key)?;
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
        while SystemClock.monotonic() < self.deadline {
            let millis = u64::from(1 + self.random.below(8));
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
            _ => Selection::Tags(self.world.named(tags.iter().copied())),
        };
        let tags = tags.into_iter().map(|tag| (tag, self.world.change(tag))).collect();
        let call = now();
        let invalidation = self.store.invalidate(&what);
        let done = if self.random.percent(2) {
            poll_times(1, invalidation).await
        } else {
            Some(invalidation.await)
        };
        let ret = matches!(done, Some(Ok(_))).then(now);
        let by = self.by;
        self.events.push(Event::Invalidated(Invalidation { by, call, ret, tags }));
    }

    fn selection(&mut self) -> Vec<u32> {
        let clear = self.random.below(200) == 0;
        let more = if self.random.percent(20) { 2 } else { 0 };
        let tags = self.world.tags();
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

fn now() -> u64 {
    nanos(SystemClock.monotonic())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
