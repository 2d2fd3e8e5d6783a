//! Servers and a raw client.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::middleware::Condition;
use actix_web::{App, web};
use adapter_actix::{Cache, CacheFront, CacheLayer, Policy};
use cache_core::clock::{Clock, ManualClock};
use cache_memory::MemoryStore;
use tokio::sync::Semaphore;

/// A running server; stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) handle: actix_web::dev::ServerHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        // The command is sent at once; nobody waits for the end.
        drop(self.handle.stop(false));
    }
}

/// Serves an application with two workers on a free port. A connection whose client has closed its
/// side is dropped, with what runs on it.
macro_rules! serve {
    ($app:expr) => {{
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let server = actix_web::HttpServer::new(move || $app)
                    .workers(2)
                    .disable_signals()
                    .h1_allow_half_closed(false)
                    .bind(("127.0.0.1", 0))
                    .unwrap();
                let address = server.addrs()[0];
                let server = server.run();
                send.send((address, server.handle())).unwrap();
                server.await.unwrap();
            });
        });
        let (address, handle) = receive.recv().unwrap();
        crate::server::Server { address, handle }
    }};
}

/// Where the cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Around resources.
    Inside,
    /// In front of the application.
    Front,
}

/// A policy in force there.
#[derive(Clone)]
pub(crate) struct Put {
    pub(crate) place: Place,
    pub(crate) front: CacheFront,
    layer: CacheLayer,
}

impl Place {
    pub(crate) const ALL: [Self; 2] = [Self::Inside, Self::Front];

    pub(crate) fn put(self, cache: &Cache, policy: Policy) -> Put {
        let front = cache.front(policy.clone()).unwrap();
        Put { place: self, front, layer: cache.layer(policy).unwrap() }
    }
}

impl Put {
    /// What resources are wrapped in: nothing, if the cache is not there.
    pub(crate) fn inside(&self) -> Condition<CacheLayer> {
        Condition::new(self.place == Place::Inside, self.layer.clone())
    }
}

/// The same with the cache in front of the application, if it is put there.
macro_rules! serve_at {
    ($put:expr, $app:expr) => {{
        let put = $put.clone();
        match put.place {
            crate::server::Place::Inside => serve!($app),
            crate::server::Place::Front => serve!(put.front.before($app)),
        }
    }};
}

/// Serves a cached route whose handler takes this long and panics in its first run.
pub(crate) fn panicking_once(place: Place, after: Duration) -> Server {
    let (cache, count) = (cache(), Count::default());
    let put = place.put(&cache, ttl());
    serve_at!(put, {
        let count = count.clone();
        App::new().service(web::resource("/").wrap(put.inside()).to(move || {
            let run = count.one();
            async move {
                actix_web::rt::time::sleep(after).await;
                assert!(run > 1, "as this test wants it");
                "fine"
            }
        }))
    })
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// The body ended as the head said it would.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.fields.iter().filter(|(field, _)| field == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands there twice: {self:?}");
        value
    }

    pub(crate) fn cached(&self) -> &str {
        self.field("x-cache").unwrap_or("-")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One connection.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(crate) fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends `GET /path` with these fields (`name: value`), and a body if there is one.
    pub(crate) fn send(&mut self, target: &str, fields: &[&str], body: &str) {
        let mut text = format!("{target} HTTP/1.1\r\nhost: test\r\n");
        for field in fields {
            text.push_str(field);
            text.push_str("\r\n");
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Reads the head only; `None` if the connection ended first.
    pub(crate) fn head(&mut self) -> Option<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1)?.parse().unwrap();
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Some(Answer { status, fields, body: Vec::new(), whole: false })
    }

    /// The next chunk of a chunked body; `None` at the end or where the connection breaks.
    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    pub(crate) fn answer(&mut self, target: &str) -> Option<Answer> {
        let mut answer = self.head()?;
        if target.starts_with("HEAD") || answer.status == 304 || answer.status == 204 {
            answer.whole = true;
            return Some(answer);
        }
        if answer.field("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                if chunk.is_empty() {
                    answer.whole = true;
                    break;
                }
                answer.body.extend(chunk);
            }
        } else {
            let length = answer.field("content-length").expect("a length").parse().unwrap();
            answer.body.resize(length, 0);
            let read = self.stream.read_exact(&mut answer.body);
            answer.whole = read.is_ok();
        }
        Some(answer)
    }

    /// Goes away.
    pub(crate) fn leave(self) {
        let _ = self.stream.get_ref().shutdown(Shutdown::Both);
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(read) if read > 0 => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }
}

/// One request on a connection of its own. The connection is kept alive by the server, so what
/// follows the answer would be seen as a broken one.
pub(crate) fn ask(server: &Server, target: &str, fields: &[&str]) -> Answer {
    send(server, target, fields, "").expect("an answer")
}

pub(crate) fn send(server: &Server, target: &str, fields: &[&str], body: &str) -> Option<Answer> {
    let mut connection = Connection::open(server);
    connection.send(target, fields, body);
    connection.answer(target)
}

/// Counts, for handlers.
#[derive(Clone, Default)]
pub(crate) struct Count(Arc<AtomicUsize>);

impl Count {
    /// Counts one; gives the number.
    pub(crate) fn one(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until so many were counted.
    pub(crate) fn reaches(&self, count: usize) {
        until(&format!("a count of {count}, not {}", self.get()), || self.get() >= count);
    }
}

/// Waits for something that other threads do.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}

/// Closed until it is opened for some.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    pub(crate) async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    pub(crate) fn open(&self, times: usize) {
        self.0.add_permits(times);
    }
}

pub(crate) fn ttl() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

pub(crate) fn cache() -> Cache {
    Cache::new(MemoryStore::new())
}

/// A cache whose time stands still.
pub(crate) fn timed_cache() -> (Cache, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let store = MemoryStore::builder().clock(Arc::clone(&shared)).build().unwrap();
    let cache = Cache::builder(store).clock(shared).build().unwrap();
    (Cache::from(cache), clock)
}

/// Waits for a future, outside of any server.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}
