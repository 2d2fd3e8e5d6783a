//! Futures that are dropped half-way.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::poll_immediate;

/// How often a case polls a future before it drops it.
pub(crate) const POLLS: [usize; 8] = [0, 1, 2, 3, 4, 6, 8, 12];

/// Polls `future` at most `times` times, with a pause after each for what it waits for, then
/// drops it.
pub(crate) async fn poll_times<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Some(output) = poll_immediate(future.as_mut()).await {
            return Some(output);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}
