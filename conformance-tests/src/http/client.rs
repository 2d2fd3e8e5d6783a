//! A raw HTTP/1.1 client: what is sent is under control to the byte, and what arrives is told as
//! it was: lines repeated and in order, framing, the time of each part, and a body's early end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::scenario::Failure;

/// How long a part of an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request, as bytes.
#[derive(Clone, Debug)]
#[must_use]
pub struct Request {
    method: String,
    target: Vec<u8>,
    host: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// A request with this method and target, both sent as they are.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_owned(),
            host: Some("testbed".to_owned()),
            fields: Vec::new(),
            body: None,
        }
    }

    /// A GET.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// A HEAD.
    pub fn head(target: impl AsRef<[u8]>) -> Self {
        Self::new("HEAD", target)
    }

    /// A POST with a body.
    pub fn post(target: impl AsRef<[u8]>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", target).body(body)
    }

    /// Another `Host`.
    pub fn host(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }

    /// One more line.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// A body, with its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(self.method.as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        if let Some(host) = &self.host {
            bytes.extend_from_slice(format!("host: {host}\r\n").as_bytes());
        }
        for (name, value) in &self.fields {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        if let Some(body) = &self.body {
            bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
            bytes.extend_from_slice(body);
        } else {
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }
}

impl fmt::Display for Request {
    /// Method, target and fields, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = String::from_utf8_lossy(&self.target).chars().take(100).collect();
        write!(f, "{} {short}", self.method)?;
        for (name, value) in self.fields.iter().take(4) {
            let value: String = String::from_utf8_lossy(value).chars().take(60).collect();
            write!(f, " [{name}: {value}]")?;
        }
        Ok(())
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// As its framing says.
    Complete,
    /// Early.
    Truncated,
    /// There was none to read: an answer to HEAD, 204 or 304.
    None,
}

/// An answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Response {
    /// What was asked, for messages.
    pub asked: String,
    /// The status code.
    pub status: u16,
    /// The lines of the head, names in lower case, in order.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The content.
    pub body: Vec<u8>,
    /// How it ended.
    pub end: Body,
    /// The time from sending to the end of the head.
    pub head_after: Duration,
    /// The time from sending to the end of the body.
    pub ended_after: Duration,
}

impl Response {
    /// All lines of a field, as text.
    #[must_use]
    pub fn lines(&self, name: &str) -> Vec<String> {
        let lines = self.fields.iter().filter(|(n, _)| n == name);
        lines.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// A field of one line; the lines joined if there are several.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let lines = self.lines(name);
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// Whether there is a line of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _)| n == name)
    }

    /// `X-Cache`.
    #[must_use]
    pub fn x_cache(&self) -> Option<String> {
        self.field("x-cache")
    }

    /// `Cache-Status`.
    #[must_use]
    pub fn cache_status(&self) -> String {
        self.field("cache-status").unwrap_or_default()
    }

    /// The parameter of our member of `Cache-Status`, the last one.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let status = self.cache_status();
        let last = status.rsplit(',').next()?.to_owned();
        last.split(';').skip(1).find_map(|parameter| match parameter.trim().split_once('=') {
            Some((key, value)) => (key == name).then(|| value.to_owned()),
            None => (parameter.trim() == name).then(String::new),
        })
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A field of the JSON object in the body; `Null` where there is none.
    #[must_use]
    pub fn json(&self, field: &str) -> Value {
        let object: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        object.get(field).cloned().unwrap_or_default()
    }

    /// The handler's run that made this answer.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.json("n").as_u64().unwrap_or(0)
    }
}

impl fmt::Display for Response {
    /// What matters, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.asked, self.status)?;
        if let Some(x_cache) = self.x_cache() {
            write!(f, " X-Cache: {x_cache};")?;
        }
        let text: String = self.text().chars().take(160).collect();
        write!(f, " Cache-Status: {}; {:?} body {text:?}", self.cache_status(), self.end)
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
    asked: String,
    method: String,
    sent: Duration,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    Close,
    Done,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// The server does not listen.
    pub async fn open(address: SocketAddr) -> Result<Self, Failure> {
        let opened = within(TcpStream::connect(address)).await;
        let stream = opened.map_err(|error| Failure::io("connecting", &error))?;
        let _ = stream.set_nodelay(true);
        Ok(Self {
            stream,
            read: Vec::new(),
            asked: String::new(),
            method: String::new(),
            sent: Duration::ZERO,
            framing: Framing::Done,
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send(&mut self, request: &Request) -> Result<(), Failure> {
        self.method.clone_from(&request.method);
        self.send_raw(&request.bytes(), &request.to_string()).await
    }

    /// Sends these bytes; `name` stands for them in messages.
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn send_raw(&mut self, bytes: &[u8], name: &str) -> Result<(), Failure> {
        name.clone_into(&mut self.asked);
        self.sent = SystemClock.monotonic();
        let written = within(self.stream.write_all(bytes)).await;
        written.map_err(|error| Failure::io(name, &error))
    }

    /// Reads the answer to the last request, to its end.
    ///
    /// # Errors
    ///
    /// The connection was closed before the end of the head, or what came is no HTTP.
    pub async fn response(&mut self) -> Result<Response, Failure> {
        let mut response = self.head().await?;
        while let Some(part) = self.part(&mut response).await? {
            response.body.extend_from_slice(&part);
        }
        response.ended_after = self.elapsed();
        Ok(response)
    }

    /// Reads the head of the answer.
    ///
    /// # Errors
    ///
    /// As for [`response`](Self::response).
    pub async fn head(&mut self) -> Result<Response, Failure> {
        loop {
            let end = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                let response = self.parse(&head)?;
                // An interim answer precedes the final one.
                if response.status >= 200 {
                    return Ok(response);
                }
            } else if self.fill().await? == 0 {
                return Err(Failure::closed(&self.asked));
            }
        }
    }

    /// The next part of the body, as it was sent: a chunk, or what has arrived. `None` at the end,
    /// which is noted in the response.
    ///
    /// # Errors
    ///
    /// What came is no HTTP.
    pub async fn part(&mut self, response: &mut Response) -> Result<Option<Vec<u8>>, Failure> {
        match self.framing {
            Framing::None | Framing::Done => Ok(None),
            Framing::Length(0) => Ok(self.ended(response, Body::Complete)),
            Framing::Length(left) => {
                if self.read.is_empty() && self.fill().await? == 0 {
                    return Ok(self.ended(response, Body::Truncated));
                }
                let part: Vec<u8> = self.read.drain(..left.min(self.read.len())).collect();
                self.framing = Framing::Length(left - part.len());
                Ok(Some(part))
            }
            Framing::Close => {
                if self.read.is_empty() && self.fill().await? == 0 {
                    return Ok(self.ended(response, Body::Complete));
                }
                Ok(Some(std::mem::take(&mut self.read)))
            }
            Framing::Chunked => self.chunk(response).await,
        }
    }

    /// The time since the request was sent.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        SystemClock.monotonic().saturating_sub(self.sent)
    }

    async fn chunk(&mut self, response: &mut Response) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            let line = self.read.windows(2).position(|bytes| bytes == b"\r\n");
            if let Some(end) = line {
                let text = String::from_utf8_lossy(self.read.get(..end).unwrap_or_default());
                let size = text.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(size, 16).map_err(|_| {
                    Failure::new("a chunk's size", format!("{}: {text:?}", self.asked))
                })?;
                let whole = end + 2 + size + 2;
                if self.read.len() >= whole {
                    let data = self.read.get(end + 2..end + 2 + size).map(<[u8]>::to_vec);
                    self.read.drain(..whole);
                    if size == 0 {
                        return Ok(self.ended(response, Body::Complete));
                    }
                    return Ok(data);
                }
            }
            if self.fill().await? == 0 {
                return Ok(self.ended(response, Body::Truncated));
            }
        }
    }

    fn ended(&mut self, response: &mut Response, how: Body) -> Option<Vec<u8>> {
        self.framing = Framing::Done;
        response.end = how;
        None
    }

    /// Reads what has arrived; 0 at the end. A reset counts as the end.
    async fn fill(&mut self) -> Result<usize, Failure> {
        self.read.reserve(16 << 10);
        match within(self.stream.read_buf(&mut self.read)).await {
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(Failure::io(&self.asked, &error)),
        }
    }

    fn parse(&mut self, head: &[u8]) -> Result<Response, Failure> {
        let broken = || {
            let text = String::from_utf8_lossy(head);
            Failure::new("a well-formed head", format!("{}: {text:?}", self.asked))
        };
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let start = String::from_utf8_lossy(lines.next().unwrap_or_default());
        let status = start.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(broken)?;
        let mut fields = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let colon = line.iter().position(|byte| *byte == b':').ok_or_else(broken)?;
            let (name, value) = line.split_at(colon);
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            fields.push((name, value.get(1..).unwrap_or_default().trim_ascii().to_owned()));
        }
        let head_after = self.elapsed();
        let response = Response {
            asked: self.asked.clone(),
            status,
            fields,
            body: Vec::new(),
            end: Body::None,
            head_after,
            ended_after: head_after,
        };
        let bodiless = self.method == "HEAD" || matches!(status, 204 | 304) || status < 200;
        let chunked = response.field("transfer-encoding").is_some_and(|t| t.contains("chunked"));
        let length = response.field("content-length");
        self.framing = match length {
            _ if bodiless => Framing::None,
            _ if chunked => Framing::Chunked,
            Some(length) => Framing::Length(length.parse().map_err(|_| broken())?),
            None => Framing::Close,
        };
        Ok(response)
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "nothing within 30 s")),
    }
}
