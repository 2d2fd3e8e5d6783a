//! One server.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use redis::{Client, Connection, FromRedisValue};
use rustix::process::{Pid, kill_process};

use super::tls::{self, Tls};
use super::{ServerError, free_port, wait_for};

/// How long a server may take to answer its first `PING`.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long opening a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long a command may take, so that a paused server holds nobody up for ever.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// A `redis-server`, running or not.
pub struct Server {
    port: u16,
    tls_port: Option<u16>,
    dir: PathBuf,
    password: Option<String>,
    role: Role,
    child: Option<Child>,
    paused: AtomicBool,
}

enum Role {
    /// With these arguments.
    Data(Vec<String>),
    /// With these lines in its configuration, which has to be a file of its own.
    Sentinel(Vec<String>),
}

/// What a process can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete for its purpose")]
pub enum Signal {
    /// `SIGSTOP`: it stands still, its connections stay open.
    Stop,
    /// `SIGCONT`: it goes on.
    Continue,
}

impl Server {
    /// A fresh server on a free port, without persistence. `args` are settings in the form of the
    /// command line (`--maxmemory 1mb`).
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not answer.
    pub fn start(args: &[&str]) -> Result<Self, ServerError> {
        let mut server = Self::prepare(args)?;
        server.spawn()?;
        Ok(server)
    }

    /// The same, not yet started.
    ///
    /// # Errors
    ///
    /// There is no free port, or no directory can be made.
    pub fn prepare(args: &[&str]) -> Result<Self, ServerError> {
        Self::with_role(Role::Data(args.iter().map(|&arg| arg.to_owned()).collect()))
    }

    /// A Sentinel with these lines of configuration, not yet started.
    pub(super) fn sentinel(lines: Vec<String>) -> Result<Self, ServerError> {
        Self::with_role(Role::Sentinel(lines))
    }

    fn with_role(role: Role) -> Result<Self, ServerError> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let port = free_port()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("redis-{}-{number}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir)
            .map_err(|error| ServerError::because(format!("making {}", dir.display()), error))?;
        let paused = AtomicBool::new(false);
        Ok(Self { port, tls_port: None, dir, password: None, role, child: None, paused })
    }

    /// The password that [`connect`](Self::connect) logs in with.
    #[must_use]
    pub fn with_password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Lets it speak TLS, too, on a port of its own; with other servers it then speaks nothing else.
    /// For a server that has not been started yet.
    ///
    /// # Errors
    ///
    /// There is no free port, or its directory cannot be written to.
    pub fn with_tls(mut self, tls: &Tls) -> Result<Self, ServerError> {
        tls.write(&self.dir)?;
        self.tls_port = Some(free_port()?);
        Ok(self)
    }

    /// Starts it, or starts it again on the same port and in the same directory: what is in
    /// `dump.rdb` there is loaded.
    ///
    /// # Errors
    ///
    /// It cannot be started, or does not answer within a minute.
    pub fn spawn(&mut self) -> Result<(), ServerError> {
        let binary = std::env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".into());
        let mut command = Command::new(&binary);
        self.configure(&mut command)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| ServerError::because(format!("starting {binary}"), error))?;
        self.child = Some(child);
        self.paused.store(false, Ordering::Relaxed);
        wait_for("the server to answer", START_LIMIT, || self.answers()).map_err(|error| {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            ServerError::because(format!("{binary} did not start; its log: {log}"), error)
        })
    }

    /// Whether this very process answers, and not somebody else's on its port.
    fn answers(&self) -> bool {
        let pong = redis::Value::SimpleString("PONG".into());
        let own = self.child.as_ref().map(|child| child.id().to_string());
        self.try_run(&["PING"]).is_ok_and(|answer| answer == pong)
            && self.info("server", "process_id") == own
    }

    /// Points the command to a file of configuration. An existing one is kept: a Sentinel has itself
    /// and the roles of others written there, and a server that starts again must find them.
    fn configure(&self, command: &mut Command) -> Result<(), ServerError> {
        let (name, lines) = match &self.role {
            Role::Sentinel(lines) => ("sentinel.conf", lines.join("\n")),
            Role::Data(args) => ("redis.conf", lines_of(args)),
        };
        let file = self.dir.join(name);
        if !file.exists() {
            let (port, dir, log) = (self.port, self.dir.display(), self.log());
            let log = log.display();
            let tls = self.tls_port.map(tls::lines).unwrap_or_default();
            let head = format!("port {port}\nbind 127.0.0.1\ndir {dir}\nlogfile {log}");
            let text = format!("{head}\n{tls}{lines}\n");
            std::fs::write(&file, text)
                .map_err(|error| ServerError::because(format!("writing {name}"), error))?;
        }
        command.arg(file);
        if matches!(self.role, Role::Sentinel(_)) {
            command.arg("--sentinel");
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Ends the process at once (`SIGKILL`), as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Whether the process was started, and neither killed nor paused.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.child.is_some() && !self.paused.load(Ordering::Relaxed)
    }

    /// Pauses or resumes the process.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub fn signal(&self, signal: Signal) -> Result<(), ServerError> {
        let pid = self.child.as_ref().map(Pid::from_child);
        let pid = pid.ok_or_else(|| ServerError::new("the server does not run"))?;
        let number = match signal {
            Signal::Stop => rustix::process::Signal::STOP,
            Signal::Continue => rustix::process::Signal::CONT,
        };
        kill_process(pid, number)
            .map_err(|error| ServerError::because(format!("sending {signal:?}"), error))?;
        self.paused.store(signal == Signal::Stop, Ordering::Relaxed);
        Ok(())
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port that it speaks TLS on, if it does.
    #[must_use]
    pub const fn tls_port(&self) -> Option<u16> {
        self.tls_port
    }

    /// The port for other servers and for stores: the one for TLS, if it has one.
    pub(super) fn service_port(&self) -> u16 {
        self.tls_port.unwrap_or(self.port)
    }

    /// Its working directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `redis://127.0.0.1:port`, without a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection of the caller's own.
    ///
    /// # Errors
    ///
    /// It does not answer within 5 s.
    pub fn connect(&self) -> Result<Connection, ServerError> {
        let login =
            self.password.as_ref().map_or_else(String::new, |password| format!(":{password}@"));
        let open = || {
            Client::open(format!("redis://{login}127.0.0.1:{}", self.port))
                .and_then(|client| client.get_connection_with_timeout(CONNECT_LIMIT))
        };
        // A Sentinel that promotes or demotes a server closes all its connections at that moment.
        open()
            .or_else(|error| if error.is_connection_dropped() { open() } else { Err(error) })
            .map_err(|error| ServerError::because(format!("connecting to {}", self.url()), error))
    }

    /// Runs one command on a connection of its own.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, refuses it, takes 30 s, or answers something of another type.
    pub fn run<T: FromRedisValue>(&self, command: &[&str]) -> Result<T, ServerError> {
        let mut connection = self.connect()?;
        let result = connection
            .set_read_timeout(Some(COMMAND_LIMIT))
            .and_then(|()| built(command).query(&mut connection));
        result.map_err(|error| ServerError::because(command.join(" "), error))
    }

    /// The same, with the reply or the error as it came.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn try_run(&self, command: &[&str]) -> Result<redis::Value, ServerError> {
        self.run(command)
    }

    /// One line of `INFO`, if the server answers and has it.
    #[must_use]
    pub fn info(&self, section: &str, name: &str) -> Option<String> {
        let info: String = self.run(&["INFO", section]).ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        Some(line.trim_end().to_owned())
    }
}

fn built(command: &[&str]) -> redis::Cmd {
    let mut cmd = redis::Cmd::new();
    cmd.arg(command);
    cmd
}

/// Command-line arguments as lines of configuration.
fn lines_of(args: &[String]) -> String {
    let mut lines = "save \"\"\nappendonly no".to_owned();
    for arg in args {
        match arg.strip_prefix("--") {
            Some(name) => {
                lines.push('\n');
                lines.push_str(name);
            }
            None if arg.is_empty() => lines.push_str(" \"\""),
            None => {
                lines.push(' ');
                lines.push_str(arg);
            }
        }
    }
    lines
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("port", &self.port)
            .field("dir", &self.dir)
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}
