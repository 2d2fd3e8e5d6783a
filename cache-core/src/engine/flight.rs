//! Flights: one run of the handler shared by the requests that want the same thing.
//!
//! The first request that misses *leads*; later ones *follow* until the leader has a verdict. A
//! follower may be given the leader's response only if it joined while the flight was open: the
//! leader closes it before the put, and the put's verdict then covers every invalidation that
//! returned before any of those followers began (rules I1 and I5). Who comes after the closing
//! waits too, so that the handler is not run twice, but looks up for itself afterwards.
//!
//! A leader that goes away without a verdict (an error, a panic, a dropped future) gives the
//! verdict `Failed` by being dropped: nobody is left hanging.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry as Slot;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::entry::Entry;
use crate::key::Key;

/// How long followers wait for the body of a response that has begun.
const STREAM_WAIT: Duration = Duration::from_millis(500);

/// Counters of ended flights, addressed by hash: a power of two.
const GENERATIONS: usize = 1024;

/// All flights of a cache.
#[derive(Debug)]
pub(crate) struct Flights {
    open: DashMap<Key, Arc<Flight>, BuildKeyHasher>,
    /// How many flights have ended, per slot. A request reads its slot before it looks up and
    /// again when it has become a leader: a difference means that the answer may be in the store
    /// by now. Keys that share a slot cost each other a few lookups at worst.
    generations: Box<[AtomicU64]>,
}

/// Most have no follower, and cost no more than this block.
#[derive(Debug)]
struct Flight {
    phase: Mutex<Phase>,
    /// Wakes the followers when the phase has changed.
    changed: Notify,
    followers: AtomicUsize,
    /// In monotonic time.
    since: Duration,
}

#[derive(Clone, Debug)]
enum Phase {
    Open,
    /// Open; the response has begun and its body is on the way since then.
    Streaming(Instant),
    Closed,
    Done(Verdict),
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The response is stored.
    Stored(Entry),
    /// It is not, but another lookup may help.
    LookAgain,
    /// It is not, and the next one would not be either.
    NotStored,
    /// There is no response.
    Failed,
}

/// What a request that misses becomes.
#[derive(Debug)]
pub(crate) enum Joined {
    /// It runs the handler for all.
    Lead(Lead),
    /// It waits.
    Follow(Follower),
    /// The flight has no room.
    Full,
}

impl Default for Flights {
    fn default() -> Self {
        let generations = (0..GENERATIONS).map(|_| AtomicU64::new(0)).collect();
        Self { open: DashMap::with_hasher(BuildKeyHasher::default()), generations }
    }
}

impl Flights {
    /// Joins the flight for `key`, or opens it at `now`, in monotonic time. One that is older than
    /// `max_fill` has nothing to give any more, a handler that hangs or a client that does not read;
    /// another takes its place.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: Key,
        max_followers: usize,
        max_fill: Duration,
        now: Duration,
    ) -> Joined {
        match self.open.entry(key) {
            Slot::Occupied(mut slot) if now.saturating_sub(slot.get().since) >= max_fill => {
                let flight = Arc::new(Flight::new(now));
                slot.insert(Arc::clone(&flight));
                Joined::Lead(Lead { flights: Arc::clone(self), key, flight, ended: false })
            }
            Slot::Occupied(slot) => {
                let flight = slot.get();
                if flight.followers.fetch_add(1, Ordering::Relaxed) >= max_followers {
                    flight.followers.fetch_sub(1, Ordering::Relaxed);
                    return Joined::Full;
                }
                // Read before the leader's close, hence before its put.
                let early = matches!(*flight.phase(), Phase::Open | Phase::Streaming(_));
                Joined::Follow(Follower { early, flight: Arc::clone(flight) })
            }
            Slot::Vacant(slot) => {
                let flight = Arc::new(Flight::new(now));
                slot.insert(Arc::clone(&flight));
                Joined::Lead(Lead { flights: Arc::clone(self), key, flight, ended: false })
            }
        }
    }

    /// How many flights that share the slot of `key` have ended.
    pub(crate) fn generation(&self, key: &Key) -> u64 {
        self.slot(key).load(Ordering::SeqCst)
    }

    /// Whether a flight for `key` is under way.
    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.open.contains_key(key)
    }

    fn slot(&self, key: &Key) -> &AtomicU64 {
        static NONE: AtomicU64 = AtomicU64::new(0);
        let index = usize::try_from(key.primary().fold() % GENERATIONS as u64).unwrap_or_default();
        self.generations.get(index).unwrap_or(&NONE)
    }
}

impl Flight {
    const fn new(now: Duration) -> Self {
        Self {
            phase: Mutex::new(Phase::Open),
            changed: Notify::const_new(),
            followers: AtomicUsize::new(0),
            since: now,
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        // Only whole values are written under the lock.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        *self.phase() = phase;
        self.changed.notify_waiters();
    }
}

/// The right and duty to end a flight.
#[derive(Debug)]
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: Key,
    flight: Arc<Flight>,
    ended: bool,
}

impl Lead {
    /// Nobody who joins from now on is given this flight's response. Called before the put.
    pub(crate) fn close(&self) {
        let mut phase = self.flight.phase();
        if matches!(*phase, Phase::Open | Phase::Streaming(_)) {
            // Nobody waits for this.
            *phase = Phase::Closed;
        }
    }

    /// The body of the response must be waited for: followers do so for [`STREAM_WAIT`] only, for
    /// it may be endless, or its client slow on purpose.
    pub(crate) fn streams(&self) {
        self.flight.enter(Phase::Streaming(Instant::now()));
    }

    /// Ends the flight.
    pub(crate) fn end(mut self, verdict: Verdict) {
        self.finish(verdict);
    }

    fn finish(&mut self, verdict: Verdict) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // Counted before it is gone from the table: whoever finds the table empty sees the count.
        self.flights.slot(&self.key).fetch_add(1, Ordering::SeqCst);
        // Another may have taken its place.
        self.flights.open.remove_if(&self.key, |_, flight| Arc::ptr_eq(flight, &self.flight));
        // Who joins does so by the table: from here on nobody joins this one.
        if self.flight.followers.load(Ordering::Acquire) > 0 {
            self.flight.enter(Phase::Done(verdict));
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.finish(Verdict::Failed);
    }
}

/// A request that waits for a flight.
#[derive(Debug)]
pub(crate) struct Follower {
    flight: Arc<Flight>,
    early: bool,
}

impl Follower {
    /// Waits for the verdict. A follower that joined after the closing is told to look again; one
    /// that waits too long for a streaming body has none.
    pub(crate) async fn verdict(self) -> Verdict {
        let mut phase =
            self.reach(|phase| matches!(phase, Phase::Done(_) | Phase::Streaming(_))).await;
        if let Phase::Streaming(since) = phase {
            let done = self.reach(|phase| matches!(phase, Phase::Done(_)));
            match tokio::time::timeout_at(since + STREAM_WAIT, done).await {
                Ok(done) => phase = done,
                Err(_) => return Verdict::NotStored,
            }
        }
        match phase {
            Phase::Done(Verdict::Stored(_)) if !self.early => Verdict::LookAgain,
            Phase::Done(verdict) => verdict,
            _ => Verdict::Failed,
        }
    }

    async fn reach(&self, wanted: impl Fn(&Phase) -> bool) -> Phase {
        loop {
            let mut changed = pin!(self.flight.changed.notified());
            // Before the look at the phase, so that no change is missed.
            changed.as_mut().enable();
            if let Some(phase) = self.reached(&wanted) {
                return phase;
            }
            changed.await;
        }
    }

    fn reached(&self, wanted: impl Fn(&Phase) -> bool) -> Option<Phase> {
        let phase = self.flight.phase();
        wanted(&phase).then(|| phase.clone())
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.flight.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hashes keys, whose hash is a part of a digest already: all that is added is a secret of the
/// process, so that nobody chooses places.
#[derive(Clone, Debug)]
struct BuildKeyHasher(u64);

impl Default for BuildKeyHasher {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }
}

impl BuildHasher for BuildKeyHasher {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { secret: self.0, hash: 0 }
    }
}

struct KeyHasher {
    secret: u64,
    hash: u64,
}

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, i: u64) {
        let mixed = (self.hash ^ i).wrapping_mul(self.secret);
        self.hash = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Digest;

    const FILL: Duration = Duration::from_secs(60);

    fn key() -> Key {
        Key::new(Digest::of(b"k"))
    }

    const NOW: Duration = Duration::from_secs(1000);

    #[tokio::test]
    async fn a_flight_that_can_no_longer_be_stored_makes_room_for_another() {
        let flights = Arc::new(Flights::default());
        let Joined::Lead(old) = flights.join(key(), 1, FILL, NOW) else { panic!("first leads") };
        let later = NOW + FILL;
        let Joined::Lead(new) = flights.join(key(), 1, FILL, later) else {
            panic!("another leads")
        };
        drop(old);
        let joined = flights.join(key(), 1, FILL, later);
        assert!(matches!(joined, Joined::Follow(_)), "the old one's end is not the new one's");
        drop(new);
        assert!(flights.open.is_empty());
    }

    #[tokio::test]
    async fn a_dropped_leader_releases_its_followers_and_the_key() {
        let flights = Arc::new(Flights::default());
        let Joined::Lead(lead) = flights.join(key(), 1, FILL, NOW) else { panic!("first leads") };
        let Joined::Follow(follower) = flights.join(key(), 1, FILL, NOW) else {
            panic!("second follows")
        };
        assert!(matches!(flights.join(key(), 1, FILL, NOW), Joined::Full));
        let before = flights.generation(&key());
        drop(lead);
        assert!(matches!(follower.verdict().await, Verdict::Failed));
        assert_eq!(flights.generation(&key()), before + 1);
        assert!(matches!(flights.join(key(), 1, FILL, NOW), Joined::Lead(_)));
        assert!(flights.open.is_empty());
    }

    #[tokio::test]
    async fn a_late_follower_looks_for_itself() {
        let flights = Arc::new(Flights::default());
        let Joined::Lead(lead) = flights.join(key(), 9, FILL, NOW) else { panic!("first leads") };
        let Joined::Follow(early) = flights.join(key(), 9, FILL, NOW) else {
            panic!("second follows")
        };
        lead.close();
        let Joined::Follow(late) = flights.join(key(), 9, FILL, NOW) else { panic!("third waits") };
        let entry = Entry::new(
            key(),
            crate::tag::Tags::default(),
            std::time::SystemTime::UNIX_EPOCH,
            crate::entry::Content::Variants(crate::key::vary::VariantRecord::default()),
            bytes::Bytes::new(),
        );
        lead.end(Verdict::Stored(entry));
        assert!(matches!(early.verdict().await, Verdict::Stored(_)));
        assert!(matches!(late.verdict().await, Verdict::LookAgain));
    }
}
