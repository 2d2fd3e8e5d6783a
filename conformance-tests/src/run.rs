//! Runs cases, each on a thread and a runtime of its own, within a bounded time.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cache_core::clock::{Clock, SystemClock};
use cache_core::store::Guarantee;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use tokio::runtime::Builder;

use crate::case::{Case, Kind, Needs, Stop};
use crate::cases;
use crate::cx::Cx;
use crate::cx::trail::Trail;
use crate::fixture::{Fixture, IntoFixture};
use crate::report::{Outcome, Report, Verdict};

/// How long a case may take. It is then given up (its thread is left behind) and has failed.
pub const CASE_LIMIT: Duration = Duration::from_secs(30);

/// Runs every case against a store of its own from `fresh`, one after another, and never stops at
/// a failure, be it a panic or a hang.
///
/// Needs no particular runtime: each case brings its own.
///
/// # Panics
///
/// The operating system gives no thread.
pub async fn run_all<Form, F, R>(fresh: F) -> Report
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output: IntoFixture<Form>> + 'static,
    Form: 'static,
{
    let fresh = Fresh::new(fresh);
    let (send, receive) = tokio::sync::oneshot::channel();
    let runner = thread::spawn(move || {
        let outcomes = cases::ALL.iter().map(|case| run_case(case, &fresh, CASE_LIMIT)).collect();
        // The receiver is gone if the caller was dropped; then nobody wants the report.
        let _ = send.send(Report { outcomes });
    });
    match receive.await {
        Ok(report) => report,
        // `run_case` reports panics, so this is the runner's own.
        Err(_) => resume(runner),
    }
}

/// Runs the case named `id` as the body of a `#[test]`.
///
/// # Panics
///
/// The case fails, or there is none of this name.
#[expect(clippy::panic, reason = "this is how a test fails")]
#[expect(clippy::print_stderr, reason = "the test harness shows it with --nocapture")]
pub fn run_one<Form, F, R>(id: &str, fresh: F)
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output: IntoFixture<Form>> + 'static,
    Form: 'static,
{
    let Some(case) = cases::ALL.iter().find(|case| case.id == id) else {
        panic!("there is no case named {id}");
    };
    let outcome = run_case(case, &Fresh::new(fresh), CASE_LIMIT);
    match outcome.verdict {
        Verdict::Passed => {}
        Verdict::Failed(_) => panic!("the store breaks its contract\n{outcome}"),
        Verdict::Suboptimal(_) | Verdict::Skipped(_) => eprintln!("{outcome}"),
    }
}

/// Where fixtures come from, erased.
#[derive(Clone)]
struct Fresh(Arc<dyn Fn() -> LocalBoxFuture<'static, Box<dyn Fixture>> + Send + Sync>);

impl Fresh {
    fn new<Form, F, R>(fresh: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output: IntoFixture<Form>> + 'static,
        Form: 'static,
    {
        Self(Arc::new(move || fresh().map(IntoFixture::into_fixture).boxed_local()))
    }
}

fn run_case(case: &'static Case, fresh: &Fresh, limit: Duration) -> Outcome {
    let start = SystemClock.monotonic();
    let trail = Arc::new(Trail::default());
    let ended = on_a_thread(case, fresh.clone(), &trail, limit);
    let verdict = match (ended, case.kind) {
        (Ok(()), _) => Verdict::Passed,
        (Err(Stop::Skipped(reason)), _) => Verdict::Skipped(reason),
        (Err(Stop::Failed(expected)), Kind::Optimal) => {
            Verdict::Suboptimal(trail.observed(&expected))
        }
        (Err(Stop::Failed(expected)), Kind::Required | Kind::Timed) => {
            Verdict::Failed(trail.observed(&expected))
        }
    };
    Outcome { case, verdict, took: SystemClock.monotonic().saturating_sub(start) }
}

/// A thread, because a store that blocks or spins cannot be timed out from the same runtime.
fn on_a_thread(
    case: &'static Case,
    fresh: Fresh,
    trail: &Arc<Trail>,
    limit: Duration,
) -> Result<(), Stop> {
    let (send, receive) = channel();
    let steps = Arc::clone(trail);
    let body = move || {
        let ended = on_a_runtime(case, &fresh, steps);
        // The receiver is gone once the case took too long.
        let _ = send.send(ended);
    };
    let thread = thread::Builder::new()
        .name(case.id.to_owned())
        .spawn(body)
        .map_err(|error| Stop::failed(format!("no thread: {error}")))?;
    match receive.recv_timeout(limit) {
        Ok(ended) => ended,
        Err(RecvTimeoutError::Timeout) => {
            Err(Stop::failed(format!("then nothing for the rest of {limit:?}")))
        }
        Err(RecvTimeoutError::Disconnected) => Err(Stop::failed(panic_of(thread))),
    }
}

fn on_a_runtime(case: &Case, fresh: &Fresh, trail: Arc<Trail>) -> Result<(), Stop> {
    // More workers than cores here and there, so that tasks really interleave.
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .map_err(|error| Stop::failed(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(async {
        let cx = Cx::new(case.id, (fresh.0)().await, trail).await;
        applies(case, cx.first().store().guarantee())?;
        (case.run.0)(&cx).await
    });
    runtime.shutdown_background();
    ended
}

fn applies(case: &Case, guarantee: Guarantee) -> Result<(), Stop> {
    let ordered =
        matches!(guarantee, Guarantee::Linearizable | Guarantee::LinearizableExceptSplitBrain);
    if case.needs == Needs::Order && !ordered {
        return Err(Stop::skipped(format!("guarantee() is only {guarantee:?}")));
    }
    Ok(())
}

fn panic_of(thread: JoinHandle<()>) -> String {
    let payload = thread.join().err().unwrap_or_else(|| Box::new("ended without a result"));
    format!("panicked: {}", text_of(payload.as_ref()))
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}

#[expect(clippy::panic, reason = "passes on a panic of this harness")]
fn resume(runner: JoinHandle<()>) -> Report {
    match runner.join() {
        Err(payload) => std::panic::resume_unwind(payload),
        Ok(()) => panic!("the runner ended without a report"),
    }
}

#[cfg(test)]
mod tests {
    use cache_core::store::Store;

    use super::*;

    const SOON: Duration = Duration::from_millis(100);

    fn verdict<R>(limit: Duration, fresh: impl Fn() -> R + Send + Sync + 'static) -> Verdict
    where
        R: Future<Output = Arc<dyn Store>> + 'static,
    {
        let case = cases::ALL.first().unwrap();
        run_case(case, &Fresh::new(fresh), limit).verdict
    }

    #[test]
    fn a_hang_is_a_failure() {
        let hang = verdict(SOON, std::future::pending);
        assert_eq!(hang, Verdict::Failed("then nothing for the rest of 100ms".to_owned()));
    }

    #[test]
    fn a_thread_that_never_yields_is_a_failure() {
        let blocked = verdict(SOON, || async {
            thread::sleep(Duration::from_secs(2));
            std::future::pending().await
        });
        assert_eq!(blocked, Verdict::Failed("then nothing for the rest of 100ms".to_owned()));
    }

    #[test]
    fn a_panic_is_a_failure() {
        let panic = verdict(CASE_LIMIT, || async { panic!("no server") });
        assert_eq!(panic, Verdict::Failed("panicked: no server".to_owned()));
    }
}
