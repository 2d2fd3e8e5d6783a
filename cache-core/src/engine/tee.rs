//! A body that is recorded while it passes.
//!
//! Chunks go out as they come. At the clean end the entry is put *before* the end is told to the
//! client (and, where the length is known, before the last chunk is): who has seen the whole
//! answer and asks again gets a hit. The put is bounded by the store's time limit. When the client
//! leaves earlier, the rest is read by a task of its own, for at most `max_fill`.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::fill::{Putting, Recording};
use super::spawn::{Lifeline, Place, Spawn};
use crate::body::{Body, Frame, Pieces, ReplyBody, Size};
use crate::reason::Reason;
use bytes::Bytes;

/// The frames that were read before the body turned out to be not complete yet.
pub(crate) type Frames<E> = VecDeque<Result<Frame, E>>;

/// What was read of a body.
pub(crate) struct Begun<E> {
    pub(crate) frames: Frames<E>,
    /// It has ended, and must not be asked again.
    pub(crate) over: bool,
}

impl<E> Default for Begun<E> {
    fn default() -> Self {
        Self { frames: VecDeque::new(), over: false }
    }
}

/// The body of an answer.
pub struct ServedBody<B: Body, S: Spawn<Drain<B>>>(Kind<B, S>);

enum Kind<B: Body, S: Spawn<Drain<B>>> {
    /// None, of no stated length.
    Absent,
    /// Complete; `None` once it is sent.
    Whole(Option<Bytes>),
    /// Complete, in several pieces.
    Pieces(Pieces),
    /// The handler's, as it is.
    Origin(B),
    /// The handler's, recorded.
    Tee(Tee<B, S>),
}

impl<B: Body, S: Spawn<Drain<B>>> ServedBody<B, S> {
    /// These bytes.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Self {
        Self(Kind::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }

    /// The body of a reply.
    #[must_use]
    pub fn reply(body: ReplyBody) -> Self {
        match body {
            ReplyBody::Absent => Self(Kind::Absent),
            ReplyBody::Whole(bytes) => Self::whole(bytes),
            ReplyBody::Pieces(pieces) => Self(Kind::Pieces(pieces)),
        }
    }

    pub(crate) fn origin(body: B) -> Self {
        Self(Kind::Origin(body))
    }

    pub(crate) fn tee(
        recording: Box<Recording>,
        begun: Begun<B::Error>,
        body: B,
        life: Lifeline,
        spawn: S,
    ) -> Self {
        let state = State::Recording(recording);
        let Begun { frames: ready, over } = begun;
        let machine = Box::new(Machine { body, ready, over, state });
        Self(Kind::Tee(Tee { machine: Some(machine), life, spawn }))
    }

    /// The next frame; `None` at the clean end.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, B::Error>>> {
        match &mut self.0 {
            Kind::Absent => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::Data(bytes)))),
            Kind::Pieces(pieces) => {
                Poll::Ready(pieces.next_piece().map(|piece| Ok(Frame::Data(piece))))
            }
            Kind::Origin(body) => Pin::new(body).poll_frame(cx),
            Kind::Tee(tee) => tee.poll_frame(cx),
        }
    }

    /// Whether nothing more will come.
    #[must_use]
    pub fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Absent => true,
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Pieces(pieces) => pieces.left() == 0,
            Kind::Origin(body) => body.is_end_stream(),
            Kind::Tee(tee) => tee.machine.as_ref().is_none_or(|machine| machine.is_end_stream()),
        }
    }

    /// What is left, in bytes.
    #[must_use]
    pub fn size(&self) -> Size {
        match &self.0 {
            Kind::Absent => Size::default(),
            Kind::Whole(bytes) => Size::exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Pieces(pieces) => Size::exact(pieces.left()),
            Kind::Origin(body) => body.size(),
            Kind::Tee(tee) => tee.machine.as_ref().map_or(Size::exact(0), |machine| machine.size()),
        }
    }
}

impl<B: Body, S: Spawn<Drain<B>>> fmt::Debug for ServedBody<B, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Absent => "Absent",
            Kind::Whole(_) => "Whole",
            Kind::Pieces(_) => "Pieces",
            Kind::Origin(_) => "Origin",
            Kind::Tee(_) => "Tee",
        };
        f.debug_struct(kind).field("size", &self.size()).finish_non_exhaustive()
    }
}

struct Tee<B: Body, S: Spawn<Drain<B>>> {
    /// Away while it is polled: a body that panics is dropped by the unwinding, not drained.
    machine: Option<Box<Machine<B>>>,
    life: Lifeline,
    spawn: S,
}

impl<B: Body, S: Spawn<Drain<B>>> Tee<B, S> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, B::Error>>> {
        let Some(mut machine) = self.machine.take() else { return Poll::Ready(None) };
        let polled = machine.poll_frame(cx);
        self.machine = Some(machine);
        polled
    }
}

impl<B: Body, S: Spawn<Drain<B>>> Drop for Tee<B, S> {
    fn drop(&mut self) {
        let Some(machine) = self.machine.take() else { return };
        if !machine.is_wanted() {
            return;
        }
        self.life.hold();
        if let Some(place) = self.life.place() {
            self.spawn.spawn(Drain { machine, limit: None, _place: place });
        }
    }
}

struct Machine<B: Body> {
    body: B,
    ready: Frames<B::Error>,
    /// The body has ended; only what is ready is left.
    over: bool,
    state: State,
}

enum State {
    Recording(Box<Recording>),
    /// The frame is released when the put is done.
    Putting(Putting, Option<Frame>),
    Passing,
    Ended,
}

impl<B: Body> Machine<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, B::Error>>> {
        loop {
            if let State::Putting(putting, held) = &mut self.state {
                // Stored or not: the client's answer is the same.
                let _ = ready!(Pin::new(putting).poll(cx));
                let held = held.take();
                self.state = if held.is_some() { State::Passing } else { State::Ended };
                return Poll::Ready(held.map(Ok));
            }
            if matches!(self.state, State::Ended) {
                return Poll::Ready(None);
            }
            match ready!(self.poll_next(cx)) {
                Some(Ok(Frame::Data(chunk))) => {
                    if let Some(frame) = self.data(chunk) {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                }
                Some(Ok(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => {
                    if let State::Recording(recording) = self.take_state(State::Ended) {
                        recording.abandon(Reason::BodyFailed);
                    }
                    return Poll::Ready(Some(Err(error)));
                }
                None => match self.take_state(State::Ended) {
                    State::Recording(recording) => self.put(recording, None),
                    _ => return Poll::Ready(None),
                },
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, B::Error>>> {
        match self.ready.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None if self.over => Poll::Ready(None),
            None => Pin::new(&mut self.body).poll_frame(cx),
        }
    }

    /// Records a chunk. The last one is held back until the entry is put.
    fn data(&mut self, chunk: Bytes) -> Option<Frame> {
        let State::Recording(recording) = &mut self.state else { return Some(Frame::Data(chunk)) };
        if let Err(reason) = recording.push(&chunk) {
            if let State::Recording(recording) = self.take_state(State::Passing) {
                recording.abandon(reason);
            }
            return Some(Frame::Data(chunk));
        }
        let ended = self.body.is_end_stream() || self.body.size().known() == Some(0);
        let last = self.ready.is_empty() && (ended || recording.is_complete());
        if !last {
            return Some(Frame::Data(chunk));
        }
        if let State::Recording(recording) = self.take_state(State::Ended) {
            self.put(recording, Some(Frame::Data(chunk)));
        }
        None
    }

    fn put(&mut self, recording: Box<Recording>, held: Option<Frame>) {
        self.state = match recording.seal() {
            Ok(sealed) => State::Putting(sealed.put(), held),
            Err(reason) => State::Putting(Putting::Done(Err(reason)), held),
        };
    }

    fn take_state(&mut self, next: State) -> State {
        std::mem::replace(&mut self.state, next)
    }

    const fn is_wanted(&self) -> bool {
        matches!(self.state, State::Recording(_) | State::Putting(..))
    }

    fn is_end_stream(&self) -> bool {
        match self.state {
            State::Ended => true,
            State::Passing => self.ready.is_empty() && self.body.is_end_stream(),
            State::Recording(_) | State::Putting(..) => false,
        }
    }

    fn size(&self) -> Size {
        let held = match &self.state {
            State::Putting(_, Some(Frame::Data(chunk))) => chunk.len() as u64,
            _ => 0,
        };
        self.body.size().plus(waiting(&self.ready)).plus(held)
    }
}

fn waiting<E>(ready: &Frames<E>) -> u64 {
    let data = ready.iter().map(|frame| match frame {
        Ok(Frame::Data(chunk)) => chunk.len() as u64,
        _ => 0,
    });
    data.sum()
}

/// How many frames a drain reads before it lets others run.
const FRAMES_AT_ONCE: usize = 64;

/// Reads the rest of a body whose client has left, and puts it.
pub struct Drain<B: Body> {
    machine: Box<Machine<B>>,
    limit: Option<Pin<Box<tokio::time::Sleep>>>,
    _place: Place,
}

impl<B: Body> Future for Drain<B> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let State::Recording(recording) = &this.machine.state {
            let max_fill = recording.route.shared.rules.max_fill;
            let limit = this.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep(max_fill)));
            if limit.as_mut().poll(cx).is_ready() {
                if let State::Recording(recording) = this.machine.take_state(State::Ended) {
                    recording.abandon(Reason::TooOld);
                }
                return Poll::Ready(());
            }
        }
        for _ in 0..FRAMES_AT_ONCE {
            if !this.machine.is_wanted() {
                return Poll::Ready(());
            }
            match ready!(this.machine.poll_frame(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(()),
            }
        }
        // A body that is always ready must not keep the thread.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B: Body> fmt::Debug for Drain<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").finish_non_exhaustive()
    }
}
