//! What the log tells an operator.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_core::engine::Step;
use cache_core::policy::setting::Cookies;
use cache_core::{Extracted, Policy, RequestHead};
use http::{HeaderMap, HeaderValue, Method, Uri};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Metadata, Subscriber};

use super::rig::Rig;

/// The errors of a thread, a line each.
#[derive(Clone, Default)]
pub(crate) struct Errors(Arc<Mutex<Vec<String>>>);

impl Errors {
    /// Gathers those of this thread, as long as the guard lives.
    pub(crate) fn gather() -> (Self, DefaultGuard) {
        let errors = Self::default();
        let guard = tracing::subscriber::set_default(errors.clone());
        (errors, guard)
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Subscriber for Errors {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

#[tokio::test]
async fn a_placeholder_without_a_value_is_named_once_for_each_route() {
    for (policy, name) in [
        (Policy::new().tag("users").tag("user:{idd}"), "{idd}"),
        (Policy::new().tag("users").key("user.{idk}"), "{idk}"),
    ] {
        let (errors, _on_this_thread) = Errors::gather();
        let rig = Rig::new(policy, None);
        for path in ["/a", "/b"] {
            let answer = rig.get(path).await;
            assert!(answer.field("cache-status").contains("unknown-placeholder"), "{answer:?}");
        }
        let lines = errors.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains(name) && lines[0].contains("cannot be stored"), "{lines:?}");
    }
}

#[tokio::test]
async fn a_placeholder_without_a_value_is_named_once_for_each_function() {
    let (errors, _on_this_thread) = Errors::gather();
    let rig = Rig::new(Policy::new(), None);
    for (policy, name) in
        [(Policy::new().tag("user:{1}"), "{1}"), (Policy::new().key("user.{id}"), "{id}")]
    {
        let before = errors.lines().len();
        let user = rig.cache.function("user", policy).unwrap();
        for id in [7, 8] {
            user.call(&(id,), async || Ok::<_, String>(id)).await.unwrap();
        }
        let lines = &errors.lines()[before..];
        assert_eq!(lines.len(), 1, "{lines:?}");
        for said in [name, "\"user\"", "cannot be stored"] {
            assert!(lines[0].contains(said), "{lines:?}");
        }
    }
}

#[test]
fn what_is_printed_of_a_step_has_no_target_no_value_and_no_parameter() {
    let uri = Uri::from_static("/reset?token=s3cret");
    let mut headers = HeaderMap::new();
    headers.append("cookie", HeaderValue::from_static("session=s3cret"));
    let params = [("token".to_owned(), "s3cret".to_owned())];
    let extracted = [Extracted::new("user", "s3cret")];
    let head = RequestHead::new(&Method::GET, &uri, &headers)
        .with_params(&params)
        .with_extracted(&extracted);
    let policy = || Policy::ttl(Duration::from_secs(60)).cookies(Cookies::Ignore);
    for policy in [policy(), policy().key("reset:{token}")] {
        let rig = Rig::new(policy, None);
        for waits in [false, true] {
            rig.store.waits.store(waits, Ordering::SeqCst);
            let step = rig.route.attend(&head);
            assert!(matches!(step, Step::Forward(_)), "{step:?}");
            let printed = format!("{step:?}");
            assert!(!printed.contains("s3cret"), "{printed}");
            assert_eq!(printed.contains("cookie"), !waits, "{printed}");
        }
    }
}
