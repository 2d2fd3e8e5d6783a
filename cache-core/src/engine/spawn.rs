//! Work that goes on without its client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
pub struct Lifeline {
    wanted: Arc<AtomicBool>,
    slots: Arc<Semaphore>,
}

impl Lifeline {
    pub(crate) fn new(slots: &Arc<Semaphore>) -> Self {
        Self { wanted: Arc::default(), slots: Arc::clone(slots) }
    }

    pub(crate) fn hold(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn release(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    /// A place among the detached tasks, if the work is wanted and a place is free.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        if !self.wanted.load(Ordering::Relaxed) {
            return None;
        }
        let place = Arc::clone(&self.slots).try_acquire_owned().ok();
        if place.is_none() {
            tracing::warn!("too many detached fills; one is given up with its client");
        }
        place
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
            (self.detach)(Detached { task, _place: place });
        }
    }
}

/// The rest of a future whose client went away. Its output is dropped.
#[derive(Debug)]
pub struct Detached<F> {
    task: F,
    _place: OwnedSemaphorePermit,
}

impl<F: Future + Unpin> Future for Detached<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.task).poll(cx).map(drop)
    }
}
