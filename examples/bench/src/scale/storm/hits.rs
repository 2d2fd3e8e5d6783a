//! Hits, asked for by a few all the time or at a fixed rate.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use tokio::sync::Semaphore;

use super::HOT;
use super::phase::{Phase, since};
use crate::error::Error;
use crate::scale::app::{App, ask};

/// How hits are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    /// So many, each of them again as soon as it is answered: the server is as busy as can be.
    AtOnce(usize),
    /// So many a second, whatever becomes of them; the latency counts from when one was due.
    Paced(u64),
}

/// Requests under way at a fixed rate. More means that the rate is too high.
const MOST: usize = 10_000;

/// Asks until it is over.
pub(super) async fn hits<A: App>(
    service: &A,
    load: Load,
    is_over: &(impl Fn() -> bool + Sync),
) -> Result<Phase, Error> {
    let start = SystemClock.monotonic();
    let nanos = match load {
        Load::AtOnce(askers) => {
            let asking = (0..askers).map(|asker| again_and_again(service, asker * 31, is_over));
            futures_util::future::try_join_all(asking).await?.concat()
        }
        Load::Paced(rate) => at_rate(service, rate, is_over).await?,
    };
    Ok(Phase { nanos, took: SystemClock.monotonic().saturating_sub(start), failed: 0 })
}

async fn again_and_again<A: App>(
    service: &A,
    mut number: usize,
    is_over: &(impl Fn() -> bool + Sync),
) -> Result<Vec<u32>, Error> {
    let mut nanos = Vec::new();
    while !is_over() {
        let start = SystemClock.monotonic();
        ask(service, number % HOT).await?;
        nanos.push(since(start));
        number += 1;
        // A request that need not wait never gives way to the others here.
        if number.is_multiple_of(64) {
            tokio::task::yield_now().await;
        }
    }
    Ok(nanos)
}

/// Blocks its thread, which must not be one of the runtime's: tokio's timers are too coarse.
async fn at_rate<A: App>(
    service: &A,
    rate: u64,
    is_over: &(impl Fn() -> bool + Sync),
) -> Result<Vec<u32>, Error> {
    wake_on_time();
    let period = Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX);
    let room = Arc::new(Semaphore::new(MOST));
    let answers: Arc<Mutex<Result<Vec<u32>, Error>>> = Arc::new(Mutex::new(Ok(Vec::new())));
    let mut due = SystemClock.monotonic();
    for number in 0_usize.. {
        if is_over() {
            break;
        }
        if let Some(early) = due.checked_sub(SystemClock.monotonic()) {
            std::thread::sleep(early);
        }
        // Where so many are too many a second, the latencies say so: they count from when it was due.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
        let (service, answers) = (service.clone(), Arc::clone(&answers));
        tokio::spawn(async move {
            let answer = ask(&service, number % HOT).await;
            let took = since(due);
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *answers, answer) {
                (Ok(nanos), Ok(())) => nanos.push(took),
                (answers, Err(error)) => *answers = Err(error),
                (Err(_), Ok(())) => {}
            }
            drop(place);
        });
        due += period;
    }
    // The last ones.
    let _all = room.acquire_many(u32::try_from(MOST).unwrap_or(u32::MAX)).await;
    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::replace(&mut *answers, Ok(Vec::new()))
}

/// Lets this thread's sleeps end on time; Linux makes them up to 50 µs longer otherwise. Without
/// it every latency is as much longer.
fn wake_on_time() {
    let thread = std::fs::read_link("/proc/thread-self").ok();
    let number = thread.as_ref().and_then(|path| path.file_name()?.to_str());
    if let Some(number) = number {
        let _ = std::fs::write(format!("/proc/{number}/timerslack_ns"), "1");
    }
}
