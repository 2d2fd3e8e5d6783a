//! Asking: one request to check, or many by a load generator.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::pinned;
use crate::case::{Ask, SPREAD};
use crate::error::Error;

/// Requests that a load generator makes.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) ask: Ask,
    pub(crate) field: Option<(&'static str, String)>,
}

/// What a load generator has seen. Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Load {
    /// Keeps a server busy, from this core.
    pub(crate) fn run(&self, core: usize, connections: usize, seconds: u64) -> Result<Seen, Error> {
        let script = tempfile::NamedTempFile::new().map_err(Error::io("making a script"))?;
        std::fs::write(script.path(), self.script()).map_err(Error::io("writing a script"))?;
        let core = core.to_string();
        let mut command = if self.ask == Ask::Head {
            self.own(&core, connections, seconds)?
        } else {
            self.wrk(&core, connections, seconds, script.path())
        };
        let ran = command.output().map_err(Error::io("starting a load generator"))?;
        let text = String::from_utf8_lossy(&ran.stdout);
        // wrk takes a 304 for no success; what is answered has been checked.
        let failed = text.contains("Socket errors")
            || (text.contains("Non-2xx") && self.ask != Ask::NotModified);
        if !ran.status.success() || failed {
            let errors = String::from_utf8_lossy(&ran.stderr);
            return Err(Error::other(format!("the load generator: {text}{errors}")));
        }
        read(&text).ok_or_else(|| Error::other(format!("the load generator said: {text}")))
    }

    fn wrk(&self, core: &str, connections: usize, seconds: u64, script: &Path) -> Command {
        let mut command = pinned(core, "wrk");
        command
            .args(["-t1", "--latency", "-c", &connections.to_string()])
            .args(["-d", &format!("{seconds}s"), "-s"])
            .arg(script);
        if let Some((name, value)) = &self.field {
            command.args(["-H", &format!("{name}: {value}")]);
        }
        command.arg(format!("http://{}/item", self.address));
        command
    }

    fn own(&self, core: &str, connections: usize, seconds: u64) -> Result<Command, Error> {
        let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let mut command = pinned(core, program);
        command.args(["heads", &self.address.to_string(), "/item"]);
        command.args([connections.to_string(), seconds.to_string()]);
        Ok(command)
    }

    /// Lua. A run of its own names for misses, so that no round meets those of another.
    fn script(&self) -> String {
        let script = match self.ask {
            Ask::Spread => {
                return format!(
                    "local n = 0\nrequest = function()\n  n = (n + 1) % {SPREAD}\n  \
                     return wrk.format(\"GET\", \"/item?number=\" .. n)\nend\n"
                );
            }
            Ask::Miss => {
                "local run = os.time() .. os.clock()\nlocal n = 0\n\
                 request = function()\n  n = n + 1\n  \
                 return wrk.format(\"GET\", \"/item?n=\" .. run .. \"-\" .. n)\nend\n"
            }
            _ => "",
        };
        script.to_owned()
    }
}

fn read(text: &str) -> Option<Seen> {
    let latency = |percent: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(percent))?;
        time(line.split_whitespace().nth(1)?)
    };
    let line = text.lines().find(|line| line.contains(" requests in "))?;
    let mut words = line.split_whitespace();
    let requests = words.next()?.parse().ok()?;
    let seconds = time(words.nth(2)?.trim_end_matches(','))? / 1e6;
    Some(Seen { requests, seconds, p50: latency("50%")?, p99: latency("99%")? })
}

/// `1.25ms` in microseconds.
fn time(text: &str) -> Option<f64> {
    for (unit, factor) in [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Some(number.parse::<f64>().ok()? * factor);
        }
    }
    None
}

/// An answer's head.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut found = lines.filter(|(found, _)| found.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &[(&str, String)],
) -> Result<Answer, Error> {
    let limit = Duration::from_secs(10);
    let mut stream =
        TcpStream::connect_timeout(&address, limit).map_err(Error::io("connecting"))?;
    stream.set_read_timeout(Some(limit)).map_err(Error::io("setting a limit"))?;
    let mut request =
        format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).map_err(Error::io("asking"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(Error::io("reading an answer"))?;
    let answer = String::from_utf8_lossy(&answer);
    let head = answer.split("\r\n\r\n").next().unwrap_or_default().to_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    match status {
        Some(status) => Ok(Answer { status, head }),
        None => Err(Error::other(format!("no answer: {head}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_wrk_is_read() {
        let text = "\
Running 1s test @ http://127.0.0.1:1/
  Latency Distribution
     50%  250.00us
     75%    1.00ms
     90%    1.50ms
     99%    2.25ms
  64000 requests in 1.60s, 70.00MB read
Requests/sec:  40000.00
";
        let seen = Seen { requests: 64_000.0, seconds: 1.6, p50: 250.0, p99: 2250.0 };
        assert_eq!(read(text), Some(seen));
    }
}
