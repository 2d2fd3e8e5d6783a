//! The HTTP scenarios on axum: every one against a server process of its own, on every store that
//! can be had here, and all that can share a server at once against one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conformance_tests::http::{self, Server, ServerBinary};
use conformance_tests::http_scenarios;

fn testbed() -> ServerBinary {
    ServerBinary::new(env!("CARGO_BIN_EXE_testbed-axum"))
}

fn memory() -> ServerBinary {
    testbed().arg("--store=memory")
}

http_scenarios!(name = memory_store, binary = memory);
http_scenarios!(name = redis_store, binary = redis);

#[tokio::test]
async fn all_at_once_on_one_server() {
    let server = Server::start(&memory(), "all").await.unwrap();
    let verdicts = http::run_all(&server).await;
    let failed: Vec<String> = verdicts
        .iter()
        .filter_map(|verdict| {
            let failure = verdict.outcome.as_ref().err()?;
            Some(format!("{}: {failure}", verdict.scenario))
        })
        .collect();
    assert!(failed.is_empty(), "{} failed\n{}", failed.len(), failed.join("\n"));
}

/// A Redis server of its own, on a socket in a directory of its own.
struct Redis {
    child: Child,
    dir: PathBuf,
}

/// `REDIS_SERVER_BIN` takes another program, such as Valkey's. A missing one is a failure: a suite
/// that skips is a suite that does not run.
fn redis() -> (Redis, ServerBinary) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);

    let program = std::env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".to_owned());
    let name =
        format!("testbed-axum-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let dir = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&dir).unwrap();
    let socket = dir.join("s");
    let child = Command::new(&program)
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
        .arg(&dir)
        .arg("--unixsocket")
        .arg(&socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}"));
    let redis = Redis { child, dir };
    for _ in 0..2000 {
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            let store = format!("--store=unix://{}", socket.display());
            return (redis, testbed().arg(store).shared_store());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{program} does not listen");
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
