//! Physical connections, and the nodes they lead to.
//!
//! A [`Conn`] is one socket with the proof of which server it reaches (see
//! [`incarnation`](crate::incarnation)). A [`Node`] keeps a fixed number of them, replaces those
//! that failed, and carries the circuit breaker. Dialling is shared and detached: a request that
//! gives up does not stop it.

mod conn;
mod dial;
mod login;
mod node;
mod socket;
mod wire;

use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};

pub(crate) use self::conn::{Conn, exchange, text};
pub(crate) use self::dial::{Certificates, Dial};
pub(crate) use self::node::{Attempt, Node};
pub(crate) use self::wire::{Question, Replies, Said, Wanted, begin_word, line};
use crate::breaker::millis;

/// A silence of a server that is shorter than this is none.
const SHORTEST_SILENCE: Duration = Duration::from_millis(500);

/// Whether a call heeds the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Fail at once while it is open.
    Heed,
    /// Try anyway: invalidations and readiness checks must know.
    Insist,
}

/// The operating system's steady clock: proofs and breakers never follow a test's clock.
pub(crate) fn now_millis() -> u64 {
    millis(SystemClock.monotonic())
}
