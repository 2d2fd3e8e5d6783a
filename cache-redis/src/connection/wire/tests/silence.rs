//! Sockets whose other end says nothing any more.

use super::*;

const SHORT: Duration = Duration::from_secs(1);

fn pipe(room: usize) -> (Arc<Wire>, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(room);
    (Arc::new(Wire::start(ours, SHORT).unwrap()), theirs)
}

async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), call).await.unwrap()
}

#[tokio::test]
async fn it_is_closed_when_nothing_comes_for_long() {
    let (wire, _server) = pipe(1 << 20);
    let send = |out: &mut Vec<u8>| out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let call = tokio::spawn(ask(Arc::clone(&wire), "a".to_owned()));
    tokio::task::yield_now().await;
    // Although the alarm is set for later already.
    let hurried = wire.try_look_up(state(), NO_WORDS.into_iter(), now_millis() + 20, send).unwrap();
    let outcome = soon(hurried).await.unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    assert!(!wire.has_ended());
    let patient = wire.try_look_up(state(), NO_WORDS.into_iter(), u64::MAX, send).unwrap();
    assert!(soon(call).await.unwrap().unwrap_err().is_disconnect());
    assert!(soon(patient).await.unwrap().unwrap_err().is_disconnect());
    assert!(wire.has_ended());
}

#[tokio::test]
async fn it_is_closed_when_callers_give_up_one_by_one() {
    let (wire, _server) = pipe(1 << 20);
    let send = |out: &mut Vec<u8>| out.extend_from_slice(b"*1\r\n$4\r\nPING\r\n");
    let giving_up = async {
        while !wire.has_ended() {
            let Some(call) =
                wire.try_look_up(state(), NO_WORDS.into_iter(), now_millis() + 50, send)
            else {
                break;
            };
            assert!(call.await.unwrap().is_err());
        }
    };
    soon(giving_up).await;
}

#[tokio::test]
async fn a_long_reply_or_request_that_goes_on_keeps_it_open() {
    let (wire, mut server) = pipe(50_000);
    let call = tokio::spawn(ask(Arc::clone(&wire), "x".repeat(1_000_000)));
    let mut taken = vec![0; 50_000];
    for _ in 0..20 {
        tokio::time::sleep(SHORT / 10).await;
        server.read_exact(&mut taken).await.unwrap();
    }
    server.write_all(b"$20\r\n").await.unwrap();
    for _ in 0..20 {
        tokio::time::sleep(SHORT / 10).await;
        server.write_all(b"y").await.unwrap();
    }
    server.write_all(b"\r\n").await.unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap(), "y".repeat(20));
}

#[tokio::test]
async fn no_call_no_silence() {
    let (wire, mut server) = pipe(1 << 20);
    for _ in 0..2 {
        let call = tokio::spawn(ask(Arc::clone(&wire), "a".to_owned()));
        serve(&mut server).await;
        assert_eq!(soon(call).await.unwrap().unwrap(), "a");
        tokio::time::sleep(SHORT * 2).await;
    }
    assert!(!wire.has_ended());
}
