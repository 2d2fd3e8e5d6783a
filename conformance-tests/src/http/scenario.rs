//! The list of scenarios, and what they run on.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use super::client::{Connection, Request, Response};
use super::process::{Process, ServerBinary, StartError};

/// How long a scenario waits for something that must become true.
const PATIENCE: Duration = Duration::from_secs(10);

/// One scenario.
#[derive(Debug)]
#[non_exhaustive]
pub struct Scenario {
    /// Its name; unique, and stable from release to release. It begins with its first row.
    pub id: &'static str,
    /// The file, and module of tests, that it belongs to.
    pub group: &'static str,
    /// The numbered features that it shows, and other promises.
    pub rows: &'static str,
    /// What it needs of the server.
    pub needs: Needs,
    pub(crate) run: Run,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

pub(crate) struct Run(pub(crate) for<'a> fn(&'a Server) -> Running<'a>);

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// What a scenario needs of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// Nothing: it shares the server with others.
    Shared,
    /// It has the server to itself: it changes or reads what all share.
    Alone,
    /// It starts servers of its own, with other arguments.
    Fresh,
    /// It starts several servers over one store; skipped where each has its own.
    OneStore,
}

/// What went wrong: what was expected, and what was seen instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    expected: String,
    observed: String,
    /// The connection was closed without an answer.
    closed: bool,
}

impl Failure {
    /// A failure.
    #[must_use]
    pub fn new(expected: impl Into<String>, observed: impl fmt::Display) -> Self {
        Self { expected: expected.into(), observed: observed.to_string(), closed: false }
    }

    pub(crate) fn io(asked: &str, error: &io::Error) -> Self {
        Self::new(format!("an answer to {asked}"), error)
    }

    pub(crate) fn closed(asked: &str) -> Self {
        let expected = format!("an answer to {asked}");
        Self { closed: true, ..Self::new(expected, "the connection was closed") }
    }

    /// Whether the connection was closed in place of an answer.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}\nobserved {}", self.expected, self.observed)
    }
}

impl std::error::Error for Failure {}

/// Fails unless `holds`; `observed` is what was seen.
///
/// # Errors
///
/// Then.
pub fn expect(
    holds: bool,
    expected: impl Into<String>,
    observed: impl fmt::Display,
) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::new(expected, observed)) }
}

/// Fails unless the two are equal.
///
/// # Errors
///
/// Then.
pub fn equal<T: PartialEq + fmt::Debug>(
    what: &str,
    observed: &T,
    expected: &T,
) -> Result<(), Failure> {
    let holds = observed == expected;
    expect(holds, format!("{what} {expected:?}"), format!("{observed:?}"))
}

/// What scenarios often expect of an answer. Each gives it back for more.
#[expect(clippy::missing_errors_doc, reason = "whatever is expected and not seen")]
pub trait Expect: Sized {
    /// Made by the handler now, and stored.
    fn miss(self) -> Result<Response, Failure>;
    /// From the store, or from another's run.
    fn hit(self) -> Result<Response, Failure>;
    /// Made by the handler now and not stored, or past the cache, for this reason.
    fn unstored(self, reason: &str) -> Result<Response, Failure>;
    /// This status.
    fn status(self, status: u16) -> Result<Response, Failure>;
    /// This run of the handler.
    fn run(self, n: u64) -> Result<Response, Failure>;
    /// This field in the JSON body.
    fn says(self, field: &str, value: impl Into<Value>) -> Result<Response, Failure>;
}

impl Expect for Response {
    fn miss(self) -> Result<Response, Failure> {
        let stored = self.parameter("stored").is_some();
        let holds = self.x_cache().as_deref() == Some("MISS") && stored && !self.has("age");
        expect(holds, "`X-Cache: MISS` and `stored`, without `Age`", &self)?;
        Ok(self)
    }

    fn hit(self) -> Result<Response, Failure> {
        let told = self.parameter("hit").is_some() || self.parameter("collapsed").is_some();
        let holds = self.x_cache().as_deref() == Some("HIT") && told && self.has("age");
        expect(holds, "`X-Cache: HIT` and `hit` or `collapsed`, with `Age`", &self)?;
        Ok(self)
    }

    fn unstored(self, reason: &str) -> Result<Response, Failure> {
        let told = self.parameter("detail");
        let holds = self.x_cache().is_none()
            && told.as_deref() == Some(reason)
            && self.parameter("fwd").is_some()
            && self.parameter("stored").is_none()
            && !self.has("age");
        expect(holds, format!("no `X-Cache`, no `Age`, `fwd` and `detail={reason}`"), &self)?;
        Ok(self)
    }

    fn status(self, status: u16) -> Result<Response, Failure> {
        expect(self.status == status, format!("status {status}"), &self)?;
        Ok(self)
    }

    fn run(self, n: u64) -> Result<Response, Failure> {
        expect(self.n() == n, format!("the handler's run {n}"), &self)?;
        Ok(self)
    }

    fn says(self, field: &str, value: impl Into<Value>) -> Result<Response, Failure> {
        let value = value.into();
        expect(self.json(field) == value, format!("`{field}` to be {value}"), &self)?;
        Ok(self)
    }
}

/// A server under test.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    namespace: String,
    next: AtomicU64,
    binary: Option<ServerBinary>,
    process: Option<Process>,
}

impl Server {
    /// A server that runs already. `namespace` keeps the inputs of this handle apart from those of
    /// others: letters, digits and `-`.
    #[must_use]
    pub fn at(address: SocketAddr, namespace: impl Into<String>) -> Self {
        let namespace = namespace.into();
        Self { address, namespace, next: AtomicU64::new(0), binary: None, process: None }
    }

    /// Starts a server that ends with this handle.
    ///
    /// # Errors
    ///
    /// It did not start.
    pub async fn start(binary: &ServerBinary, namespace: &str) -> Result<Self, StartError> {
        Self::start_with(binary, namespace, &[]).await
    }

    /// The same with more arguments.
    ///
    /// # Errors
    ///
    /// It did not start.
    pub async fn start_with(
        binary: &ServerBinary,
        namespace: &str,
        args: &[&str],
    ) -> Result<Self, StartError> {
        let process = binary.start(args).await?;
        let mut server = Self::at(process.address, namespace);
        server.binary = Some(binary.clone());
        server.process = Some(process);
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The id of its process, if this handle has started it.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    /// A text that no other call gives.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}-{}", self.namespace, self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Another server of the same kind with more arguments.
    pub(crate) async fn fresh(&self, args: &[&str]) -> Result<Self, Failure> {
        let started = self.try_fresh(args).await?;
        started.map_err(|error| Failure::new(format!("a server with {args:?}"), error))
    }

    /// The same, where the start may be refused.
    pub(crate) async fn try_fresh(
        &self,
        args: &[&str],
    ) -> Result<Result<Self, StartError>, Failure> {
        let Some(binary) = &self.binary else {
            return Err(Failure::new("a program to start servers from", "only an address"));
        };
        Ok(Self::start_with(binary, &self.id(), args).await)
    }

    /// Two servers over one store, with more arguments; the second is of the other kind, if there
    /// is one.
    pub(crate) async fn two(&self, args: &[&str]) -> Result<(Self, Self), Failure> {
        let prefix = format!("--prefix={}", super::process::unique_prefix());
        let args: Vec<&str> = args.iter().copied().chain([prefix.as_str()]).collect();
        let one = self.fresh(&args).await?;
        let Some(binary) = self.binary.as_ref().and_then(ServerBinary::other) else {
            return Ok((one, self.fresh(&args).await?));
        };
        let two = Self::start_with(binary, &self.id(), &args).await;
        Ok((one, two.map_err(|error| Failure::new("another server", error))?))
    }

    /// Another server under this application-wide policy.
    pub(crate) async fn with_policy(&self, policy: &str) -> Result<Self, Failure> {
        self.fresh(&["--policy", policy]).await
    }

    /// Stops the server (SIGTERM); gives its exit code and how long it took.
    pub(crate) async fn stop(self) -> Result<(Option<i32>, Duration), Failure> {
        let Some(process) = self.process else {
            return Err(Failure::new("a process to stop", "only an address"));
        };
        let started = SystemClock.monotonic();
        let ended = process.stop().await.map_err(|error| Failure::io("SIGTERM", &error))?;
        Ok((ended.code(), SystemClock.monotonic().saturating_sub(started)))
    }

    /// A connection.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.address).await
    }

    /// A request on a connection of its own, and its answer.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        let mut connection = self.connect().await?;
        connection.send(request).await?;
        connection.response().await
    }

    /// A GET.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn get(&self, target: &str) -> Result<Response, Failure> {
        self.send(&Request::get(target)).await
    }

    /// A GET with one more field.
    pub(crate) async fn get_with(
        &self,
        target: &str,
        name: &str,
        value: &str,
    ) -> Result<Response, Failure> {
        self.send(&Request::get(target).field(name, value)).await
    }

    /// A request of this method without a body.
    ///
    /// # Errors
    ///
    /// No answer.
    pub async fn ask(&self, method: &str, target: &str) -> Result<Response, Failure> {
        self.send(&Request::new(method, target)).await
    }

    /// The count that a POST to this target answers.
    pub(crate) async fn removed(&self, target: &str, body: &str) -> Result<u64, Failure> {
        let answer = self.send(&Request::post(target, body)).await?.status(200)?;
        let count = answer.json("removed").as_u64();
        count.ok_or_else(|| Failure::new("`{\"removed\":N}`", &answer))
    }

    /// `POST /admin/invalidate`.
    ///
    /// # Errors
    ///
    /// Another answer, or none.
    pub async fn invalidate(&self, body: &str) -> Result<u64, Failure> {
        self.removed("/admin/invalidate", body).await
    }

    /// How often a route's handler has run for this input.
    ///
    /// # Errors
    ///
    /// Another answer, or none.
    pub async fn runs(&self, route: &str, input: &str) -> Result<u64, Failure> {
        let counts = self.get("/admin/counts").await?.status(200)?.json(route);
        Ok(counts.get(input).and_then(Value::as_u64).unwrap_or(0))
    }

    /// How often a route's handler has run for the inputs in which this text occurs.
    pub(crate) async fn runs_of(&self, route: &str, part: &str) -> Result<u64, Failure> {
        let counts = self.get("/admin/counts").await?.status(200)?.json(route);
        let inputs = counts.as_object().into_iter().flatten();
        Ok(inputs.filter(|(input, _)| input.contains(part)).filter_map(|(_, n)| n.as_u64()).sum())
    }

    /// Waits until a handler has begun to run for the inputs in which this text occurs, so often.
    pub(crate) async fn until_runs(
        &self,
        route: &str,
        part: &str,
        count: u64,
    ) -> Result<(), Failure> {
        let what = format!("run {count} of {route} for {part}");
        self.until(&what, async || Ok(self.runs_of(route, part).await? >= count)).await
    }

    /// Waits until something that must become true is true.
    ///
    /// # Errors
    ///
    /// What the test fails with, or too long a wait.
    pub async fn until(
        &self,
        what: &str,
        mut test: impl AsyncFnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let started = SystemClock.monotonic();
        while SystemClock.monotonic().saturating_sub(started) < PATIENCE {
            if test().await? {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(Failure::new(what, format!("nothing of the kind within {PATIENCE:?}")))
    }
}

/// How a scenario ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdict {
    /// Which.
    pub scenario: &'static str,
    /// How.
    pub outcome: Result<(), Failure>,
}

/// How many scenarios [`run_all`] runs at a time: with more, those about time would measure the
/// machine.
const AT_ONCE: usize = 16;

/// Runs the scenarios that need nothing to themselves against one server, many at once.
pub async fn run_all(server: &Server) -> Vec<Verdict> {
    let shared = SCENARIOS.iter().filter(|scenario| scenario.needs == Needs::Shared);
    let running = shared.map(|scenario| async {
        let server = Server::at(server.address, format!("{}-{}", server.namespace, scenario.id));
        Verdict { scenario: scenario.id, outcome: (scenario.run.0)(&server).await }
    });
    stream::iter(running).buffer_unordered(AT_ONCE).collect().await
}

/// Runs one scenario on a server of its own.
///
/// # Errors
///
/// What went wrong.
pub async fn run_one(id: &str, binary: &ServerBinary) -> Result<(), Failure> {
    let known = SCENARIOS.iter().find(|scenario| scenario.id == id);
    let scenario = known.ok_or_else(|| Failure::new("a scenario of the list", id))?;
    if scenario.needs == Needs::OneStore && !binary.shares() {
        return Ok(());
    }
    let started = Server::start(binary, "s").await;
    let server = started.map_err(|error| Failure::new("a server", error))?;
    (scenario.run.0)(&server).await
}

/// A program, or a guard and one: what must live as long as the test.
pub trait IntoBinary {
    /// What must live.
    type Guard;

    /// Takes it apart.
    fn into_binary(self) -> (Self::Guard, ServerBinary);
}

impl IntoBinary for ServerBinary {
    type Guard = ();

    fn into_binary(self) -> ((), ServerBinary) {
        ((), self)
    }
}

impl<G> IntoBinary for (G, ServerBinary) {
    type Guard = G;

    fn into_binary(self) -> (G, ServerBinary) {
        self
    }
}

/// Runs one scenario on a server and a runtime of its own; for tests.
///
/// # Panics
///
/// Where the scenario fails, with what was expected and what was observed.
#[expect(clippy::panic, reason = "so a test fails")]
pub fn run_to_the_end(id: &str, binary: impl IntoBinary) {
    let (guard, binary) = binary.into_binary();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run_one(id, &binary)),
        Err(error) => Err(Failure::new("a runtime", error)),
    };
    drop(guard);
    if let Err(failure) = outcome {
        let rows = SCENARIOS.iter().find(|scenario| scenario.id == id).map(|s| s.rows);
        panic!("{id} ({})\n{failure}", rows.unwrap_or_default());
    }
}

/// Makes a `#[test]` of every scenario, each with a server of its own.
///
/// `binary` is a function that gives a `ServerBinary`, or a pair of a
/// guard and one; the guard lives as long as the test.
#[macro_export]
macro_rules! http_scenarios {
    (name = $name:ident, binary = $binary:expr $(,)?) => {
        #[cfg(test)]
        mod $name {
            #[allow(unused_imports, reason = "`binary` may need none of the surroundings")]
            #[allow(
                clippy::wildcard_imports,
                reason = "`binary` may need any of the surroundings"
            )]
            use super::*;

            fn run(id: &str) {
                $crate::http::run_to_the_end(id, $binary());
            }

            $crate::__http_scenarios!($crate::__http_tests);
        }
    };
}

/// Makes modules of tests from the list of scenarios.
#[doc(hidden)]
#[macro_export]
macro_rules! __http_tests {
    ($($group:ident { $($id:ident: $needs:ident $rows:literal,)+ })+) => {
        $(
            mod $group {
                $(
                    #[test]
                    fn $id() {
                        super::run(stringify!($id));
                    }
                )+
            }
        )+
    };
}

macro_rules! table {
    ($($group:ident { $($id:ident: $needs:ident $rows:literal,)+ })+) => {
        /// All scenarios.
        pub const SCENARIOS: &[Scenario] = &[
            $($(Scenario {
                id: stringify!($id),
                group: stringify!($group),
                rows: $rows,
                needs: Needs::$needs,
                run: Run(|server| Box::pin(super::$group::$id(server))),
            },)+)+
        ];
    };
}

crate::__http_scenarios!(table);
