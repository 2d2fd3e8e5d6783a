//! Write routes: what is told of an invalidation that cannot be.

use cache_core::engine::write::{WriteAnswer, WriteRoute};
use cache_core::{Invalidation, Policy, When};
use http::{Method, Response, StatusCode};

use crate::engine::logged::Errors;
use crate::engine::rig::Rig;

#[tokio::test]
async fn a_template_without_a_value_is_counted_and_logged_once_a_request() {
    for (when, status, times) in [
        (When::Before, StatusCode::OK, 1),
        (When::Before, StatusCode::CONFLICT, 1),
        (When::Both, StatusCode::OK, 1),
        (When::Both, StatusCode::CONFLICT, 1),
        (When::AfterSuccess, StatusCode::OK, 1),
        // There is nothing to invalidate.
        (When::AfterSuccess, StatusCode::CONFLICT, 0),
    ] {
        let (errors, _on_this_thread) = Errors::gather();
        let rig = Rig::new(Policy::new(), None).handler(move |_, _| {
            let mut response = Response::new("");
            *response.status_mut() = status;
            response
        });
        let what = Invalidation::new().tag("user:{nope}").when(when);
        let route = WriteRoute::new(&rig.cache, what).unwrap();
        let request = rig.origin(Method::PUT, "/users/7", &[]);
        let answer = route.serve(request, route.lifeline()).await.unwrap();
        let WriteAnswer::Handler(response) = answer else { panic!("{when:?}: {answer:?}") };
        assert_eq!((response.status(), rig.runs()), (status, 1), "{when:?}");
        let told = response.headers()["cache-status"].to_str().unwrap();
        assert_eq!(told.contains("invalidation-failed"), times == 1, "{when:?} {status}: {told}");
        let stats = rig.cache.stats();
        let counted = stats.reasons.get("invalidation-failed").copied().unwrap_or_default();
        assert_eq!((stats.invalidation_errors, counted), (times, times), "{when:?} {status}");
        let lines = errors.lines();
        assert_eq!(lines.len() as u64, times, "{when:?} {status}: {lines:?}");
        assert!(lines.iter().all(|line| line.contains("{nope}")), "{lines:?}");
    }
}
