//! Ports.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use super::ServerError;

/// Where the search begins: below the ports that the system gives to clients.
const FIRST: u16 = 12_000;

/// Ports come in blocks; the first one of a block is not given out but listened on, by the process
/// that the block belongs to, as long as it lives. So a port stays one's own while its server is not
/// started yet, or is being started again.
const BLOCK: u16 = 50;
const BLOCKS: u32 = 200;

/// The block in use, the earlier ones of this process, and what is left.
struct Ports {
    guards: Vec<TcpListener>,
    next: u16,
    end: u16,
}

static PORTS: Mutex<Ports> = Mutex::new(Ports { guards: Vec::new(), next: 0, end: 0 });

/// A port of the loopback interface that nobody listens on now, and that no other process gets here.
/// Each call gives another one.
///
/// # Errors
///
/// None is free.
pub fn free_port() -> Result<u16, ServerError> {
    let mut ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        while ports.next < ports.end {
            let port = ports.next;
            ports.next += 1;
            // Who does not ask here may have taken it.
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return Ok(port);
            }
        }
        ports.take_block()?;
    }
}

impl Ports {
    fn take_block(&mut self) -> Result<(), ServerError> {
        // Processes that start beside each other begin at different places.
        let start = std::process::id().wrapping_mul(37) % BLOCKS;
        for n in 0..BLOCKS {
            let block = u16::try_from((start + n) % BLOCKS).unwrap_or(0);
            let first = FIRST + block * BLOCK;
            if let Ok(guard) = TcpListener::bind(("127.0.0.1", first)) {
                self.guards.push(guard);
                (self.next, self.end) = (first + 1, first + BLOCK);
                return Ok(());
            }
        }
        Err(ServerError::new("no port is free"))
    }
}
