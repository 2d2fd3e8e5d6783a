//! A real axum application over sockets, under 200 requests per second, whose `redis-server` goes
//! away and comes back: no 5xx, a bounded delay, and caching again soon after.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use adapter_axum::{Cache, Policy};
use axum::Router;
use axum::routing::get;
use cache_core::clock::{Clock, SystemClock};
use cache_redis::{RedisStore, Start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

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

#[derive(Clone, Debug)]
struct Exchange {
    /// When it was sent, and how long it took.
    sent: Duration,
    took: Duration,
    status: u16,
    hit: bool,
    /// `x-cache` and `cache-status`.
    says: String,
}

/// The application: 50 pages, each cached for longer than the test takes.
async fn application(url: &str, runs: &Arc<AtomicU64>) -> SocketAddr {
    // A busy machine may need longer than the limits for the first connection.
    let store =
        RedisStore::builder(url).unwrap().with_start(Start::Lenient).connect().await.unwrap();
    let cache = Cache::from(Cache::builder(store).store_timeout(STORE_TIMEOUT).build().unwrap());
    let layer = cache.layer(Policy::ttl(Duration::from_secs(600)).tag("pages")).unwrap();
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
    // Each at an instant of its own, also after having been late: 200 requests per second, not five
    // times a second 40.
    let first = Instant::now() + Duration::from_millis(number * 1_000 / RATE);
    let mut every = interval_at(first, Duration::from_millis(1_000 * CLIENTS / RATE));
    every.set_missed_tick_behavior(MissedTickBehavior::Skip);
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
        let of_cache =
            |line: &&str| line.starts_with("x-cache") || line.starts_with("cache-status");
        let says = head.lines().filter(of_cache).collect::<Vec<_>>().join("; ");
        log.lock().unwrap().push(Exchange { sent, took, status, hit, says });
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

/// Waits for a second of hits, from then on or later, and says when it began. A machine that stands
/// still for 0.2 s opens the breaker, so that it need not be the first one.
async fn a_second_of_hits(log: &Mutex<Vec<Exchange>>, from: Duration) -> Duration {
    let mut begin = from;
    loop {
        // A little more, for those under way.
        let complete = begin + Duration::from_millis(1_050);
        tokio::time::sleep(complete.saturating_sub(SystemClock.monotonic())).await;
        let (warm, hits) = caches(&log.lock().unwrap(), begin);
        if warm {
            return begin;
        }
        let late = begin > from + Duration::from_secs(20);
        assert!(!late, "no second of hits: {hits}; {}", misses(log, from));
        begin += Duration::from_millis(50);
    }
}

/// What was no hit from then on, and why.
fn misses(log: &Mutex<Vec<Exchange>>, from: Duration) -> String {
    let log = log.lock().unwrap();
    let misses = log.iter().filter(|exchange| exchange.sent >= from && !exchange.hit);
    misses.fold(String::new(), |text, exchange| {
        let Exchange { sent, took, says, .. } = exchange;
        format!("{text}\n{:?} later, took {took:?}: {says}", sent.saturating_sub(from))
    })
}

/// Watches the machine: when a plain client of the server, or its thread, last stood still for so
/// long that a store would have given up.
struct Calm {
    stop: Arc<AtomicBool>,
    watching: JoinHandle<Option<Duration>>,
}

impl Calm {
    /// Half the time limit of a store.
    const STILL: Duration = Duration::from_millis(100);

    fn watch(server: &Server) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut connection = server.raw();
        let watching = std::thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let (mut last, mut before) = (None, SystemClock.monotonic());
                while !stop.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                    redis::cmd("PING").exec(&mut connection).unwrap();
                    let now = SystemClock.monotonic();
                    if now.saturating_sub(before) >= Self::STILL {
                        last = Some(now);
                    }
                    before = now;
                }
                last
            }
        });
        Self { stop, watching }
    }

    fn last_pause(self) -> Option<Duration> {
        self.stop.store(true, Ordering::SeqCst);
        self.watching.join().unwrap()
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
    a_second_of_hits(&log, SystemClock.monotonic()).await;
    let began = SystemClock.monotonic();
    (outage.begin)(&mut server);
    tokio::time::sleep(outage.lasts).await;
    (outage.end)(&mut server);
    let ended = SystemClock.monotonic();
    let calm = Calm::watch(&server);
    let warm = a_second_of_hits(&log, ended).await;
    let pause = calm.last_pause().unwrap_or(ended);
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let why = misses(&log, ended);
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
    let back = log.iter().filter(|e| e.sent >= ended && e.hit).map(|e| e.sent).min().unwrap();
    let after = back.saturating_sub(ended);
    assert!(after <= RECOVERY, "caching was back after {after:?}: {why}");
    // And stays, unless the machine stands still; then soon after that.
    let again = warm.saturating_sub(pause.max(ended));
    assert!(again <= RECOVERY, "hits again after {again:?}: {why}");
    eprintln!(
        "{} requests, none failed; slowest during the outage {worst:?}, before {:?}; \
         median with the breaker open {median:?}; first hit {after:?} after the return, \
         nothing but hits after {:?}",
        log.len(),
        slowest(Duration::ZERO, began),
        warm.saturating_sub(ended),
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
