//! Settings: what is accepted, and what an error says.

use std::time::Duration;

use cache_core::engine::Route;
use cache_core::policy::setting::{
    Coalesce, Cookies, Downstream, Namespace, StatusHeader, Statuses, Ttl,
};
use cache_core::{Cache, Invalidation, Policy, PolicyError};
use cache_memory::MemoryStore;
use http::Method;

fn json(text: &str) -> Result<Policy, serde_json::Error> {
    serde_json::from_str(text)
}

fn cache() -> Cache {
    Cache::new(MemoryStore::new())
}

#[test]
fn every_setting_reads_and_writes_itself() {
    let text = r#"{
        "mode":"ttl","ttl":{"end_of_week":{"zone":"Europe/Paris","first_day":"sunday"}},
        "ttl_by_status":{"404":"5s"},"time_zone":"Europe/Paris","methods":["GET","POST"],
        "key_body_limit":1024,"statuses":[200,301],"query":{"except":["tracking"]},
        "vary":["accept-language"],"authorization":"key","cookies":{"key":["lang"]},
        "set_cookie":"strip","host_in_key":false,"key":"user:{user_id}","tags":["user:{user_id}"],
        "unknown_placeholder":"literal","namespace":{"name":"users","combine":"replace"},
        "stale_while_revalidate":"30s","stale_if_error":"60s",
        "coalesce":{"wait":"5s","max_followers":1024},"max_body":1048576,"max_fill":"60s",
        "client_directives":"honour","on_invalidation_error":"503","etag":"weak",
        "downstream":{"fixed":"public"},"age":false,
        "status_header":{"name":"X-C","hit":"H","miss":"M"},"cache_status":"detail"
    }"#;
    let policy = json(text).unwrap();
    let written = serde_json::to_value(&policy).unwrap();
    assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).unwrap());
    Route::new(&cache(), policy).unwrap();
}

#[test]
fn the_builder_and_the_file_say_the_same() {
    let built = Policy::ttl(Duration::from_millis(400))
        .tag("user:{id}")
        .vary(["accept-language"])
        .namespace(Namespace::new("users"))
        .status_header(None)
        .coalesce(Coalesce::Off);
    let read = json(
        r#"{"mode":"ttl","ttl":"400ms","tags":["user:{id}"],"vary":["accept-language"],
            "namespace":{"name":"users","combine":"concat"},"status_header":null,"coalesce":false}"#,
    );
    assert_eq!(serde_json::to_value(built).unwrap(), serde_json::to_value(read.unwrap()).unwrap());
}

#[test]
fn errors_in_files_name_field_and_value() {
    let cases = [
        (r#"{"ttl":"-5s"}"#, &["`ttl`", "\"-5s\" is negative"][..]),
        (r#"{"ttl":"5"}"#, &["`ttl`", "\"5\"", "unit"]),
        (r#"{"ttl":5}"#, &["`ttl`", "5"]),
        (r#"{"tll":"5s"}"#, &["`tll`", "`ttl`"]),
        (r#"{"ttl":"5s","ttl":"6s"}"#, &["duplicate", "`ttl`"]),
        (r#"{"authorization":"maybe"}"#, &["`authorization`", "maybe", "bypass"]),
        (r#"{"statuses":"3xx"}"#, &["`statuses`", "3xx"]),
        (r#"{"statuses":[206]}"#, &["`statuses`", "206"]),
        (r#"{"statuses":[]}"#, &["`statuses`", "nothing"]),
        (r#"{"statuses":[99]}"#, &["`statuses`", "99"]),
        (r#"{"ttl_by_status":{"abc":"5s"}}"#, &["`ttl_by_status`", "abc"]),
        (r#"{"tags":["a{"]}"#, &["`tags`", "a{", "byte 1"]),
        (r#"{"key":"{}"}"#, &["`key`", "{}"]),
        (r#"{"vary":["bad name"]}"#, &["`vary`", "bad name"]),
        (r#"{"vary":["*"]}"#, &["`vary`", "*"]),
        (r#"{"methods":["CONNECT"]}"#, &["`methods`", "CONNECT"]),
        (r#"{"methods":["get"]}"#, &["`methods`", "get", "capitals"]),
        (r#"{"downstream":{"fixed":" "}}"#, &["`downstream`"]),
        (r#"{"namespace":"users"}"#, &["`namespace`", r#"{"name":"users""#]),
        (r#"{"status_header":"X-Cache"}"#, &["`status_header`", r#"{"name":"X-Cache""#]),
        (r#"{"namespace":{"name":"a::b"}}"#, &["`namespace`", "a::b"]),
        (r#"{"namespace":{"nam":"a"}}"#, &["`namespace`", "nam"]),
        (r#"{"status_header":{"name":"x y"}}"#, &["`status_header`", "x y"]),
        (r#"{"status_header":{"name":"Content-Length"}}"#, &["`status_header`", "Content-Length"]),
        (r#"{"downstream":{"fixed":"a\nb"}}"#, &["`downstream`"]),
        (r#"{"coalesce":{"wait":"0s"}}"#, &["`coalesce`"]),
        (r#"{"max_fill":"0s"}"#, &["`max_fill`", "0s"]),
        (r#"{"cookies":{"key":["a b"]}}"#, &["`cookies`", "a b"]),
        (r#"{"time_zone":"Mars/Base"}"#, &["`time_zone`", "Mars/Base"]),
        (r#"{"query":{"only":"a"}}"#, &["`query`"]),
    ];
    for (text, wanted) in cases {
        let error = json(text).unwrap_err().to_string();
        for part in wanted {
            assert!(error.contains(part), "{text} gave {error}");
        }
    }
}

#[test]
fn a_zone_may_come_from_the_application() {
    let day = Policy::new().lifetime(Ttl::EndOfDay { zone: None }).build().unwrap();
    let error = Route::new(&cache(), day.clone()).unwrap_err();
    assert_eq!(error.field(), "ttl");
    let zoned = Cache::builder(MemoryStore::new())
        .policy(Policy::new().time_zone("Europe/Paris"))
        .build()
        .unwrap();
    Route::new(&zoned, day).unwrap();
}

#[test]
fn placeholders_are_checked_where_the_path_is_known() {
    let check = |policy: Policy| Route::new(&cache(), policy.params(["id", "user"]));
    check(Policy::new().tag("a:{id}").key("b.{user.id}")).unwrap();
    let error: PolicyError = check(Policy::new().tag("a:{idd}")).unwrap_err();
    assert_eq!((error.field(), error.value()), ("tags", "a:{idd}"));
    check(Policy::new().key("{nope}")).unwrap_err();
}

#[test]
fn naming_nothing_to_invalidate_is_an_error() {
    use cache_core::engine::write::WriteRoute;
    let error = WriteRoute::new(&cache(), Invalidation::new()).unwrap_err();
    assert!(error.to_string().contains("names no tag"), "{error}");
    WriteRoute::new(&cache(), Invalidation::new().tag("{")).unwrap_err();
    WriteRoute::new(&cache(), Invalidation::new().namespace("users")).unwrap();
}

#[test]
fn setters_cover_the_rest() {
    let policy = Policy::new()
        .methods(&[Method::POST])
        .statuses(Statuses::Successful)
        .cookies(Cookies::Ignore)
        .downstream(Downstream::NoStore)
        .status_header(Some(StatusHeader::new("X-Cache-Info", "yes", "no")))
        .ttl_by_status(http::StatusCode::NOT_FOUND, Duration::from_secs(5));
    Route::new(&cache(), policy).unwrap();
}
