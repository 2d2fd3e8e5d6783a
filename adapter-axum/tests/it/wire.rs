//! A server on a free port, and clients that see every byte.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// An answer taken whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// `HIT`, `MISS` or nothing.
    pub(crate) fn cache(&self) -> &str {
        self.field("x-cache")
    }
}

/// Calls a router in the process.
pub(crate) async fn call(app: &Router, request: Request<Body>) -> Answer {
    take(app.clone().oneshot(request).await.unwrap()).await
}

pub(crate) async fn get(app: &Router, uri: &str) -> Answer {
    call(app, Request::get(uri).body(Body::empty()).unwrap()).await
}

pub(crate) async fn get_with(app: &Router, uri: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    call(app, request.body(Body::empty()).unwrap()).await
}

pub(crate) async fn take(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: body.to_vec() }
}

/// Serves a router on a free port until the runtime ends.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Sends a GET and leaves the answer to the caller.
pub(crate) async fn send(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything that comes until the server closes.
pub(crate) async fn read_all(mut stream: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is the end of a broken answer.
    let _ = stream.read_to_end(&mut all).await;
    all
}
