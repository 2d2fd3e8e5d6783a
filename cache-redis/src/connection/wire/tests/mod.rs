//! A server that answers as it is told, at the other end of a pipe.

mod batches;
mod silence;

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;
use crate::connection::now_millis;

const PATIENCE: Duration = Duration::from_secs(60);

fn pipe(room: usize) -> (Arc<Wire>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
    (Arc::new(Wire::start(ours, PATIENCE).unwrap()), theirs)
}

/// What lookups ask besides.
fn state() -> &'static Arc<Question> {
    static STATE: LazyLock<Arc<Question>> = LazyLock::new(|| Question::new("STATE", &[]));
    &STATE
}

/// Looks up an entry of this name.
fn look_up_until(wire: &Wire, text: &str, deadline: u64) -> Option<Replies> {
    let (words, number) = (std::iter::empty(), 0);
    let name = |out: &mut Vec<u8>| words::put_word(out, text);
    wire.try_look_up(Wanted { question: state(), words, number, name }, deadline)
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
    let late = look_up_until(&wire, "a", now_millis() + 20).unwrap();
    let second = look_up_until(&wire, "b", now_millis() + 60_000).unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(30), late).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    server.write_all(b"*2\r\n+first\r\n+second\r\n*0\r\n:0\r\n").await.unwrap();
    assert_eq!(second.await.unwrap().unwrap().own, &b"+second\r\n"[..]);
    assert_eq!(wire.0.places.available_permits(), PLACES, "places are given back");
}

#[tokio::test]
async fn a_call_that_is_given_up_keeps_its_place_until_it_is_answered() {
    let (wire, mut server) = pipe(1 << 20);
    for number in 0..PLACES {
        drop(look_up_until(&wire, &number.to_string(), u64::MAX).unwrap());
    }
    assert!(look_up_until(&wire, "a", u64::MAX).is_none(), "no more than there are places");
    let patient = tokio::spawn(ask(Arc::clone(&wire), "after".to_owned()));
    // No more at once, as long as nothing is known of what comes.
    let batch = [b"*4\r\n".to_vec(), b"+x\r\n".repeat(4), b"*0\r\n:0\r\n".to_vec()].concat();
    server.write_all(&batch.repeat(PLACES / 4)).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"after\r\n") {
        seen.push(server.read_u8().await.unwrap());
    }
    server.write_all(b"$5\r\nafter\r\n").await.unwrap();
    assert_eq!(patient.await.unwrap().unwrap(), "after");
}

#[tokio::test]
async fn what_lies_there_to_be_written_is_bounded() {
    let (wire, _server) = pipe(1);
    let large = "x".repeat(16 << 20);
    let calls: Vec<_> =
        (0..8).map(|_| tokio::spawn(ask(Arc::clone(&wire), large.clone()))).collect();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(wire.0.places.available_permits() < 257, "some have places, others wait");
    assert!(wire.0.lock().out.len() <= 64 << 20);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_reply_to_a_caller_who_left_is_not_the_next_ones() {
    let (wire, mut server) = pipe(1 << 20);
    let [first, second] = ["a", "b"].map(|text| {
        let wire = Arc::clone(&wire);
        tokio::spawn(async move { wire.exchange(&echo(text), 1).await })
    });
    // Both are sent; nobody answers yet.
    server.read_exact(&mut [0; 42]).await.unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    server.write_all(b"$1\r\na\r\n$1\r\nb\r\n").await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), [Value::BulkString(b"b".to_vec())]);
}

/// Every kind of reply that RESP3 has, nested and not; and what the library makes of it.
const ODD: &str = "+OK\r\n-ERR no\r\n:12\r\n_\r\n$-1\r\n*-1\r\n,-4.5e+15\r\n#t\r\n$0\r\n\r\n\
    $7\r\na\r\nb\n*1\r\n!6\r\nERR no\r\n=6\r\ntxt:ab\r\n*0\r\n*3\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n_\r\n\
    ~1\r\n:1\r\n%2\r\n+a\r\n:1\r\n+b\r\n%1\r\n+c\r\n*1\r\n:1\r\n";
const ODD_REPLIES: usize = 16;

#[tokio::test]
async fn odd_replies_that_come_byte_by_byte_are_read_as_the_library_reads_them() {
    let (wire, mut server) = pipe(1 << 20);
    let (odd, next) = (
        tokio::spawn({
            let wire = Arc::clone(&wire);
            async move { wire.exchange(&echo("odd"), ODD_REPLIES).await }
        }),
        tokio::spawn(ask(Arc::clone(&wire), "next".to_owned())),
    );
    server.read_u8().await.unwrap();
    for byte in [ODD, "$4\r\nnext\r\n"].concat().bytes() {
        server.write_u8(byte).await.unwrap();
        // The socket's task reads it.
        tokio::task::yield_now().await;
    }
    assert_eq!(odd.await.unwrap().unwrap(), parse(ODD.as_bytes(), ODD_REPLIES).unwrap());
    assert_eq!(next.await.unwrap().unwrap(), "next");
}

#[tokio::test]
async fn replies_that_cannot_be_end_the_socket_for_all() {
    let huge = format!("${}\r\nx", usize::MAX);
    let long = format!("*2\r\n+{}", "x".repeat(70_000));
    let cut_off = ["", "$5\r\nab", "*3\r\n:1\r\n"];
    let broken = ["x\r\n", "$9999999999\r\n", &huge, &long, "*-2\r\n", "+no\n", "$\r\n"];
    let foreign = [">2\r\n+invalidate\r\n*0\r\n$1\r\na\r\n", "|1\r\n+a\r\n+b\r\n$1\r\na\r\n"];
    for reply in cut_off.into_iter().chain(broken).chain(foreign) {
        let (wire, mut server) = pipe(1 << 20);
        let calls = ["a", "b"].map(|text| tokio::spawn(ask(Arc::clone(&wire), text.to_owned())));
        server.read_u8().await.unwrap();
        server.write_all(reply.as_bytes()).await.unwrap();
        server.shutdown().await.unwrap();
        for call in calls {
            let outcome = tokio::time::timeout(Duration::from_secs(30), call).await.unwrap();
            let fault = outcome.unwrap().unwrap_err();
            let ends = fault.is_disconnect() || matches!(fault, Fault::Protocol(_));
            assert!(ends, "{reply:.20?}: {fault:?}");
        }
        assert!(look_up_until(&wire, "a", u64::MAX).is_none(), "{reply:.20?}");
    }
}

#[tokio::test]
async fn a_length_that_is_only_claimed_takes_little_memory() {
    let mut driver = Driver::new(tokio::io::empty(), PATIENCE, Arc::new(Shared::new()));
    driver.receive(b"$536870912\r\nxyz", 1).unwrap();
    assert!(driver.reserved() <= 32 << 20, "{} bytes", driver.reserved());
}

#[tokio::test]
async fn the_end_of_the_socket_is_told_to_all() {
    let (wire, server) = pipe(1 << 10);
    let call = tokio::spawn(ask(Arc::clone(&wire), "a".to_owned()));
    tokio::task::yield_now().await;
    drop(server);
    assert!(call.await.unwrap().unwrap_err().is_disconnect());
    assert!(ask(Arc::clone(&wire), "b".to_owned()).await.unwrap_err().is_disconnect());
    assert!(look_up_until(&wire, "a", u64::MAX).is_none());
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

#[tokio::test]
async fn waiting_ends_at_the_deadline_behind_what_cannot_be_written() {
    let (wire, _server) = pipe(1);
    let stuck = tokio::spawn(ask(Arc::clone(&wire), "x".repeat(1 << 20)));
    while wire.0.places.available_permits() == PLACES || !wire.0.lock().out.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(wire.is_held_up(), "others take another socket");
    let late = look_up_until(&wire, "a", now_millis() + 20).unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(30), late).await.unwrap().unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    stuck.abort();
}

#[tokio::test]
async fn a_socket_that_has_ended_is_known_to_have() {
    let (wire, server) = pipe(1 << 10);
    assert!(!wire.has_ended());
    drop(server);
    while !wire.has_ended() {
        tokio::task::yield_now().await;
    }
    assert!(!wire.is_held_up());
}
