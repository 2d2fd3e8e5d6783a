//! A server that answers as it is told, at the other end of a pipe.

use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::connection::now_millis;

fn pipe(room: usize) -> (Arc<Wire>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
    (Arc::new(Wire::start(ours).unwrap()), theirs)
}

fn echo(text: &str) -> Pipeline {
    let mut pipe = Pipeline::new();
    pipe.cmd("ECHO").arg(text);
    pipe
}

/// Reads one command as [`echo`] packs it, and answers.
async fn serve(server: &mut DuplexStream) {
    let line = async |server: &mut DuplexStream| {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(server.read_u8().await.unwrap());
        }
        line
    };
    for _ in 0..3 {
        line(server).await;
    }
    let length = line(server).await;
    let size: usize = std::str::from_utf8(&length[1..]).unwrap().trim().parse().unwrap();
    let mut text = vec![0; size + 2];
    server.read_exact(&mut text).await.unwrap();
    server.write_all(&[length, text].concat()).await.unwrap();
}

async fn ask(wire: Arc<Wire>, text: String) -> Result<String, Fault> {
    let mut values = wire.exchange(&echo(&text), 1).await?;
    match values.pop() {
        Some(Value::BulkString(text)) => Ok(String::from_utf8(text).unwrap()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn replies_of_any_size_reach_their_callers_in_order() {
    for room in [7, 1 << 10, 1 << 20] {
        let (wire, mut server) = pipe(room);
        tokio::spawn(async move {
            loop {
                serve(&mut server).await;
            }
        });
        let sizes = [0, 1, 100, 5_000, LARGEST_READ, LARGEST_READ + 9, 70_000, 200_000, 3, 40_000];
        let texts = sizes.map(|size| "x".repeat(size / room.min(64)) + &size.to_string());
        let calls = texts.each_ref().map(|text| tokio::spawn(ask(Arc::clone(&wire), text.clone())));
        for (call, text) in calls.into_iter().zip(texts) {
            assert!(call.await.unwrap().unwrap() == text, "{} bytes", text.len());
        }
    }
}

const LARGEST_READ: usize = 64 << 10;

#[tokio::test]
async fn a_large_reply_holds_up_and_lets_go() {
    let (wire, mut server) = pipe(1 << 20);
    let call = tokio::spawn(ask(Arc::clone(&wire), "a".to_owned()));
    server.read_u8().await.unwrap();
    server.write_all(b"$100000\r\nxxx").await.unwrap();
    until(|| wire.is_held_up()).await;
    server.write_all(&[b'x'; 99_000]).await.unwrap();
    until(|| !wire.is_held_up()).await;
    server.write_all(&[b'x'; 997]).await.unwrap();
    server.write_all(b"\r\n").await.unwrap();
    assert_eq!(call.await.unwrap().unwrap().len(), 100_000);
}

async fn until(reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap();
}

#[tokio::test]
async fn waiting_ends_at_the_deadline_and_a_late_reply_goes_to_nobody_else() {
    let (wire, mut server) = pipe(1 << 10);
    let send = |out: &mut Vec<u8>| out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let late = wire.try_send(1, now_millis() + 20, send).unwrap();
    let second = wire.try_send(1, now_millis() + 60_000, send).unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(30), late).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    server.write_all(b"+first\r\n+second\r\n").await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), &b"+second\r\n"[..]);
    assert_eq!(wire.0.places.available_permits(), PLACES, "places are given back");
}

#[tokio::test]
async fn a_call_that_is_given_up_keeps_its_place_until_it_is_answered() {
    let (wire, mut server) = pipe(1 << 20);
    let send = |out: &mut Vec<u8>| out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    for _ in 0..PLACES {
        drop(wire.try_send(1, u64::MAX, send).unwrap());
    }
    assert!(wire.try_send(1, u64::MAX, send).is_none(), "no more than there are places");
    let patient = tokio::spawn(ask(Arc::clone(&wire), "after".to_owned()));
    server.write_all(&b"+x\r\n".repeat(PLACES)).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"after\r\n") {
        seen.push(server.read_u8().await.unwrap());
    }
    server.write_all(b"$5\r\nafter\r\n").await.unwrap();
    assert_eq!(patient.await.unwrap().unwrap(), "after");
}

#[tokio::test]
async fn the_end_of_the_socket_is_told_to_all() {
    let (wire, server) = pipe(1 << 10);
    let call = tokio::spawn(ask(Arc::clone(&wire), "a".to_owned()));
    tokio::task::yield_now().await;
    drop(server);
    assert!(call.await.unwrap().unwrap_err().is_disconnect());
    assert!(ask(Arc::clone(&wire), "b".to_owned()).await.unwrap_err().is_disconnect());
    assert!(wire.try_send(1, u64::MAX, |_| ()).is_none());
}

#[tokio::test]
async fn what_nobody_asked_for_ends_the_socket() {
    for garbage in [&b"+nothing\r\n"[..], b"x\r\n", &[b'+'; 70_000]] {
        let (wire, mut server) = pipe(1 << 20);
        server.write_all(garbage).await.unwrap();
        until(|| wire.0.lock().end.is_some()).await;
        let outcome = ask(Arc::clone(&wire), "a".to_owned()).await;
        assert!(matches!(outcome, Err(Fault::Protocol(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_socket_closes_with_its_handle() {
    let (wire, mut server) = pipe(1 << 10);
    drop(wire);
    assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
}
