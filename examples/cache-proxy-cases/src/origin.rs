//! An origin that answers with the test's own bytes.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::message::Message;

/// What an origin does with a request.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Sends these bytes and waits for the proxy to close the connection.
    Answer(Vec<u8>),
    /// Sends these bytes and closes the connection.
    BreakOff(Vec<u8>),
    /// Sends these bytes, and then nothing.
    FallSilent(Vec<u8>),
}

/// What an origin saw of one connection.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) request: Message,
    /// The proxy closed the connection, within some seconds of the answer and with no second
    /// request.
    pub(crate) closed: bool,
}

/// A server on a free port of the loopback interface, with a thread for each connection. It runs
/// until the test's process ends.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    seen: Receiver<Seen>,
}

impl Origin {
    pub(crate) fn new(act: impl Fn(&Message) -> Act + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (act, tell) = (act.clone(), tell.clone());
                std::thread::spawn(move || attend(&stream, &act, &tell));
            }
        });
        Self { address, seen }
    }

    /// One that answers 200 with these field lines and this content.
    pub(crate) fn answering(fields: &str, body: &str) -> Self {
        let answer = ok(fields, body);
        Self::new(move |_| Act::Answer(answer.clone()))
    }

    /// What the next connection was, once it has ended.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.recv_timeout(Duration::from_secs(20)).expect("a connection to the origin")
    }

    /// That there was no further connection. All of the proxy's have ended with its answers.
    pub(crate) fn saw_no_more(&self) {
        let more = self.seen.recv_timeout(Duration::from_millis(300));
        assert!(more.is_err(), "one more connection: {more:?}");
    }
}

/// A 200 with these field lines (each with its end) and this content.
pub(crate) fn ok(fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\n\r\n{body}").into_bytes()
}

fn attend(stream: &TcpStream, act: &impl Fn(&Message) -> Act, tell: &Sender<Seen>) {
    let mut reader = BufReader::new(stream);
    let Some(request) = Message::request(&mut reader) else { return };
    let mut out = stream;
    let closed = match act(&request) {
        Act::Answer(bytes) => {
            let _ = out.write_all(&bytes);
            stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
            // A reset is an end, too; only more bytes or waiting in vain are none.
            match reader.read(&mut [0; 1]) {
                Ok(read) => read == 0,
                Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
        Act::BreakOff(bytes) => out.write_all(&bytes).is_ok(),
        Act::FallSilent(bytes) => {
            let _ = out.write_all(&bytes);
            reader.read(&mut [0; 1]).unwrap_or(0) == 0
        }
    };
    let _ = tell.send(Seen { request, closed });
}
