//! The servers that are measured, and what stands behind them, as processes.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use super::load;
use super::process::{Process, pinned};
use super::subject::{By, Peer, Subject};
use crate::args::Servers;
use crate::error::Error;

/// How long a server may take to answer for the first time.
const START: Duration = Duration::from_secs(20);

/// A running server; dropping it ends its processes.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
    /// What must outlive the process.
    _behind: Behind,
}

#[derive(Debug)]
enum Behind {
    Nothing,
    /// Of a peer: where it gets the response from, once, and where its files are.
    Peer {
        _origin: Box<Server>,
        _directory: TempDir,
    },
}

impl Server {
    /// Starts the server of a subject.
    pub(crate) fn start(
        subject: Subject,
        redis: Option<&Redis>,
        options: &Servers,
    ) -> Result<Self, Error> {
        let cores = if subject.both_cores {
            format!("{},{}", options.server_core, options.load_core)
        } else {
            options.server_core.to_string()
        };
        match subject.by {
            By::Peer(Peer::Nginx) => peer(subject, &cores, options, nginx),
            By::Peer(Peer::Varnish) => peer(subject, &cores, options, varnish),
            By::Memory | By::Redis | By::Floor | By::Peer(Peer::AxumResponseCache) => {
                own(subject, redis, &cores)
            }
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        self.process.cpu()
    }
}

/// This program, serving. It says its address in its first line.
fn own(subject: Subject, redis: Option<&Redis>, cores: &str) -> Result<Server, Error> {
    let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
    let mut command = pinned(cores, program);
    command.args(["serve", &subject.to_string()]).stdout(Stdio::piped());
    if let Some(redis) = redis {
        command.args(["--redis", &redis.url()]);
    }
    let mut process = Process::start(command, "a server")?;
    let mut line = String::new();
    if let Some(stdout) = process.stdout() {
        BufReader::new(stdout).read_line(&mut line).map_err(Error::io("waiting for a server"))?;
    }
    let address = line.trim().parse();
    let address = address.map_err(|_| Error::other(format!("{subject}: said '{line}'")))?;
    Ok(Server { process, address, _behind: Behind::Nothing })
}

/// How a foreign cache is started.
struct Setup {
    program: &'static str,
    arguments: Vec<String>,
    /// What is in the file `settings`.
    settings: String,
}

/// A foreign cache before a bare server, which runs on the load generator's core: it is asked once.
fn peer(
    subject: Subject,
    cores: &str,
    options: &Servers,
    command: fn(&Path, SocketAddr, SocketAddr) -> Setup,
) -> Result<Server, Error> {
    let origin = own(subject.origin(), None, &options.load_core.to_string())?;
    let directory = tempfile::tempdir().map_err(Error::io("making a directory"))?;
    let address = free_address()?;
    let Setup { program, arguments, settings } = command(directory.path(), address, origin.address);
    let written = std::fs::write(directory.path().join("settings"), settings);
    written.map_err(Error::io("writing the settings of a peer"))?;
    let mut started = pinned(cores, program);
    started.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let process = Process::start(started, program)?;
    let behind = Behind::Peer { _origin: Box::new(origin), _directory: directory };
    let mut server = Server { process, address, _behind: behind };
    wait_for(&mut server.process, program, || load::ask(address, "GET", "/item", &[]).is_ok())?;
    Ok(server)
}

fn nginx(directory: &Path, at: SocketAddr, origin: SocketAddr) -> Setup {
    let path = directory.display();
    let settings = format!(
        "daemon off; master_process off; worker_processes 1; pid {path}/pid;
         error_log {path}/errors crit;
         events {{ worker_connections 1024; }}
         http {{
           access_log off; tcp_nodelay on; sendfile on;
           keepalive_timeout 3600; keepalive_requests 1000000000;
           open_file_cache max=1000; open_file_cache_valid 3600;
           client_body_temp_path {path}/b; proxy_temp_path {path}/p; fastcgi_temp_path {path}/f;
           uwsgi_temp_path {path}/u; scgi_temp_path {path}/s;
           proxy_cache_path {path}/cache keys_zone=zone:10m inactive=1d use_temp_path=off;
           server {{
             listen {at};
             location / {{
               proxy_pass http://{origin}; proxy_cache zone; proxy_cache_valid 200 1d;
               add_header X-Cache $upstream_cache_status;
             }}
           }}
         }}"
    );
    let arguments = ["-e", "stderr", "-p", &path.to_string(), "-c", &format!("{path}/settings")];
    Setup { program: "nginx", arguments: arguments.map(str::to_owned).to_vec(), settings }
}

fn varnish(directory: &Path, at: SocketAddr, origin: SocketAddr) -> Setup {
    let path = directory.display();
    let settings = format!(
        "vcl 4.1;
         backend default {{ .host = \"{}\"; .port = \"{}\"; }}
         sub vcl_backend_response {{ set beresp.ttl = 1d; }}
         sub vcl_deliver {{ if (obj.hits > 0) {{ set resp.http.X-Cache = \"HIT\"; }} }}",
        origin.ip(),
        origin.port()
    );
    let arguments = [
        "-F",
        "-j",
        "none",
        "-n",
        &format!("{path}/work"),
        "-f",
        &format!("{path}/settings"),
        "-a",
        &at.to_string(),
        "-s",
        "malloc,64m",
        "-p",
        "timeout_idle=3600",
    ];
    Setup { program: "varnishd", arguments: arguments.map(str::to_owned).to_vec(), settings }
}

/// A Redis of its own, on the load generator's core.
#[derive(Debug)]
pub(crate) struct Redis {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Redis {
    pub(crate) fn start(core: usize) -> Result<Self, Error> {
        let directory = tempfile::tempdir().map_err(Error::io("making a directory"))?;
        let address = free_address()?;
        let mut command = pinned(&core.to_string(), "redis-server");
        command
            .args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(directory.path())
            .stdout(Stdio::null());
        let process = Process::start(command, "redis-server")?;
        let mut redis = Self { process, address, _directory: directory };
        wait_for(&mut redis.process, "redis-server", || TcpStream::connect(address).is_ok())?;
        Ok(redis)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.address)
    }

    pub(crate) fn cpu(&self) -> Result<Duration, Error> {
        self.process.cpu()
    }
}

/// Asks until the answer is yes, the process has ended or its time is over.
fn wait_for(
    process: &mut Process,
    what: &str,
    mut is_up: impl FnMut() -> bool,
) -> Result<(), Error> {
    let pause = Duration::from_millis(20);
    let mut waited = Duration::ZERO;
    while !is_up() {
        process.alive(what)?;
        if waited > START {
            return Err(Error::other(format!("{what} does not answer after {START:?}")));
        }
        std::thread::sleep(pause);
        waited += pause;
    }
    Ok(())
}

/// For servers that cannot say which port they got. Another process may take it meanwhile; the
/// server then ends, and says so.
fn free_address() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener.and_then(|listener| listener.local_addr()).map_err(Error::io("finding a port"))
}
