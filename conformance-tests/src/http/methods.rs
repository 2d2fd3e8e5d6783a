//! Which methods are cached.

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c016_unsafe_methods_are_never_cached_by_default(
    s: &Server,
) -> Result<(), Failure> {
    let target = format!("/multi?{}", s.id());
    s.get(&target).await?.miss()?.says("method", "GET")?;
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT"] {
        for run in 1..=2 {
            let answer = s.ask(method, &target).await?.unstored("method")?;
            let answer = answer.says("method", method)?.run(run)?;
            equal("fwd", &answer.parameter("fwd"), &Some("method".to_owned()))?;
        }
    }
    s.get(&target).await?.hit()?.says("method", "GET")?.run(1)?;
    Ok(())
}

pub(super) async fn c016_other_methods_are_refused_by_the_framework(
    s: &Server,
) -> Result<(), Failure> {
    let cached = format!("/n/{}", s.id());
    let cases = [
        ("POST", cached.as_str(), "GET"),
        ("OPTIONS", "/users/1", "PATCH"),
        ("GET", "/users/1/refresh", "POST"),
        ("GET", "/admin/invalidate", "POST"),
        ("HEAD", "/admin/enable", "POST"),
        ("POST", "/admin/counts", "GET"),
        ("DELETE", "/cas/r", "PUT"),
    ];
    for (method, target, allowed) in cases {
        let answer = s.ask(method, target).await?.status(405)?;
        let allow = answer.field("allow").unwrap_or_default();
        expect(allow.contains(allowed), format!("`Allow` with {allowed}"), &answer)?;
    }
    s.ask("HEAD", "/admin/counts").await?.status(200)?;
    s.ask("HEAD", "/nowhere").await?.status(404)?;
    Ok(())
}

pub(super) async fn c018_head_is_answered_from_a_stored_get(s: &Server) -> Result<(), Failure> {
    let target = format!("/multi?{}", s.id());
    let get = s.get(&target).await?.miss()?;
    let head = s.ask("HEAD", &target).await?.hit()?.status(200)?;
    expect(head.body.is_empty(), "no body", &head)?;
    for name in ["content-type", "content-length", "etag"] {
        equal(name, &head.field(name), &get.field(name))?;
    }
    equal(
        "runs",
        &s.runs("/multi", &format!("HEAD?{}", target.trim_start_matches("/multi?"))).await?,
        &0,
    )
}

pub(super) async fn c018_head_has_its_own_entry_and_never_fills_get(
    s: &Server,
) -> Result<(), Failure> {
    let target = format!("/n/{}", s.id());
    let first = s.ask("HEAD", &target).await?.miss()?.status(200)?;
    let second = s.ask("HEAD", &target).await?.hit()?.status(200)?;
    equal("the length", &second.field("content-length"), &first.field("content-length"))?;
    let get = s.get(&target).await?.miss()?;
    expect(!get.body.is_empty(), "a body", &get)?;
    let again = s.get(&target).await?.hit()?;
    equal("the body", &again.body, &get.body)
}

pub(super) async fn c019_opted_in_method_has_its_body_in_the_key(
    s: &Server,
) -> Result<(), Failure> {
    let target = format!("/post-cached?{}", s.id());
    let post = async |body: &str| s.send(&Request::post(&target, body)).await;
    post("one").await?.miss()?.says("body", "one")?.run(1)?;
    post("two").await?.miss()?.says("body", "two")?.run(1)?;
    post("").await?.miss()?.says("body", "")?.run(1)?;
    post("one").await?.hit()?.says("body", "one")?.run(1)?;
    post("two").await?.hit()?.says("body", "two")?.run(1)?;
    s.ask("POST", &target).await?.hit()?.says("body", "")?;
    Ok(())
}

pub(super) async fn c019_key_body_is_bounded(s: &Server) -> Result<(), Failure> {
    let target = format!("/post-cached?{}", s.id());
    let post = async |length: usize| s.send(&Request::post(&target, vec![b'y'; length])).await;
    post(64 << 10).await?.miss()?.run(1)?;
    post(64 << 10).await?.hit()?.run(1)?;
    for run in 1..=2 {
        let answer = post((64 << 10) + 1).await?.unstored("request-body")?.run(run)?;
        let seen = answer.json("body").as_str().map(str::len);
        equal("the length that the handler saw", &seen, &Some((64 << 10) + 1))?;
    }
    Ok(())
}
