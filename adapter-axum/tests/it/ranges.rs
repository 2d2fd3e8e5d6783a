//! Parts of what is stored, over a socket.

use std::time::Duration;

use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::routing::get;
use cache_memory::MemoryStore;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::wire;

const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz";

async fn range(address: std::net::SocketAddr, range: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /x HTTP/1.1\r\nhost: test\r\nconnection: close\r\nrange: {range}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    String::from_utf8(wire::read_all(stream).await).unwrap()
}

#[tokio::test]
async fn parts_of_a_hit_are_framed_by_their_length() {
    let layer = Cache::new(MemoryStore::new()).layer(Policy::ttl(Duration::from_secs(60))).unwrap();
    let app = Router::new().route("/x", get(|| async { ALPHABET }).layer(layer));
    let address = wire::serve(app).await;
    let whole = wire::read_all(wire::send(address, "/x").await).await;
    assert!(whole.ends_with(ALPHABET.as_bytes()));

    let one = range(address, "bytes=1-3").await;
    assert!(one.starts_with("HTTP/1.1 206 "), "{one}");
    assert!(one.contains("content-length: 3\r\n") && one.contains("content-range: bytes 1-3/26"));
    assert!(one.ends_with("\r\n\r\nbcd"), "{one}");

    let several = range(address, "bytes=0-0,-1").await;
    let (head, body) = several.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("multipart/byteranges; boundary="), "{head}");
    assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
    assert!(body.contains("content-range: bytes 0-0/26\r\n\r\na\r\n--"), "{body}");
    assert!(body.contains("content-range: bytes 25-25/26\r\n\r\nz\r\n--"), "{body}");

    let none = range(address, "bytes=26-").await;
    assert!(none.starts_with("HTTP/1.1 416 "), "{none}");
    assert!(
        none.contains("content-range: bytes */26\r\n") && none.contains("content-length: 0\r\n")
    );
}
