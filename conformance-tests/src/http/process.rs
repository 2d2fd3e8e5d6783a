//! Servers as processes.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A testbed's program with the arguments that all of its servers get.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerBinary {
    path: PathBuf,
    args: Vec<OsString>,
    shares: bool,
    other: Option<Box<Self>>,
}

impl ServerBinary {
    /// The program at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), args: Vec::new(), shares: false, other: None }
    }

    /// One more argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Says that servers with the same prefix share what they store.
    pub const fn shared_store(mut self) -> Self {
        self.shares = true;
        self
    }

    /// Where scenarios start two servers over one store, the second is of this kind: another
    /// framework's, say, with the same store.
    pub fn beside(mut self, other: Self) -> Self {
        self.other = Some(Box::new(other));
        self
    }

    pub(crate) fn other(&self) -> Option<&Self> {
        self.other.as_deref()
    }

    pub(crate) const fn shares(&self) -> bool {
        self.shares
    }

    /// Starts a server on a free port, with keys under a prefix of its own unless `args` has one.
    pub(crate) async fn start(&self, args: &[&str]) -> Result<Process, StartError> {
        let mut command = Command::new(&self.path);
        command.args(&self.args).arg(format!("--prefix={}", unique_prefix())).args(args);
        command.args(["--listen", "127.0.0.1:0"]).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(StartError::Spawn)?;
        let mut out = BufReader::new(child.stdout.take().ok_or(StartError::Silent)?);
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, out.read_line(&mut line)).await;
        read.map_err(|_| StartError::Silent)?.map_err(StartError::Spawn)?;
        let address = line.trim_end().strip_prefix("listening on http://");
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let mut message = String::new();
            if let Some(mut errors) = child.stderr.take() {
                let _ = tokio::time::timeout(PATIENCE, errors.read_to_string(&mut message)).await;
            }
            let waited = tokio::time::timeout(PATIENCE, child.wait()).await;
            let code = waited.ok().and_then(Result::ok).and_then(|status| status.code());
            return Err(StartError::Refused { line, code, message });
        };
        // What the server says later (a panic's message) must not fill the pipes.
        let errors = child.stderr.take();
        tokio::spawn(async move {
            let _ = tokio::io::copy(&mut out, &mut tokio::io::sink()).await;
        });
        if let Some(mut errors) = errors {
            tokio::spawn(async move {
                let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
            });
        }
        Ok(Process { child, address })
    }
}

pub(crate) fn unique_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("p{}-{}:", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Why a server did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The program could not be run.
    Spawn(io::Error),
    /// Its first line did not come.
    Silent,
    /// Its first line says no address.
    Refused {
        /// The line.
        line: String,
        /// The exit code, if it has ended.
        code: Option<i32>,
        /// What it wrote to standard error.
        message: String,
    },
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Spawn(error) => write!(f, "the server cannot be started: {error}"),
            Self::Silent => f.write_str("the server did not say where it listens"),
            Self::Refused { line, code, message } => {
                write!(f, "the server said {line:?}, ended with {code:?}: {message}")
            }
        }
    }
}

impl std::error::Error for StartError {}

/// A running server. Dropping it kills the process, by its id.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to stop (SIGTERM) and waits for its end.
    pub(crate) async fn stop(mut self) -> io::Result<ExitStatus> {
        let Some(id) = self.child.id() else {
            return Err(io::Error::other("the server has ended already"));
        };
        Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(ended) => ended,
            Err(_) => Err(io::Error::other("the server does not stop")),
        }
    }
}
