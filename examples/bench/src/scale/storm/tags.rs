//! The tags: their members, and the storm of their invalidations.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cache_core::Store;
use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::{Content, Entry};
use cache_core::key::vary::VariantRecord;
use cache_core::key::{Digest, Key};
use cache_core::store::{PutOutcome, Selection};
use cache_core::tag::Tags;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Size;
use super::phase::{Phase, since};
use crate::error::Error;

/// Between two invalidations.
const PACE: Duration = Duration::from_millis(1);

/// Invalidations that may be under way at once. More wait, and come late.
const AT_ONCE: usize = 64;

/// How an invalidation has ended: its time, unless it failed.
type Joined = Result<Result<Option<u32>, Error>, tokio::task::JoinError>;

/// All members of all tags, each with that tag alone.
pub(super) async fn fill<S: Store + Clone>(store: &S, size: Size) -> Result<(), Error> {
    let keep_until = SystemClock.now() + Duration::from_secs(3_600);
    for tag in 0..size.tags {
        let members = if tag % size.large_every == 0 { size.large } else { size.small };
        let tags = Tags::user([name(tag)]).map_err(|error| Error::other(error.to_string()))?;
        let numbers: Vec<usize> = (0..members).collect();
        for some in numbers.chunks(AT_ONCE) {
            let puts = some.iter().map(|member| {
                let key = Key::new(Digest::of(format!("{tag}.{member}").as_bytes()));
                let content = Content::Variants(VariantRecord::default());
                put(store, Entry::new(key, tags.clone(), keep_until, content, Bytes::new()))
            });
            futures_util::future::try_join_all(puts).await?;
        }
    }
    Ok(())
}

/// Invalidates tag after tag, each at its time if it can be: all of them once, or as long as is
/// watched.
pub(super) async fn invalidate<S: Store + Clone>(
    store: S,
    size: Size,
    one_pass: bool,
    over: Arc<AtomicBool>,
) -> Result<Phase, Error> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let start = SystemClock.monotonic();
    let passes = if one_pass { 1 } else { usize::MAX };
    let mut under_way: JoinSet<Result<Option<u32>, Error>> = JoinSet::new();
    let mut phase = Phase::default();
    let mut at = start;
    'storm: for _ in 0..passes {
        for tag in 0..size.tags {
            let now = SystemClock.monotonic();
            if !one_pass && now.saturating_sub(start) >= size.watched {
                break 'storm;
            }
            // Even the shortest sleep lasts a millisecond: who is late must not sleep.
            if let Some(early) = at.checked_sub(now).filter(|early| !early.is_zero()) {
                tokio::time::sleep(early).await;
            }
            at += PACE;
            let permit = Arc::clone(&room).acquire_owned().await;
            let permit = permit.map_err(|error| Error::other(error.to_string()))?;
            let store = store.clone();
            under_way.spawn(async move {
                let took = timed(&store, tag).await;
                drop(permit);
                took
            });
            while let Some(ended) = under_way.try_join_next() {
                note(&mut phase, ended)?;
            }
        }
    }
    while let Some(ended) = under_way.join_next().await {
        note(&mut phase, ended)?;
    }
    phase.took = SystemClock.monotonic().saturating_sub(start);
    over.store(true, Ordering::Relaxed);
    Ok(phase)
}

fn note(phase: &mut Phase, ended: Joined) -> Result<(), Error> {
    match ended.map_err(|error| Error::other(error.to_string()))?? {
        Some(nanos) => phase.nanos.push(nanos),
        None => phase.failed += 1,
    }
    Ok(())
}

async fn timed<S: Store>(store: &S, tag: usize) -> Result<Option<u32>, Error> {
    let tags = Tags::user([name(tag)]).map_err(|error| Error::other(error.to_string()))?;
    let start = SystemClock.monotonic();
    let done = store.invalidate(&Selection::Tags(tags)).await;
    Ok(done.is_ok().then(|| since(start)))
}

async fn put<S: Store>(store: &S, entry: Entry) -> Result<(), Error> {
    let ticket = store.begin(&entry.key()).await;
    let ticket = ticket.map_err(|error| Error::other(error.to_string()))?;
    match store.put(ticket, entry).await {
        Ok(PutOutcome::Stored) => Ok(()),
        other => Err(Error::other(format!("put: {other:?}"))),
    }
}

fn name(tag: usize) -> String {
    format!("storm:{tag}")
}
