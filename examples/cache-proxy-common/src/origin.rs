//! Asking the origin.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::uri::{Authority, PathAndQuery, Uri};
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::client::conn::http1::{self, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::body::OriginBody;
use crate::failure::Failure;
use crate::fields::strip;

/// The server behind.
///
/// Every request has a connection of its own, which ends with the answer: none can have gone stale
/// in a pool, so that a request is never sent twice. The connection is driven by whoever waits for
/// the answer or reads it; dropping either closes it.
#[derive(Clone, Debug)]
pub struct Origin {
    authority: Authority,
    patience: Duration,
}

impl Origin {
    /// The server at `authority`; each of its steps may take as long as `patience`.
    #[must_use]
    pub const fn new(authority: Authority, patience: Duration) -> Self {
        Self { authority, patience }
    }

    /// Passes a request on, and gives the origin's answer, both without the fields of a connection.
    ///
    /// # Errors
    ///
    /// The origin did not answer.
    ///
    /// # Cancellation
    ///
    /// The connection to the origin is closed.
    pub async fn ask<B>(&self, request: Request<B>) -> Result<Response<OriginBody<B>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request = self.outbound(request)?;
        let answered = tokio::time::timeout(self.patience, self.exchange(request));
        let mut response = answered.await.map_err(|_| Failure::Silent(self.patience))??;
        strip(response.headers_mut());
        Ok(response)
    }

    async fn exchange<B>(&self, request: Request<B>) -> Result<Response<OriginBody<B>>, Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (host, port) = (self.authority.host(), self.authority.port_u16().unwrap_or(80));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, port)).await.map_err(Failure::Unreachable)?;
        let _ = stream.set_nodelay(true);
        let (mut sender, mut connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(Failure::Broken)?;
        let answer = async move {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = drive(&mut connection, answer).await.map_err(Failure::Broken)?;
        Ok(response.map(|body| OriginBody::new(body, connection, self.patience)))
    }

    /// The request in the form of an origin server's (RFC 9112 §3.2.1).
    fn outbound<B: Body>(&self, request: Request<B>) -> Result<Request<B>, Failure> {
        let (mut parts, body) = request.into_parts();
        // A tunnel has nothing that could be answered or stored.
        if parts.method == Method::CONNECT {
            return Err(Failure::Unsupported);
        }
        strip(&mut parts.headers);
        if let Some(host) = parts.uri.authority() {
            // The target in absolute form outranks `Host` (RFC 9112 §3.2.2).
            let host = HeaderValue::from_str(host.as_str()).map_err(|_| Failure::Unsupported)?;
            parts.headers.insert(header::HOST, host);
        } else if !parts.headers.contains_key(header::HOST) {
            let host = HeaderValue::from_str(self.authority.as_str());
            parts.headers.insert(header::HOST, host.map_err(|_| Failure::Unsupported)?);
        }
        let target = parts.uri.path_and_query().cloned();
        parts.uri = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        parts.version = Version::HTTP_11;
        // RFC 9112 §9.3: said by a client that keeps no connection.
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if !body.is_end_stream() && !parts.headers.contains_key(header::CONTENT_LENGTH) {
            // Otherwise hyper takes a GET to have no content.
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        let mut request = Request::from_parts(parts, body);
        // What the server side left there is not for the client side.
        request.extensions_mut().clear();
        Ok(request)
    }
}

/// Waits for an answer while its connection makes progress.
async fn drive<B, F>(connection: &mut Connection<TokioIo<TcpStream>, B>, answer: F) -> F::Output
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    F: Future,
{
    let mut answer = pin!(answer);
    let mut ended = false;
    poll_fn(move |cx| {
        // Its failure is told to whoever waits for the answer.
        ended = ended || Pin::new(&mut *connection).poll(cx).is_ready();
        match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => Poll::Ready(answer),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
