//! The one thread of a store.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use crate::lock::lock;

/// How long the janitor rests when it has nothing to do. Real time, since it is about memory and
/// never about an answer.
const REST: Duration = Duration::from_secs(1);

/// What the janitor looks after.
pub(crate) trait Household: Send + Sync + 'static {
    /// Does a bounded piece of work. Whether there is more.
    fn tidy(&self) -> bool;
}

/// Wakes the janitor or sends it home.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rung {
    wake: bool,
    stop: bool,
}

/// Starts the thread. It holds the household only while it works, and ends soon after the
/// household is gone or [`Bell::stop`] was called.
///
/// Without it everything stays correct and bounded, and memory comes back by eviction or by
/// `sweep` only; so a system that cannot start a thread gets a warning and a store.
pub(crate) fn start<H: Household>(household: &Arc<H>, bell: &Arc<Bell>) {
    let (household, bell) = (Arc::downgrade(household), Arc::clone(bell));
    let thread = thread::Builder::new()
        .name("cache-memory".to_owned())
        .spawn(move || run(&household, &bell));
    if let Err(error) = thread {
        tracing::warn!(%error, "no thread for the memory store; expired entries stay until evicted");
    }
}

fn run<H: Household>(household: &Weak<H>, bell: &Bell) {
    // Before the first piece of work too: the thread may start late.
    while !bell.is_stopped() {
        // The temporary strong reference may be the last one; it is dropped at the semicolon.
        let Some(more) = household.upgrade().map(|household| household.tidy()) else { return };
        if more {
            // Let those whose locks we take come first.
            thread::yield_now();
        } else if bell.rest() {
            return;
        }
    }
}

impl Bell {
    pub(crate) fn wake(&self) {
        lock(&self.rung).wake = true;
        self.changed.notify_all();
    }

    pub(crate) fn stop(&self) {
        lock(&self.rung).stop = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.rung).stop
    }

    /// Waits for a while or until woken. Whether to stop.
    fn rest(&self) -> bool {
        let quiet = |rung: &mut Rung| !rung.wake && !rung.stop;
        let (mut rung, _) = self
            .changed
            .wait_timeout_while(lock(&self.rung), REST, quiet)
            .unwrap_or_else(PoisonError::into_inner);
        rung.wake = false;
        rung.stop
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Reports each piece of work, and its own end.
    struct House(Sender<()>);

    impl Household for House {
        fn tidy(&self) -> bool {
            // Nobody listens at the end of a test.
            let _ = self.0.send(());
            false
        }
    }

    fn house() -> (Arc<House>, Arc<Bell>, Receiver<()>) {
        let (sender, receiver) = channel();
        let (house, bell) = (Arc::new(House(sender)), Arc::new(Bell::default()));
        start(&house, &bell);
        (house, bell, receiver)
    }

    #[test]
    fn it_ends_when_the_household_is_gone() {
        let (house, bell, worked) = house();
        worked.recv().unwrap();
        drop(house);
        bell.wake();
        // It holds the household, and with it the sender, only while it works.
        while worked.recv().is_ok() {}
        while Arc::strong_count(&bell) > 1 {
            thread::yield_now();
        }
    }

    #[test]
    fn it_works_when_woken_and_ends_when_stopped() {
        let (_house, bell, worked) = house();
        worked.recv().unwrap();
        bell.wake();
        worked.recv().unwrap();
        bell.stop();
        while Arc::strong_count(&bell) > 1 {
            thread::yield_now();
        }
    }
}
