//! A running proxy, and a client of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::message::Message;
use crate::origin::Origin;

/// Switches off what the cache says in answers.
pub(crate) const MUTE: &str =
    r#"--policy={"status_header":null,"cache_status":"off","etag":"off","age":false}"#;

/// The process; killed when dropped, by its id.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    /// Before this origin, with these arguments.
    pub(crate) fn start(program: &str, origin: &Origin, args: &[&str]) -> Self {
        Self::before(program, origin.address, args)
    }

    pub(crate) fn before(program: &str, origin: SocketAddr, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--origin", &format!("http://{origin}")]);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the proxy's program");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://");
        let address = address.unwrap_or_else(|| panic!("the first line is {line:?}"));
        Self { child, address: address.parse().unwrap() }
    }

    /// Sends these bytes on a connection of its own, and reads the answer.
    pub(crate) fn exchange(&self, request: &[u8]) -> Message {
        self.try_exchange(request).expect("an answer")
    }

    fn try_exchange(&self, request: &[u8]) -> Option<Message> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request).unwrap();
        let to_head = request.starts_with(b"HEAD ");
        Message::response(&mut BufReader::new(stream), to_head)
    }

    /// A GET with these field lines (each with its end).
    pub(crate) fn get(&self, path: &str, fields: &str) -> Message {
        self.try_get(path, fields).expect("an answer")
    }

    /// The same, where the connection may end before the answer's head does.
    pub(crate) fn try_get(&self, path: &str, fields: &str) -> Option<Message> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: h\r\n{fields}connection: close\r\n\r\n");
        self.try_exchange(head.as_bytes())
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        for _ in 0..500 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the proxy does not stop");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
