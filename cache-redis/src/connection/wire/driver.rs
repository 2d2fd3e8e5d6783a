//! The task of a shared socket: writes what calls have left, and hands replies out in order.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::{Shared, Waiting, cut_off};
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
    calls: VecDeque<Waiting>,
    /// What was read and is not handed out: from `start` to `end`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// What the first call has got so far, if its replies come in parts.
    part: Vec<u8>,
    /// For deadlines. It rings too early rather than being set anew for each call.
    alarm: Option<Pin<Box<Sleep>>>,
    is_armed: bool,
    is_held_up: bool,
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
    pub(super) fn new(socket: S, shared: Arc<Shared>) -> Self {
        Self {
            socket,
            shared,
            out: Vec::new(),
            written: 0,
            calls: VecDeque::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            part: Vec::new(),
            alarm: None,
            is_armed: false,
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
        // Their time runs while something else is being written, too.
        self.calls.extend(state.calls.drain(..));
        if self.written < self.out.len() {
            return Taken::Later;
        }
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
            let Some(first) = self.calls.front_mut() else {
                return Err(Fault::Protocol("a reply to nothing"));
            };
            let seen = first.scan.read(come)?;
            let come = come.get(..seen).unwrap_or_default();
            self.start += seen;
            if first.scan.is_over() {
                let whole = if self.part.is_empty() {
                    Bytes::copy_from_slice(come)
                } else {
                    self.part.extend_from_slice(come);
                    Bytes::from(std::mem::take(&mut self.part))
                };
                if let Some(Waiting { caller, places, .. }) = self.calls.pop_front() {
                    // Whoever has given up does not mind.
                    let _ = caller.map(|caller| caller.send(Ok(whole)));
                    done += places;
                }
                continue;
            }
            if self.part.is_empty() && seen > 0 {
                // Of a length that a server only claims, not all is believed.
                let claimed = first.scan.string().min(16 << 20);
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
        let large = self.calls.front().is_some_and(|call| call.scan.string() >= LARGE)
            || self.out.len() - self.written >= LARGE;
        if large != self.is_held_up {
            self.is_held_up = large;
            self.shared.is_held_up.store(large, Ordering::Relaxed);
        }
    }

    /// Ends the waiting of calls whose time is over.
    fn expire(&mut self, now: u64) {
        for call in &mut self.calls {
            if call.deadline.is_some_and(|deadline| deadline <= now)
                && let Some(caller) = call.caller.take()
            {
                let _ = caller.send(Err(Fault::TimedOut(Duration::ZERO)));
            }
        }
    }

    /// Sees to it that the task is woken when the next call's time is over.
    fn watch(&mut self, cx: &mut Context<'_>) {
        // Without budget the alarm would not take the waker; the task is polled again at once.
        if !tokio::task::coop::has_budget_remaining() {
            return;
        }
        while !self.is_armed || self.alarm.as_ref().is_some_and(|alarm| alarm.is_elapsed()) {
            let rang = std::mem::replace(&mut self.is_armed, false);
            if rang {
                self.expire(now_millis());
            }
            let due = self.calls.iter().filter(|call| call.caller.is_some());
            let Some(due) = due.filter_map(|call| call.deadline).next() else { return };
            let at = Instant::now() + Duration::from_millis(due.saturating_sub(now_millis()));
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            alarm.as_mut().reset(at);
            self.is_armed = true;
            if alarm.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }

    /// Tells all who wait, and all who will come.
    fn close(&mut self, fault: &Fault) {
        let mut state = self.shared.lock();
        state.end.get_or_insert_with(|| fault.clone());
        self.calls.extend(state.calls.drain(..));
        drop(state);
        self.shared.is_held_up.store(false, Ordering::Relaxed);
        self.shared.places.close();
        for call in self.calls.drain(..) {
            if let Some(caller) = call.caller {
                let _ = caller.send(Err(fault.clone()));
            }
        }
    }
}

#[cfg(test)]
impl<S> Driver<S> {
    /// As if this had come, and a call waited for so many replies.
    pub(super) fn receive(&mut self, bytes: &[u8], replies: usize) -> Result<(), Fault> {
        let scan = super::scan::Scan::of(replies);
        self.calls.push_back(Waiting { scan, caller: None, deadline: None, places: 1 });
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
            match ready!(Pin::new(&mut self.socket).poll_write(cx, left)) {
                Ok(0) => return Poll::Ready(Err(cut_off())),
                Ok(written) => self.written += written,
                Err(error) => return Poll::Ready(Err(Fault::io(error))),
            }
        }
    }

    /// Reads until nothing more comes.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        loop {
            let missing = self.calls.front().map_or(0, |call| call.scan.string());
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
                Ok(_) => self.hand_out(),
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
        if let Some(first) = self.calls.front_mut() {
            first.scan.skip(read);
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
                this.watch(cx);
                return Poll::Pending;
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
