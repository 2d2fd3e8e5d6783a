//! A TCP proxy between store and server that counts round trips, and can cut, swallow or fall silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// A round trip: bytes towards the server after bytes from it.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    trips: AtomicUsize,
    sent: AtomicUsize,
    /// Bytes still let through to the server before its connection is cut; 0: no cut.
    cut_after: AtomicUsize,
    /// Whether nobody gets through after the cut.
    stay_cut: AtomicBool,
    closed: AtomicBool,
    swallow: AtomicBool,
    /// How many connections there have been, and from which on they are watched.
    opened: AtomicUsize,
    watched_from: AtomicUsize,
    /// Those that were opened before are open still, and nothing passes any more.
    silent_before: AtomicUsize,
    cut: Notify,
}

impl Proxy {
    pub(crate) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                if state.closed.load(Ordering::SeqCst) {
                    continue;
                }
                let number = state.opened.fetch_add(1, Ordering::SeqCst);
                let watched = number >= state.watched_from.load(Ordering::SeqCst);
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await {
                        tokio::select! {
                            () = pump(client, server, number, watched, &state) => {}
                            () = state.cut.notified() => {}
                        }
                    }
                });
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Round trips since the last call.
    pub(crate) fn trips(&self) -> usize {
        self.state.trips.swap(0, Ordering::SeqCst)
    }

    /// Bytes towards the server since the last call.
    pub(crate) fn sent(&self) -> usize {
        self.state.sent.swap(0, Ordering::SeqCst)
    }

    /// Counts and cuts only connections that are opened from now on.
    pub(crate) fn watch_new(&self) {
        let opened = self.state.opened.load(Ordering::SeqCst);
        self.state.watched_from.store(opened, Ordering::SeqCst);
        self.trips();
        self.sent();
    }

    /// Cuts all connections once this many more bytes have been passed on; with `stay`, nobody
    /// gets through from then on.
    pub(crate) fn cut_after(&self, bytes: usize, stay: bool) {
        self.state.stay_cut.store(stay, Ordering::SeqCst);
        self.state.cut_after.store(bytes, Ordering::SeqCst);
    }

    /// Whether connections have been cut for good since `cut_after`.
    pub(crate) fn is_cut(&self) -> bool {
        self.state.closed.load(Ordering::SeqCst)
    }

    /// From now on nothing passes by the connections that there are, as behind a firewall that has
    /// forgotten them. Says how many there have been.
    pub(crate) fn forget(&self) -> usize {
        let opened = self.opened();
        self.state.silent_before.store(opened, Ordering::SeqCst);
        opened
    }

    /// How many connections there have been.
    pub(crate) fn opened(&self) -> usize {
        self.state.opened.load(Ordering::SeqCst)
    }

    /// Lets everything through again.
    pub(crate) fn mend(&self) {
        self.state.cut_after.store(0, Ordering::SeqCst);
        self.state.closed.store(false, Ordering::SeqCst);
    }

    /// Whether replies are thrown away.
    pub(crate) fn swallow(&self, replies: bool) {
        self.state.swallow.store(replies, Ordering::SeqCst);
    }
}

async fn pump(client: TcpStream, server: TcpStream, number: usize, watched: bool, state: &State) {
    let is_silent = || number < state.silent_before.load(Ordering::SeqCst);
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answered = AtomicBool::new(true);
    let up = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if is_silent() {
                continue;
            }
            if !watched {
                if to_server.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
                continue;
            }
            if state.closed.load(Ordering::SeqCst) {
                return;
            }
            if answered.swap(false, Ordering::SeqCst) {
                state.trips.fetch_add(1, Ordering::SeqCst);
            }
            state.sent.fetch_add(read, Ordering::SeqCst);
            let left = state.cut_after.load(Ordering::SeqCst);
            if left > 0 && read >= left {
                state.cut_after.store(0, Ordering::SeqCst);
                let stays = state.stay_cut.load(Ordering::SeqCst);
                state.closed.store(stays, Ordering::SeqCst);
                let _ = to_server.write_all(&buffer[..left]).await;
                let _ = to_server.flush().await;
                // Let the server execute what it got before the connections go.
                tokio::time::sleep(Duration::from_millis(20)).await;
                if stays {
                    state.cut.notify_waiters();
                }
                return;
            }
            if left > 0 {
                state.cut_after.store(left - read, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            answered.store(true, Ordering::SeqCst);
            if is_silent() || state.swallow.load(Ordering::SeqCst) {
                continue;
            }
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
