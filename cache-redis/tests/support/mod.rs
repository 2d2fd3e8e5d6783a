//! A real `redis-server`, started by the test that needs it and stopped by its pid.

#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis::{Client, Connection};

/// A running server. Dropping it stops the process and removes its directory.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) dir: PathBuf,
    pub(crate) password: Option<String>,
    args: Vec<String>,
    /// The lines of a Sentinel's configuration; it wants a file of its own.
    sentinel: Option<Vec<String>>,
    child: Option<Child>,
}

impl Server {
    /// A fresh server on a free port of the loopback interface, without persistence.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut server = Self::prepare(args);
        server.spawn();
        server
    }

    /// The same, not yet started.
    pub(crate) fn prepare(args: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let port = free_port();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("cache-redis-{}-{number}-{port}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).expect("a temporary directory");
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self { port, dir, password: None, args, sentinel: None, child: None }
    }

    /// Starts it, or starts it again on the same port and in the same directory.
    pub(crate) fn spawn(&mut self) {
        let binary = std::env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into());
        let port = self.port.to_string();
        let log = self.dir.join("log");
        let dir = self.dir.to_str().expect("a path of text");
        let mut command = Command::new(&binary);
        match &self.sentinel {
            Some(lines) => {
                let file = self.dir.join("sentinel.conf");
                let log = log.display();
                let head = format!(
                    "port {port}\nbind 127.0.0.1\ndir {dir}\nlogfile {log}\nsentinel resolve-hostnames no\n"
                );
                std::fs::write(&file, format!("{head}{}\n", lines.join("\n"))).expect("a file");
                command.arg(file).arg("--sentinel");
            }
            None => {
                command
                    .args(["--save", "", "--appendonly", "no", "--bind", "127.0.0.1"])
                    .args(["--port", &port, "--dir", dir, "--logfile"])
                    .arg(&log)
                    .args(&self.args);
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{binary} cannot be started: {error}"));
        self.child = Some(child);
        for _ in 0..500 {
            if let Some(mut raw) = self.try_raw()
                && redis::cmd("PING").exec(&mut raw).is_ok()
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{binary} did not answer: {}", std::fs::read_to_string(log).unwrap_or_default());
    }

    /// Makes it a Sentinel with these lines of configuration.
    pub(crate) fn become_sentinel(&mut self, lines: &[String]) {
        self.sentinel = Some(lines.to_vec());
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops or continues the process: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("a running server").id().to_string();
        let status = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} {pid}");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection of the test's own.
    pub(crate) fn raw(&self) -> Connection {
        self.try_raw().expect("a connection")
    }

    fn try_raw(&self) -> Option<Connection> {
        let login =
            self.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        let client = Client::open(format!("redis://{login}127.0.0.1:{}", self.port)).ok()?;
        client.get_connection_with_timeout(Duration::from_secs(1)).ok()
    }

    /// Runs one command.
    pub(crate) fn run<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let mut cmd = redis::cmd(command[0]);
        for arg in &command[1..] {
            cmd.arg(*arg);
        }
        cmd.query(&mut self.raw()).unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Runs one command and lets it fail.
    pub(crate) fn try_run(&self, command: &[&str]) -> Result<redis::Value, redis::RedisError> {
        let mut cmd = redis::cmd(command[0]);
        for arg in &command[1..] {
            cmd.arg(*arg);
        }
        cmd.query(&mut self.raw())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A port that nobody listens on now, below those that clients are given.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(37) % 10_000;
    for _ in 0..10_000 {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = 12_000 + u16::try_from(offset).expect("small");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}
