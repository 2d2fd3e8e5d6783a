//! Logging in by the client library on a socket that is taken back afterwards.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::Fault;

/// Authenticates, selects the database and the protocol. The replies to that have been read to
/// their end when the library says so, and nothing else has been asked.
pub(super) async fn log_in<S>(socket: S, login: &RedisConnectionInfo) -> Result<S, Fault>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lent = Lent(Arc::new(Mutex::new(socket)));
    let owned = Arc::clone(&lent.0);
    let config = AsyncConnectionConfig::new();
    let connection = MultiplexedConnection::new_with_config(login, lent, config).await?;
    // The library's own driver never runs.
    drop(connection);
    let socket = Arc::into_inner(owned).ok_or(Fault::Stopped)?;
    Ok(socket.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// A socket as long as the library has it. Nobody else locks it meanwhile.
struct Lent<S>(Arc<Mutex<S>>);

impl<S: Unpin> Lent<S> {
    fn with<T>(&self, work: impl FnOnce(Pin<&mut S>) -> T) -> T {
        work(Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lent<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_read(cx, buf))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.with(|socket| socket.poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_shutdown(cx))
    }
}
