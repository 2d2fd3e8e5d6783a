//! Real Redis servers for tests, started on free ports of the loopback interface and stopped by
//! their process id: one [`Server`], a primary with its replica and three [`Sentinels`], a
//! [`Cluster`] of three primaries.
//!
//! Everything here blocks its thread; from async code of a running program, use a thread for it.
//! Dropping a value kills its processes and removes their directories. The program is
//! `redis-server`, or what the environment variable `REDIS_SERVER_BIN` names.

mod cluster;
mod error;
mod port;
mod sentinel;
mod server;
mod tls;

pub use self::cluster::Cluster;
pub use self::error::ServerError;
pub use self::port::free_port;
pub use self::sentinel::Sentinels;
pub use self::server::{Server, Signal};
pub use self::tls::Tls;

use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};

/// Asks every 25 ms until `done`.
///
/// # Errors
///
/// It was not done within `limit`; the message says `what` was waited for.
pub fn wait_for(
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> bool,
) -> Result<(), ServerError> {
    let end = SystemClock.monotonic() + limit;
    while !done() {
        if SystemClock.monotonic() > end {
            return Err(ServerError::new(format!("waited {limit:?} in vain for {what}")));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    Ok(())
}
