//! Defaults of the mode, what crosses from one mode to the other, and what is refused.

use std::time::Duration;

use cache_core::engine::Route;
use cache_core::policy::setting::{Authorization, Cookies, SetCookie, Statuses};
use cache_core::{Cache, Policy, PolicyError};
use cache_memory::MemoryStore;

use super::{Lines, response};
use crate::engine::rig::Rig;

fn json(text: &str) -> Policy {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn under(application: Policy, route: Policy) -> Result<Route, PolicyError> {
    let cache = Cache::builder(MemoryStore::new()).policy(application).build().unwrap();
    Route::new(&cache, route)
}

#[test]
fn every_setting_of_the_mode_reads_and_writes_itself() {
    let text = r#"{"mode":"http","statuses":"rfc","authorization":"rfc","cookies":"rfc",
        "vary_values":"exact","keep":"60s","targeted_fields":["cdn-cache-control"],
        "cache_groups":true,"unsafe_invalidates":"none"}"#;
    let written = serde_json::to_value(json(text)).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    let built = Policy::http()
        .statuses(Statuses::Rfc)
        .authorization(Authorization::Rfc)
        .cookies(Cookies::Rfc)
        .vary_values(cache_core::policy::setting::VaryValues::Exact)
        .keep(Duration::from_secs(60))
        .targeted_fields(["cdn-cache-control"])
        .cache_groups(true)
        .unsafe_invalidates(cache_core::policy::setting::UnsafeInvalidates::None);
    assert_eq!(serde_json::to_value(built).unwrap(), written);
}

#[test]
fn what_needs_the_mode_is_refused_without_it() {
    for (field, text) in [
        ("statuses", r#"{"mode":"ttl","statuses":"rfc"}"#),
        ("authorization", r#"{"mode":"ttl","authorization":"rfc"}"#),
        ("cookies", r#"{"mode":"ttl","cookies":"rfc"}"#),
        ("targeted_fields", r#"{"mode":"ttl","targeted_fields":["a"]}"#),
        ("cache_groups", r#"{"mode":"ttl","cache_groups":true}"#),
    ] {
        let error = serde_json::from_str::<Policy>(text).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")) && error.contains("mode"), "{error}");
        // Without a mode it may be meant for an application of that mode.
        let open = json(&text.replace(r#""mode":"ttl","#, ""));
        under(Policy::http(), open.clone()).unwrap();
        assert_eq!(under(Policy::new(), open).unwrap_err().field(), field);
    }
    for (text, parts) in [
        (r#"{"mode":"htpt"}"#, ["`mode`", "htpt"]),
        (r#"{"mode":"http","targeted_fields":["a b"]}"#, ["`targeted_fields`", "a b"]),
        (r#"{"mode":"http","keep":"-1s"}"#, ["`keep`", "-1s"]),
        (r#"{"mode":"http","unsafe_invalidates":"all"}"#, ["`unsafe_invalidates`", "all"]),
        (r#"{"mode":"http","vary_values":"same"}"#, ["`vary_values`", "same"]),
    ] {
        let error = serde_json::from_str::<Policy>(text).unwrap_err().to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{text} gave {error}");
    }
}

const AGED: Lines = &[("cache-control", "max-age=9")];

/// What `Cache-Status` ends with for a response with `max-age=9`.
async fn said(application: Policy, route: Policy, request: Lines) -> String {
    let rig = Rig::new(route.over(&application), None).handler(|_, _| response(200, AGED, "x"));
    rig.get_with("/a", request).await.field("cache-status").to_owned()
}

#[tokio::test]
async fn a_route_of_the_other_mode_inherits_only_what_does_not_depend_on_it() {
    let minute = || Policy::ttl(Duration::from_secs(60));
    let alice: Lines = &[("authorization", "x")];
    // The application's lifetime is not the default of an http route, nor its word on credentials.
    assert!(said(minute(), Policy::http(), &[]).await.ends_with("ttl=9"));
    let public = minute().authorization(Authorization::Public);
    assert!(said(public, Policy::http(), alice).await.ends_with("detail=authorization"));
    assert!(said(Policy::http(), minute(), &[]).await.ends_with("ttl=60"));
    assert!(said(Policy::http(), minute(), alice).await.ends_with("detail=authorization"));
    let open = Policy::http().cookies(Cookies::Rfc);
    assert!(said(open.clone(), minute(), &[("cookie", "a=b")]).await.ends_with("detail=cookie"));
    // Of the same mode, or of none, it inherits everything.
    assert!(said(open.clone(), Policy::http(), &[("cookie", "a=b")]).await.ends_with("ttl=9"));
    assert!(said(open, Policy::new(), &[("cookie", "a=b")]).await.ends_with("ttl=9"));
    assert!(said(minute(), Policy::new(), &[]).await.ends_with("ttl=60"));
    // What does not depend on the mode crosses over.
    let tiny = minute().max_body(0);
    assert!(said(tiny, Policy::http(), &[]).await.ends_with("detail=too-large"));
    let strip = minute().set_cookie(SetCookie::Strip);
    assert!(said(strip, Policy::http(), &[]).await.ends_with("ttl=9"));
}
