//! A process of a run: a store of its own, and tasks that work on it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cache_core::store::Store;
use cache_redis::{RedisStore, Start};
use conformance_tests::history::{self, Event, Stage, Truth, machine_time};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, Stdin, Stdout};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;
use crate::protocol::{Answer, Job, Report};

/// How many messages may wait to be written.
const ROOM: usize = 1024;

/// Works as its first line of input says, until its time is over or its input ends.
pub(crate) fn main() -> Result<(), Error> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(work());
    // A read of the standard input cannot be cancelled.
    runtime.shutdown_background();
    done
}

async fn work() -> Result<(), Error> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let first = lines.next_line().await?.ok_or(Error::Orphan)?;
    let job: Job = serde_json::from_str(&first)?;
    let store = open(&job).await?;
    let (requests, wanted) = mpsc::channel(ROOM);
    let (log, events) = mpsc::channel(ROOM);
    let distant =
        Arc::new(Distant { requests, waiting: Mutex::default(), next: AtomicU64::new(0) });
    let truth: Arc<dyn Truth> = Arc::<Distant>::clone(&distant);
    let stage = Stage { run: job.run, truth, clock: machine_time, until: job.until, log };
    let writer = tokio::spawn(write(tokio::io::stdout(), wanted, events));
    tokio::select! {
        () = history::work(store, job.handle, job.config, stage) => {}
        // The parent is gone, or nonsense came.
        ended = distant.listen(&mut lines) => return ended,
    }
    drop(distant);
    writer.await.map_err(|_| Error::Orphan)?
}

async fn open(job: &Job) -> Result<Arc<dyn Store>, Error> {
    if let Some(mutant) = job.mutant {
        return Ok(mutant.open(&job.url).await?);
    }
    // As documented: what counts as proved, and the wait for an answer, together stay below the
    // time after which a silent primary is replaced.
    let limit = job.failover_after * 2 / 5;
    let store = RedisStore::builder(&job.url)?
        .with_prefix(&job.run)
        .with_response_limit(limit)
        .with_connect_limit(limit)
        .with_proof_interval(limit)
        .with_breaker(3, Duration::from_millis(100))
        // It may be born into a fault.
        .with_start(Start::Lenient)
        .connect()
        .await?;
    Ok(Arc::new(store))
}

/// The truth, which the parent keeps.
struct Distant {
    requests: mpsc::Sender<Report>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
}

impl Distant {
    async fn ask(&self, request: impl FnOnce(u64) -> Report) -> Option<Vec<(u32, u64)>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        self.requests.send(request(id)).await.ok()?;
        answered.await.ok().map(|answer| answer.versions)
    }

    async fn listen(&self, lines: &mut Lines<BufReader<Stdin>>) -> Result<(), Error> {
        while let Some(line) = lines.next_line().await? {
            let answer: Answer = serde_json::from_str(&line)?;
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waiting) = waiting.remove(&answer.id) {
                let _ = waiting.send(answer);
            }
        }
        Err(Error::Orphan)
    }
}

#[async_trait]
impl Truth for Distant {
    async fn read(&self, key: u32) -> Option<Vec<(u32, u64)>> {
        self.ask(|id| Report::Read { id, key }).await
    }

    async fn change(&self, tags: &[u32]) -> Option<Vec<(u32, u64)>> {
        let tags = tags.to_vec();
        self.ask(|id| Report::Change { id, tags }).await
    }
}

/// Writes requests and events, the latter in batches, until both have ended.
async fn write(
    mut out: Stdout,
    mut requests: mpsc::Receiver<Report>,
    mut events: mpsc::Receiver<Event>,
) -> Result<(), Error> {
    send(&mut out, &Report::Ready).await?;
    let mut batch = Vec::with_capacity(ROOM);
    loop {
        let report = tokio::select! {
            biased;
            Some(request) = requests.recv() => request,
            taken = events.recv_many(&mut batch, ROOM) => {
                if taken == 0 {
                    return Ok(());
                }
                Report::Events { as_of: machine_time(), events: std::mem::take(&mut batch) }
            }
        };
        send(&mut out, &report).await?;
    }
}

async fn send(out: &mut Stdout, report: &Report) -> Result<(), Error> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    out.write_all(&line).await?;
    Ok(out.flush().await?)
}
