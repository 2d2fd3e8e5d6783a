//! A socket that many calls share: their commands are written one behind another, their replies
//! come in that order.
//!
//! The client library's own multiplexer makes a tree of values of each reply, text and numbers
//! parsed by generic means, and hands every command through a channel; a hit spent a quarter of its
//! processor time there. This one finds where replies end and hands out their bytes. The library
//! still opens TLS, logs in, packs commands, and reads every reply but those of a plain lookup.
//!
//! Lookups that are written together share what is the same for all, see [`batch`].
//!
//! **Limits.** At most [`PLACES`] calls have something to be written or answered, fewer if it is
//! large; further ones wait for a place, within their own limits. A call that gives up keeps its place
//! until its reply has come, or the socket is closed. A call may name a deadline; the socket's task,
//! on the runtime that opened the socket, ends its waiting then. If that runtime stalls, the caller's
//! own limit is what remains.
//!
//! **Silence.** A socket whose other end has gone without a word, as behind a firewall that forgot it,
//! fails no write for a quarter of an hour. So one by which nothing at all has come for as long as
//! [`Wire::start`] was told, while calls wait, is closed. That time begins when the alarm is set, so
//! it may take twice as long. A server that is merely slow (a long script, a fork) loses its sockets,
//! too; no socket is closed before it was silent for so long, and what opens new ones has limits of
//! its own.

mod batch;
mod driver;
mod queue;
mod scan;
mod scores;
mod silence;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use redis::{Parser, Pipeline, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use self::batch::Batch;
pub(crate) use self::batch::{Question, Wanted};
use self::driver::Driver;
pub(crate) use self::queue::Said;
use self::queue::{Caller, Waiting};
pub(crate) use self::scores::line;
pub(crate) use self::words::begin_word;
use crate::error::Fault;

/// Calls that may wait for replies of one socket.
const PLACES: usize = 1024;

/// What is sent takes a place for each so many bytes it begins, so that 64 MiB lie there to be written,
/// or one larger call. A lookup takes one; it has no more than 130 KiB, and that with 128 long tags.
const PLACE: usize = 64 << 10;

/// Where the replies to one call come.
pub(crate) type Replies = oneshot::Receiver<Result<Said, Fault>>;

/// The only handle of a shared socket, which closes with it.
#[derive(Debug)]
pub(crate) struct Wire(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    places: Semaphore,
    /// A large reply is being read.
    is_held_up: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// To be written.
    out: Vec<u8>,
    /// Whose replies to that will come, in order.
    calls: Vec<Waiting>,
    /// The lookups that follow, and are to be written together.
    batch: Batch,
    driver: Option<Waker>,
    /// The driver was woken and has not looked yet.
    is_told: bool,
    /// Why nothing more can be sent.
    end: Option<Fault>,
    /// The handle is gone.
    is_left: bool,
}

impl Wire {
    /// Shares a socket that is logged in, until it is silent for so long while calls wait.
    pub(super) fn start<S>(socket: S, patience: Duration) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = Handle::try_current()
            .map_err(|_| Fault::Unsupported("a runtime other than tokio".to_owned()))?;
        let shared = Arc::new(Shared::new());
        runtime.spawn(Driver::new(socket, patience, Arc::clone(&shared)));
        Ok(Self(shared))
    }

    /// Sends a pipeline; errors of single commands stay in their places.
    pub(super) async fn exchange(
        &self,
        pipe: &Pipeline,
        replies: usize,
    ) -> Result<Vec<Value>, Fault> {
        let packed = pipe.get_packed_pipeline();
        let places = u32::try_from((1 + packed.len() / PLACE).min(PLACES)).unwrap_or(1);
        let Ok(place) = self.0.places.acquire_many(places).await else {
            return Err(self.0.lock().end.clone().unwrap_or_else(cut_off));
        };
        let sent = self.0.push(place, None, |state, caller, places| {
            state.end_batch();
            state.out.extend_from_slice(&packed);
            state.calls.push(Waiting::pipeline(replies, caller, places));
        })?;
        let said = sent.await.map_err(|_| cut_off())??;
        parse(&said.own, replies)
    }

    /// Sends a lookup, if there is a place at once. What is said comes once it is proved to be a
    /// primary's, otherwise [`Fault::Unproven`] does. At the deadline, in monotonic milliseconds,
    /// waiting ends with [`Fault::TimedOut`].
    pub(super) fn try_look_up<'w, N, W>(
        &self,
        wanted: Wanted<'_, N, W>,
        deadline: u64,
    ) -> Option<Replies>
    where
        N: FnOnce(&mut Vec<u8>),
        W: Iterator<Item = &'w str>,
    {
        let place = self.0.places.try_acquire().ok()?;
        let sent = self.0.push(place, Some(deadline), |state, caller, _| {
            if state.batch.is_full() {
                state.end_batch();
            }
            state.batch.add(wanted, caller);
        });
        sent.ok()
    }

    /// Whether nothing more can be sent.
    pub(super) fn has_ended(&self) -> bool {
        self.0.places.is_closed()
    }

    /// Whether a large reply is being read, behind which all others wait.
    pub(super) fn is_held_up(&self) -> bool {
        self.0.is_held_up.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_left = true;
        if let Some(driver) = state.driver.take() {
            driver.wake();
        }
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            state: Mutex::default(),
            places: Semaphore::new(PLACES),
            is_held_up: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(
        &self,
        place: SemaphorePermit<'_>,
        deadline: Option<u64>,
        add: impl FnOnce(&mut State, Caller, usize),
    ) -> Result<Replies, Fault> {
        let (tell, reply) = oneshot::channel();
        let mut state = self.lock();
        if let Some(fault) = &state.end {
            return Err(fault.clone());
        }
        add(&mut state, Caller::new(tell, deadline), place.num_permits());
        // The driver gives it back when the reply has come.
        place.forget();
        if !std::mem::replace(&mut state.is_told, true)
            && let Some(driver) = &state.driver
        {
            driver.wake_by_ref();
        }
        Ok(reply)
    }
}

impl State {
    /// What was put together so far is to be written.
    fn end_batch(&mut self) {
        self.batch.end(&mut self.out, &mut self.calls);
    }
}

/// Reads replies as the client library does.
fn parse(bytes: &[u8], replies: usize) -> Result<Vec<Value>, Fault> {
    let mut rest = bytes;
    let mut parser = Parser::new();
    (0..replies).map(|_| Ok(parser.parse_value(&mut rest)?)).collect()
}

/// The other side, or the runtime that served the socket, is gone.
fn cut_off() -> Fault {
    Fault::io(io::ErrorKind::BrokenPipe.into())
}
