//! A real axum application over sockets, under 200 requests per second, whose `redis-server` goes
//! away and comes back: no 5xx, a bounded delay, and caching again soon after.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::routing::get;
use cache_core::clock::{Clock, SystemClock};
use cache_redis::{RedisStore, Start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Server;

/// Requests per second.
const RATE: u64 = 200;
/// The defaults: no store call takes longer, and a request makes at most two of them.
const STORE_TIMEOUT: Duration = Duration::from_millis(250);
/// For handler, sockets and a busy machine.
const SLACK: Duration = Duration::from_millis(250);
/// How soon caching must be back.
const RECOVERY: Duration = Duration::from_secs(2);
/// Requests that the outage may leave without a fast answer: those under way, and those before
/// the breaker opens.
const CLIENTS: u64 = 40;

#[derive(Clone, Copy, Debug)]
struct Exchange {
    /// When it was sent, and how long it took.
    sent: Duration,
    took: Duration,
    status: u16,
    hit: bool,
}

/// The application: 50 pages, each cached for a minute.
async fn application(url: &str, runs: &Arc<AtomicU64>) -> SocketAddr {
    // A busy machine may need longer than the limits for the first connection.
    let store =
        RedisStore::builder(url).unwrap().with_start(Start::Lenient).connect().await.unwrap();
    let cache = Cache::from(Cache::builder(store).store_timeout(STORE_TIMEOUT).build().unwrap());
    let layer = cache.layer(Policy::ttl(Duration::from_secs(60)).tag("pages")).unwrap();
    let runs = Arc::clone(runs);
    let page = move || async move {
        runs.fetch_add(1, Ordering::SeqCst);
        "a page of some text"
    };
    let app = Router::new().route("/pages/{id}", get(page).layer(layer));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// One client of its own connection.
async fn client(
    address: SocketAddr,
    number: u64,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<Exchange>>>,
) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut every = tokio::time::interval(Duration::from_millis(1_000 * CLIENTS / RATE));
    // Not all at the same instant.
    tokio::time::sleep(Duration::from_millis(number * 1_000 / RATE)).await;
    let mut page = number;
    while !stop.load(Ordering::SeqCst) {
        every.tick().await;
        page = (page + 7) % 50;
        let request = format!("GET /pages/{page} HTTP/1.1\r\nHost: test\r\n\r\n");
        let sent = SystemClock.monotonic();
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_answer(&mut stream).await;
        let took = SystemClock.monotonic().saturating_sub(sent);
        let status = head.get(9..12).unwrap().parse().unwrap();
        let hit = head.contains("x-cache: HIT");
        log.lock().unwrap().push(Exchange { sent, took, status, hit });
    }
}

async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4_096];
    while !text.ends_with("a page of some text") {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "hung up after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

#[derive(Clone, Copy)]
struct Outage {
    begin: fn(&mut Server),
    end: fn(&mut Server),
    lasts: Duration,
}

/// Whether nearly all requests of a second from then on were hits; and how many, of how many.
fn caches(log: &[Exchange], from: Duration) -> (bool, String) {
    let second = from..from + Duration::from_secs(1);
    let (hits, all) = log
        .iter()
        .filter(|exchange| second.contains(&exchange.sent))
        .fold((0, 0), |(hits, all), exchange| (hits + u64::from(exchange.hit), all + 1));
    (all > RATE / 2 && hits * 10 >= all * 9, format!("{hits} hits of {all}"))
}

/// Waits for a second of hits. A machine that stands still for 0.2 s opens the breaker, so that the
/// first one need not be.
async fn warm(log: &Mutex<Vec<Exchange>>) {
    let end = SystemClock.monotonic() + Duration::from_secs(20);
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = SystemClock.monotonic();
        let (warm, hits) = caches(&log.lock().unwrap(), now - Duration::from_secs(1));
        if warm {
            return;
        }
        assert!(now < end, "before: {hits}");
    }
}

async fn survives(outage: Outage) {
    let mut server = Server::start(&[]);
    let runs = Arc::new(AtomicU64::new(0));
    let address = application(&server.url(), &runs).await;
    let (stop, log) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| tokio::spawn(client(address, n, Arc::clone(&stop), Arc::clone(&log))))
        .collect();
    warm(&log).await;
    let began = SystemClock.monotonic();
    (outage.begin)(&mut server);
    tokio::time::sleep(outage.lasts).await;
    (outage.end)(&mut server);
    let ended = SystemClock.monotonic();
    tokio::time::sleep(RECOVERY + Duration::from_secs(1)).await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let log = log.lock().unwrap().clone();
    let during = |from: Duration, to: Duration| {
        log.iter().filter(move |exchange| (from..to).contains(&exchange.sent))
    };
    let slowest = |from, to| during(from, to).map(|exchange| exchange.took).max().unwrap();

    assert!(log.iter().all(|exchange| exchange.status == 200), "every request is answered");
    // A miss is a lookup and a put: each bounded.
    let worst = slowest(began, ended);
    assert!(worst <= STORE_TIMEOUT * 2 + SLACK, "the slowest request took {worst:?}");
    // Nobody pays any more, once the breaker is open.
    let late = ended - outage.lasts / 3;
    let mut times: Vec<Duration> = during(late, ended).map(|exchange| exchange.took).collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    assert!(median < Duration::from_millis(100), "still {median:?} with the breaker open");
    let answered = log.iter().filter(|exchange| !exchange.hit).count();
    let runs = runs.load(Ordering::SeqCst);
    assert!(u64::try_from(answered).unwrap() >= runs, "{runs} runs for {answered} answers");
    // From then on all pages are hits again.
    let back = log.iter().filter(|e| e.sent >= ended && e.hit).map(|e| e.sent).min().unwrap();
    let after = back.saturating_sub(ended);
    assert!(after <= RECOVERY, "caching was back after {after:?}");
    let (warm, hits) = caches(&log, ended + RECOVERY);
    assert!(warm, "afterwards: {hits}");
    eprintln!(
        "{} requests, none failed; slowest during the outage {worst:?}, before {:?}; \
         median with the breaker open {median:?}; first hit {after:?} after the return",
        log.len(),
        slowest(Duration::ZERO, began),
    );
}

const STOPPED: Outage =
    Outage { begin: Server::kill, end: Server::spawn, lasts: Duration::from_secs(2) };

const PAUSED: Outage = Outage {
    begin: |server| server.signal("STOP"),
    end: |server| server.signal("CONT"),
    lasts: Duration::from_secs(3),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_server_under_load() {
    survives(STOPPED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_server_under_load() {
    survives(PAUSED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "soak"]
async fn soak_outages_under_load() {
    for _ in 0..5 {
        survives(Outage { lasts: Duration::from_secs(10), ..STOPPED }).await;
        survives(Outage { lasts: Duration::from_secs(10), ..PAUSED }).await;
    }
}
