//! Ports.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use super::ServerError;

/// Where the search begins: below the ports that the system gives to clients.
const FIRST: u16 = 12_000;
const COUNT: u32 = 10_000;

/// A port of the loopback interface that nobody listens on now. Each call of a process gives
/// another one.
///
/// # Errors
///
/// None is free.
pub fn free_port() -> Result<u16, ServerError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Processes that run beside each other begin at different places.
    let start = std::process::id().wrapping_mul(37) % COUNT;
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ServerError::new("no port is free"))
}
