//! A randomized history checker: what a fixed case cannot foresee.
//!
//! Readers, fillers and invalidators work on a small hot set of keys through several handles at
//! once ([`run`]); everything they see is written down with the time before and after
//! ([`History`]); afterwards the log is checked ([`History::check`]) against the contract:
//!
//! * **I1**, twice and independently: by the recorded intervals, and by version numbers that a
//!   fill reads when it starts and carries in its body. Recorded intervals contain the real ones,
//!   so there are no false alarms.
//! * *Verdict*: what was `Superseded` is never served; *overwriting*: nor is what a completed
//!   later put has replaced; *own key only*: nor what no fill wrote for that key.
//! * **I2** is metered, since forgetting is legal ([`Meters`]): hit ratio, share of superseded
//!   puts, refills per invalidation, and the misses and superseded puts that nothing explains.
//!
//! Every key has a tag known from the request and one known only from the response. Fills take
//! 0–4 ms, one in twenty 20 ms, so that straddling an invalidation is common; invalidators change
//! the truth first, then invalidate.
//!
//! Log and checks know nothing of the generator: events are serde values with times in
//! nanoseconds, and histories [merge](History::merge), so that several processes with a common
//! clock can write one. Each process does its part with [`work`]; the program `examples/checker` of
//! this workspace starts such processes over real Redis servers, and breaks both.
//!
//! Faults are events, too. They never excuse a violation of I1; they say when a loss is no breach
//! of I2 ([`Loss`]), and what a violation came after ([`History::tally`]).
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use cache_core::store::Store;
//! use conformance_tests::history::{self, Config};
//!
//! # async fn check(store: Arc<dyn Store>) {
//! let config = Config::new(42).with_duration(Duration::from_secs(5));
//! let verdict = history::run(vec![Arc::clone(&store), store], config).await.check();
//! verdict.assert_safe();
//! verdict.assert_useful();
//! # }
//! ```

mod body;
mod check;
#[cfg(feature = "servers")]
mod clock;
mod config;
mod event;
mod generate;
mod index;
mod random;
mod tally;
mod verdict;
mod world;

pub use self::body::Computed;
#[cfg(feature = "servers")]
pub use self::clock::machine_time;
pub use self::config::Config;
pub use self::event::{
    Actor, EVERYTHING, Event, Failure, Fault, Filled, History, Invalidation, Missed, Outcome,
    Served,
};
pub use self::generate::{Stage, run, work};
pub use self::random::Random;
pub use self::tally::Tally;
pub use self::verdict::{Loss, Meters, Rule, Verdict, Violation};
pub use self::world::{Register, Truth};
