//! A load generator for HEAD, which `wrk` cannot: it waits for a body that never comes.
//!
//! As `wrk`, it keeps connections open and asks again on each as soon as the answer is there. One
//! thread; a process of its own, so that it can have a core of its own.

use std::net::SocketAddr;
use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::error::Error;
use crate::figures::percentile;
use crate::say::say;

/// The longest head that is read, in bytes.
const LONGEST: usize = 16 << 10;

/// Asks for heads, and reports as `wrk` does.
pub(crate) fn ask_for_heads(
    address: SocketAddr,
    path: &str,
    connections: usize,
    seconds: u64,
) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("making a runtime"))?;
    let request = format!("HEAD {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let start = SystemClock.monotonic();
    let until = start + Duration::from_secs(seconds);
    let mut latencies = runtime.block_on(async {
        let mut asking = JoinSet::new();
        for _ in 0..connections {
            asking.spawn(ask(address, request.clone(), until));
        }
        let mut all = Vec::new();
        while let Some(joined) = asking.join_next().await {
            all.extend(joined.map_err(|error| Error::other(error.to_string()))??);
        }
        Ok::<_, Error>(all)
    })?;
    let took = SystemClock.monotonic().saturating_sub(start).as_secs_f64();
    let (p50, p99) = (percentile(&mut latencies, 50.0), percentile(&mut latencies, 99.0));
    say(format_args!(
        "     50%  {p50}us\n     99%  {p99}us\n  {} requests in {took:.2}s, 0B read",
        latencies.len()
    ));
    Ok(())
}

/// Microseconds of each answer on one connection.
async fn ask(address: SocketAddr, request: String, until: Duration) -> Result<Vec<u32>, Error> {
    let mut stream = TcpStream::connect(address).await.map_err(Error::io("connecting"))?;
    stream.set_nodelay(true).map_err(Error::io("setting an option"))?;
    let mut latencies = Vec::new();
    let mut answer = Vec::with_capacity(LONGEST);
    loop {
        let start = SystemClock.monotonic();
        if start >= until {
            return Ok(latencies);
        }
        stream.write_all(request.as_bytes()).await.map_err(Error::io("asking"))?;
        answer.clear();
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read_buf(&mut answer).await.map_err(Error::io("reading"))?;
            if read == 0 || answer.len() >= LONGEST {
                return Err(Error::other("an answer to HEAD without an end"));
            }
        }
        if !answer.starts_with(b"HTTP/1.1 2") {
            let head = String::from_utf8_lossy(&answer).into_owned();
            return Err(Error::other(format!("Non-2xx answer: {head}")));
        }
        let took = SystemClock.monotonic().saturating_sub(start).as_micros();
        latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
    }
}
