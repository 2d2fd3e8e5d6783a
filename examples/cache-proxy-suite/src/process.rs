//! Programs that run beside this one, and end with it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a server may take to say that it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running program. Dropping it ends the process, by its id.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts a server and waits for the line that `listens` recognizes; gives what it made of it.
    pub(crate) fn start<T: Send + 'static>(
        command: &mut Command,
        listens: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), String> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        let out = child.stdout.take();
        let running = Self { child };
        let (found, finding) = mpsc::channel();
        std::thread::spawn(move || {
            let Some(out) = out else { return };
            let mut lines = BufReader::new(out).lines().map_while(Result::ok);
            if let Some(listens) = lines.find_map(|line| listens(&line)) {
                let _ = found.send(listens);
            }
            // What it says later must not fill the pipe.
            lines.for_each(drop);
        });
        let found = finding.recv_timeout(PATIENCE);
        Ok((running, found.map_err(|_| format!("{name} does not say that it listens"))?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end, and gives what it wrote.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let name = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.output().map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}\n{said}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("{name}: {error}"))
}

/// A port that was free a moment ago, for a program that cannot choose one itself.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("::", 0)).or_else(|_| TcpListener::bind(("0.0.0.0", 0)));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| error.to_string())
}

/// A Redis server of its own on a socket in `dir`. `REDIS_SERVER_BIN` takes another program.
pub(crate) fn redis(dir: &Path) -> Result<(Running, String), String> {
    let program = std::env::var("REDIS_SERVER_BIN").unwrap_or_else(|_| "redis-server".to_owned());
    let socket = dir.join("redis.sock");
    let mut command = Command::new(program);
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"]).arg(dir);
    command.arg("--unixsocket").arg(&socket);
    let ready = |line: &str| line.to_lowercase().contains("ready to accept").then_some(());
    let (running, ()) = Running::start(&mut command, ready)?;
    Ok((running, format!("unix://{}", socket.display())))
}
