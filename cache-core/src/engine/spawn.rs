//! Work that goes on without its client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Hands a future to the framework's runtime. An adapter's part.
pub trait Spawn<T>: Clone {
    /// Runs `task` on its own. Where no runtime is left, the task is dropped.
    fn spawn(&self, task: T);
}

/// Whether a future must be finished although its client went away.
///
/// The driver switches it on while a fill can still be stored or an invalidation is owed, and off
/// when the work would serve nobody.
#[derive(Clone, Debug)]
pub struct Lifeline(Arc<Life>);

#[derive(Debug)]
struct Life {
    state: AtomicU8,
    bounds: Option<Bounds>,
}

/// The work would serve nobody.
const UNWANTED: u8 = 0;
/// It can still be stored.
const WANTED: u8 = 1;
/// An invalidation is owed, whatever else is going on.
const OWED: u8 = 2;

/// How many fills may go on without their clients, and for how long.
#[derive(Debug)]
struct Bounds {
    places: Arc<Semaphore>,
    limit: Duration,
}

/// Leave to go on without a client.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: Option<OwnedSemaphorePermit>,
    limit: Option<Duration>,
}

impl Lifeline {
    /// For a fill: it may go on for `limit`, if one of the places is free.
    pub(crate) fn bounded(places: &Arc<Semaphore>, limit: Duration) -> Self {
        Self::new(Some(Bounds { places: Arc::clone(places), limit }))
    }

    /// For a write: its invalidation is owed whatever else is going on.
    pub(crate) fn unbounded() -> Self {
        Self::new(None)
    }

    fn new(bounds: Option<Bounds>) -> Self {
        Self(Arc::new(Life { state: AtomicU8::new(UNWANTED), bounds }))
    }

    pub(crate) fn hold(&self) {
        self.0.state.store(WANTED, Ordering::Relaxed);
    }

    pub(crate) fn owe(&self) {
        self.0.state.store(OWED, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.0.state.store(UNWANTED, Ordering::Relaxed);
    }

    /// Leave to go on, if the work is wanted and there is room for it.
    pub(crate) fn place(&self) -> Option<Place> {
        let state = self.0.state.load(Ordering::Relaxed);
        if state == UNWANTED {
            return None;
        }
        let Some(Bounds { places, limit }) = self.0.bounds.as_ref().filter(|_| state != OWED)
        else {
            return Some(Place { _permit: None, limit: None });
        };
        let permit = Arc::clone(places).try_acquire_owned().ok();
        if permit.is_none() {
            tracing::warn!("too many detached fills; one is given up with its client");
        }
        permit.map(|permit| Place { _permit: Some(permit), limit: Some(*limit) })
    }
}

/// A future that, dropped before its end, is finished elsewhere if its [`Lifeline`] says so.
///
/// A panic inside it propagates, and ends it.
#[derive(Debug)]
pub struct Surviving<F, D>
where
    F: Future + Unpin,
    D: FnMut(Detached<F>),
{
    task: Option<F>,
    life: Lifeline,
    detach: D,
    polling: bool,
}

impl<F, D> Surviving<F, D>
where
    F: Future + Unpin,
    D: FnMut(Detached<F>),
{
    /// `detach` hands the rest to the runtime.
    #[must_use]
    pub const fn new(task: F, life: Lifeline, detach: D) -> Self {
        Self { task: Some(task), life, detach, polling: false }
    }
}

impl<F, D> Future for Surviving<F, D>
where
    F: Future + Unpin,
    D: FnMut(Detached<F>) + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polling = true;
        let Some(task) = &mut self.task else { return Poll::Pending };
        let polled = Pin::new(task).poll(cx);
        self.polling = false;
        if polled.is_ready() {
            self.task = None;
        }
        polled
    }
}

impl<F, D> Drop for Surviving<F, D>
where
    F: Future + Unpin,
    D: FnMut(Detached<F>),
{
    fn drop(&mut self) {
        // Still polling: the future is being unwound by a panic of its own.
        if self.polling {
            return;
        }
        if let Some(task) = self.task.take()
            && let Some(place) = self.life.place()
        {
            (self.detach)(Detached { task, place, clock: None });
        }
    }
}

/// The rest of a future whose client went away. Its output is dropped. A fill that takes too long
/// is dropped itself.
#[derive(Debug)]
pub struct Detached<F> {
    task: F,
    place: Place,
    /// Started at the first poll, inside the runtime.
    clock: Option<Pin<Box<Sleep>>>,
}

impl<F: Future + Unpin> Future for Detached<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(limit) = this.place.limit {
            let clock = this.clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            if clock.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        Pin::new(&mut this.task).poll(cx).map(|output| {
            // What is left of the answer's body asks for a place of its own.
            this.place = Place { _permit: None, limit: None };
            drop(output);
        })
    }
}
