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
    let call = tokio::spawn(ask(Arc::clone(&wire), "a".to_owned()));
    tokio::task::yield_now().await;
    // Although the alarm is set for later already.
    let hurried = look_up_until(&wire, "a", now_millis() + 20).unwrap();
    let outcome = soon(hurried).await.unwrap();
    assert!(matches!(outcome, Err(Fault::TimedOut(_))), "{outcome:?}");
    assert!(!wire.has_ended());
    let patient = look_up_until(&wire, "a", u64::MAX).unwrap();
    assert!(soon(call).await.unwrap().unwrap_err().is_disconnect());
    assert!(soon(patient).await.unwrap().unwrap_err().is_disconnect());
    assert!(wire.has_ended());
}

#[tokio::test]
async fn it_is_closed_when_callers_give_up_one_by_one() {
    let (wire, _server) = pipe(1 << 20);
    let giving_up = async {
        while !wire.has_ended() {
            let Some(call) = look_up_until(&wire, "a", now_millis() + 50) else { break };
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

/// Its reply is there before its time is over, but nobody looks: handlers block the thread.
#[tokio::test]
async fn it_stays_open_when_it_is_us_who_stood_still() {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut bytes = [0; 1024];
        assert!(socket.read(&mut bytes).unwrap() > 0);
        std::thread::sleep(Duration::from_millis(250));
        socket.write_all(b"*1\r\n+a\r\n*0\r\n:0\r\n").unwrap();
        // Until the other end is closed.
        assert_eq!(socket.read(&mut bytes).unwrap(), 0);
    });
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let wire = Wire::start(socket, Duration::from_millis(500)).unwrap();
    let at = tokio::time::Instant::now() + Duration::from_millis(200);
    // So many before and behind the socket's task that they take the rest of its time.
    let block = || {
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            std::thread::sleep(Duration::from_millis(60));
        })
    };
    let mut handlers: Vec<_> = (0..6).map(|_| block()).collect();
    tokio::task::yield_now().await;
    let call = look_up_until(&wire, "a", now_millis() + 200).unwrap();
    tokio::task::yield_now().await;
    handlers.extend((0..6).map(|_| block()));
    // In time or not.
    let _ = soon(call).await.unwrap();
    for handler in handlers {
        handler.await.unwrap();
    }
    until(|| wire.0.places.available_permits() == PLACES).await;
    assert!(!wire.has_ended());
    drop(wire);
    tokio::task::spawn_blocking(|| server.join()).await.unwrap().unwrap();
}
