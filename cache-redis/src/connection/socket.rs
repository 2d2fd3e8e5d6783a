//! A physical connection: our own sharing of a plain one, the client library's of one with TLS.

use std::io;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, ProtocolVersion, Value};
use tokio::net::{TcpStream, lookup_host};

use super::login::log_in;
use super::wire::{Replies, Wanted, Wire};
use super::{Dial, SHORTEST_SILENCE, exchange};
use crate::error::Fault;
use crate::url::Address;

#[derive(Debug)]
pub(super) enum Socket {
    Wire(Wire),
    Library(MultiplexedConnection),
}

/// The first of the host's addresses that answers: one that does not holds up none.
async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<_> = lookup_host((host, port)).await?.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address"));
    }
    let dialled = addresses.into_iter().map(|address| Box::pin(TcpStream::connect(address)));
    let (socket, _others) = select_ok(dialled).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

impl Socket {
    /// Opens a connection to a data node and logs in, within the limit for that.
    pub(super) async fn open(dial: &Dial, address: &Address) -> Result<Self, Fault> {
        // Scores come as numbers, which cost half of what text does to read.
        let protocol = ProtocolVersion::RESP3;
        if dial.tls {
            return Ok(Self::Library(dial.open(address, protocol).await?));
        }
        let limit = dial.connect_limit;
        let opening = Self::open_plain(dial, address, protocol);
        tokio::time::timeout(limit, opening).await.map_err(|_| Fault::TimedOut(limit))?
    }

    async fn open_plain(
        dial: &Dial,
        address: &Address,
        protocol: ProtocolVersion,
    ) -> Result<Self, Fault> {
        let login = dial.login(protocol);
        let patience = dial.response_limit.max(SHORTEST_SILENCE);
        let wire = match address {
            Address::Tcp { host, port } => {
                let socket = connect(host, *port).await.map_err(Fault::io)?;
                Wire::start(log_in(socket, &login).await?, patience)?
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let socket = tokio::net::UnixStream::connect(path).await.map_err(Fault::io)?;
                Wire::start(log_in(socket, &login).await?, patience)?
            }
            #[cfg(not(unix))]
            Address::Unix(_) => {
                return Err(Fault::Unsupported("sockets of Unix on this platform".to_owned()));
            }
        };
        Ok(Self::Wire(wire))
    }

    /// Sends a pipeline; errors of single commands stay in their places.
    pub(super) async fn exchange(
        &self,
        pipe: &Pipeline,
        replies: usize,
    ) -> Result<Vec<Value>, Fault> {
        match self {
            Self::Wire(wire) => wire.exchange(pipe, replies).await,
            Self::Library(connection) => exchange(connection.clone(), pipe, replies).await,
        }
    }

    /// See [`Wire::try_look_up`]. The library cannot.
    pub(super) fn try_look_up<'w, N, W>(
        &self,
        wanted: Wanted<'_, N, W>,
        deadline: u64,
    ) -> Option<Replies>
    where
        N: FnOnce(&mut Vec<u8>),
        W: Iterator<Item = &'w str>,
    {
        match self {
            Self::Wire(wire) => wire.try_look_up(wanted, deadline),
            Self::Library(_) => None,
        }
    }

    /// Whether it is known that nothing more can be sent. The library says so only when it is tried.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Wire(wire) => wire.has_ended(),
            Self::Library(_) => false,
        }
    }

    /// Whether a large reply holds up those behind it, as far as is known.
    pub(super) fn is_held_up(&self) -> bool {
        match self {
            Self::Wire(wire) => wire.is_held_up(),
            Self::Library(_) => false,
        }
    }
}
