//! The task of a shared socket: writes what calls have left, and hands replies out in order.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BufMut as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::queue::Queue;
use super::silence::Silence;
use super::{Shared, cut_off};
use crate::breaker::millis;
use crate::connection::now_millis;
use crate::error::Fault;

/// What is read at once, in bytes.
const BUFFER: usize = 64 << 10;

/// A string of which so much is missing is read to where it will stay.
const LARGE: usize = BUFFER / 2;

/// For the replies behind a large one, so that they fit beside it.
const BESIDE: usize = 1 << 10;

/// What may be kept of a buffer that has grown.
const KEPT: usize = 256 << 10;

pub(super) struct Driver<S> {
    socket: S,
    shared: Arc<Shared>,
    /// What is being written, and how much of it is.
    out: Vec<u8>,
    written: usize,
    queue: Queue,
    /// What was read and is not handed out: from `start` to `end`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// What the first call has got so far, if its replies come in parts.
    part: Vec<u8>,
    silence: Silence,
    /// For deadlines and for silence. It rings too early rather than being set anew for each call.
    alarm: Option<Pin<Box<Sleep>>>,
    armed: Armed,
    is_held_up: bool,
}

/// What the alarm was set for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Armed {
    No,
    /// The first deadline. Those that come later are later.
    Deadline,
    /// The end of the server's time, in monotonic milliseconds.
    Silence(u64),
}

/// What came of looking for calls.
#[derive(PartialEq, Eq)]
enum Taken {
    All,
    /// Something else is being written.
    Later,
    /// Nobody will call any more.
    Left,
}

impl<S> Driver<S> {
    pub(super) fn new(socket: S, patience: Duration, shared: Arc<Shared>) -> Self {
        Self {
            socket,
            shared,
            out: Vec::new(),
            written: 0,
            queue: Queue::default(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            part: Vec::new(),
            silence: Silence::new(millis(patience)),
            alarm: None,
            armed: Armed::No,
            is_held_up: false,
        }
    }

    /// Takes what calls have left since.
    fn take(&mut self, cx: &Context<'_>) -> Taken {
        let mut state = self.shared.lock();
        if state.is_left {
            return Taken::Left;
        }
        state.is_told = false;
        if !state.driver.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.driver = Some(cx.waker().clone());
        }
        state.end_batch();
        if self.written < self.out.len() {
            // Their time runs while something else is being written, too.
            self.queue.extend(state.calls.drain(..));
            return Taken::Later;
        }
        state.batch.expect(self.queue.usual());
        self.queue.extend(state.calls.drain(..));
        self.out.clear();
        self.written = 0;
        if self.out.capacity() > KEPT {
            self.out = Vec::new();
        }
        std::mem::swap(&mut self.out, &mut state.out);
        Taken::All
    }

    /// Hands out what is complete of what was read.
    fn hand_out(&mut self) -> Result<(), Fault> {
        let mut done = 0;
        while self.start < self.end {
            let come = self.buffer.get(self.start..self.end).unwrap_or_default();
            let Some(scan) = self.queue.next() else {
                return Err(Fault::Protocol("a reply to nothing"));
            };
            let seen = scan.read(come)?;
            let (is_over, string) = (scan.is_over(), scan.string());
            let come = come.get(..seen).unwrap_or_default();
            self.start += seen;
            if is_over {
                done += self.queue.complete(&mut self.part, come)?;
                continue;
            }
            if self.part.is_empty() && seen > 0 {
                // Of a length that a server only claims, not all is believed.
                let claimed = string.min(16 << 20);
                self.part.reserve_exact(seen + claimed + BESIDE);
            }
            self.part.extend_from_slice(come);
            break;
        }
        if done > 0 {
            self.shared.places.add_permits(done);
        }
        // What is left is a part of one line.
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            return Err(Fault::Protocol("a line without end"));
        }
        Ok(())
    }

    /// Lets others know whether a large reply or request holds up what is sent now.
    fn tell(&mut self) {
        let large = self.queue.string() >= LARGE || self.out.len() - self.written >= LARGE;
        if large != self.is_held_up {
            self.is_held_up = large;
            self.shared.is_held_up.store(large, Ordering::Relaxed);
        }
    }

    /// Sees to it that the task is woken when the next call's time is over, or the server's.
    fn watch(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        // Without budget the alarm would not take the waker; the task is polled again at once.
        if !tokio::task::coop::has_budget_remaining() {
            return Ok(());
        }
        if let Armed::Silence(end) = self.armed
            && self.queue.due().is_some_and(|due| due < end)
        {
            self.armed = Armed::No;
        }
        while self.armed == Armed::No || self.alarm.as_ref().is_some_and(|alarm| alarm.is_elapsed())
        {
            let now = now_millis();
            let rung = std::mem::replace(&mut self.armed, Armed::No);
            if rung != Armed::No {
                self.queue.expire(now);
            }
            if self.queue.is_empty() {
                self.silence.forget();
                return Ok(());
            }
            let end = self.silence.end(now);
            // An alarm for something else says nothing of the time since: this process may have stood
            // still, and what came meanwhile be unread. With one's own alarm sockets are looked at.
            if end <= now && matches!(rung, Armed::Silence(_)) {
                return Err(Fault::io(io::ErrorKind::TimedOut.into()));
            }
            let (armed, until) = match self.queue.due() {
                Some(due) if due < end => (Armed::Deadline, due),
                _ => (Armed::Silence(end), end.max(now + 1)),
            };
            self.armed = armed;
            let at = Instant::now() + Duration::from_millis(until.saturating_sub(now));
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            alarm.as_mut().reset(at);
            if !tokio::task::coop::has_budget_remaining() {
                // It has rung in this turn already; nothing else is sure to wake the task.
                self.armed = Armed::No;
                cx.waker().wake_by_ref();
                return Ok(());
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Tells all who wait, and all who will come.
    fn close(&mut self, fault: &Fault) {
        let mut state = self.shared.lock();
        state.end.get_or_insert_with(|| fault.clone());
        state.end_batch();
        self.queue.extend(state.calls.drain(..));
        drop(state);
        self.shared.is_held_up.store(false, Ordering::Relaxed);
        self.shared.places.close();
        self.queue.fail(fault);
    }
}

#[cfg(test)]
impl<S> Driver<S> {
    /// As if this had come, and a call waited for so many replies.
    pub(super) fn receive(&mut self, bytes: &[u8], replies: usize) -> Result<(), Fault> {
        let (caller, _) = tokio::sync::oneshot::channel();
        let call = super::Waiting::pipeline(replies, super::Caller::new(caller, None), 1);
        self.queue.extend([call]);
        self.buffer[..bytes.len()].copy_from_slice(bytes);
        self.end = bytes.len();
        self.hand_out()
    }

    /// What is set aside for the reply that is being read.
    pub(super) fn reserved(&self) -> usize {
        self.part.capacity()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let left = self.out.get(self.written..).unwrap_or_default();
            if left.is_empty() {
                return Pin::new(&mut self.socket).poll_flush(cx).map_err(Fault::io);
            }
            match Pin::new(&mut self.socket).poll_write(cx, left) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(cut_off())),
                Poll::Ready(Ok(written)) => {
                    self.written += written;
                    self.silence.was_written();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Fault::io(error))),
                Poll::Pending => {
                    self.silence.was_full();
                    return Poll::Pending;
                }
            }
        }
    }

    /// Reads until nothing more comes.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        loop {
            let missing = self.queue.string();
            let read = if self.start == self.end && missing >= LARGE && !self.part.is_empty() {
                ready!(self.poll_large(cx, missing))
            } else {
                let free = self.buffer.get_mut(self.end..).unwrap_or_default();
                let mut free = ReadBuf::new(free);
                let polled = Pin::new(&mut self.socket).poll_read(cx, &mut free);
                ready!(polled).map(|()| {
                    let read = free.filled().len();
                    self.end += read;
                    read
                })
            };
            let outcome = match read {
                Ok(0) => Err(Fault::io(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {
                    self.silence.was_read();
                    self.hand_out()
                }
                Err(error) => Err(Fault::io(error)),
            };
            if let Err(fault) = outcome {
                return Poll::Ready(fault);
            }
        }
    }

    /// Reads a part of a large string to where it will stay.
    fn poll_large(&mut self, cx: &mut Context<'_>, missing: usize) -> Poll<io::Result<usize>> {
        // All but its end, so that the replies are never complete here.
        let mut part = (&mut self.part).limit(missing - 1);
        let read = ready!(pin!(self.socket.read_buf(&mut part)).poll(cx))?;
        if let Some(scan) = self.queue.next() {
            scan.skip(read);
        }
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let fault = loop {
            let taken = this.take(cx);
            if taken == Taken::Left {
                break cut_off();
            }
            let wrote = this.poll_write(cx);
            if let Poll::Ready(Err(fault)) = wrote {
                break fault;
            }
            if let Poll::Ready(fault) = this.poll_read(cx) {
                break fault;
            }
            if taken == Taken::All || wrote.is_pending() {
                this.tell();
                match this.watch(cx) {
                    Ok(()) => return Poll::Pending,
                    Err(fault) => break fault,
                }
            }
        };
        this.close(&fault);
        Poll::Ready(())
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.close(&cut_off());
    }
}
