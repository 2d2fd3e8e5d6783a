//! Credentials, cookies and guards: nothing private or unkeyed is shared.

use serde_json::Value;

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c066_set_cookie_is_not_stored(s: &Server) -> Result<(), Failure> {
    let target = format!("/hdr?set=set-cookie:session=1&set=set-cookie:b=2&{}", s.id());
    for run in 1..=2 {
        let answer = s.get(&target).await?.unstored("set-cookie")?.run(run)?;
        let cookies = ["session=1", "b=2"].map(str::to_owned).to_vec();
        equal("the client's own cookies", &answer.lines("set-cookie"), &cookies)?;
    }
    Ok(())
}

pub(super) async fn c066_set_cookie_may_be_stripped(s: &Server) -> Result<(), Failure> {
    let target = "/hdr?set=set-cookie:session=1&set=x-a:1";
    let strip = s.with_policy(r#"{"set_cookie":"strip"}"#).await?;
    let first = strip.get(target).await?.miss()?;
    equal("the client's own cookie", &first.lines("set-cookie"), &vec!["session=1".to_owned()])?;
    let hit = strip.get(target).await?.hit()?.run(1)?;
    expect(!hit.has("set-cookie"), "nobody else's cookie", format!("{:?}", hit.fields))?;
    let etag = hit.field("etag").unwrap_or_default();
    let same = strip.get_with(target, "if-none-match", &etag).await?.status(304)?;
    expect(!same.has("set-cookie"), "no cookie in a 304", format!("{:?}", same.fields))?;
    // Only the one dangerous word replays it.
    let danger = s.with_policy(r#"{"set_cookie":"danger_replay"}"#).await?;
    danger.get(target).await?.miss()?;
    let hit = danger.get(target).await?.hit()?;
    equal("the cookie", &hit.lines("set-cookie"), &vec!["session=1".to_owned()])
}

pub(super) async fn c067_authorization_bypasses(s: &Server) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    let with = async |value: &str| s.get_with(&target, "authorization", value).await;
    with("Bearer a").await?.unstored("authorization")?.run(1)?;
    s.get(&target).await?.miss()?.run(2)?;
    with("Bearer a").await?.unstored("authorization")?.run(3)?;
    with("").await?.unstored("authorization")?.run(4)?;
    s.get(&target).await?.hit()?.run(2)?;
    Ok(())
}

pub(super) async fn c067_authorization_in_the_key(s: &Server) -> Result<(), Failure> {
    let target = format!("/me?{}", s.id());
    let with = async |value: &str| s.get_with(&target, "authorization", value).await;
    for user in ["Bearer a", "Bearer b", ""] {
        let answer = with(user).await?.miss()?.says("auth", user)?.run(1)?;
        equal("Vary", &answer.lines("vary"), &vec!["authorization".to_owned()])?;
    }
    s.get(&target).await?.miss()?.says("auth", Value::Null)?;
    for user in ["", "Bearer b", "Bearer a"] {
        let answer = with(user).await?.hit()?.says("auth", user)?.run(1)?;
        equal("Vary", &answer.lines("vary"), &vec!["authorization".to_owned()])?;
    }
    s.get(&target).await?.hit()?.says("auth", Value::Null)?;
    Ok(())
}

pub(super) async fn c067_authorization_does_not_matter(s: &Server) -> Result<(), Failure> {
    let target = format!("/open?{}", s.id());
    s.get_with(&target, "authorization", "Bearer a").await?.miss()?.run(1)?;
    s.get_with(&target, "authorization", "Bearer b").await?.hit()?.run(1)?;
    s.get(&target).await?.hit()?.run(1)?;
    Ok(())
}

pub(super) async fn c067_cookies_bypass(s: &Server) -> Result<(), Failure> {
    let target = format!("/cookie?{}", s.id());
    s.get_with(&target, "cookie", "a=1").await?.unstored("cookie")?.says("cookie", "a=1")?;
    s.get(&target).await?.miss()?.says("cookie", Value::Null)?;
    s.get_with(&target, "cookie", "a=1").await?.unstored("cookie")?.says("cookie", "a=1")?;
    s.get(&target).await?.hit()?.says("cookie", Value::Null)?;
    Ok(())
}

pub(super) async fn c067_cookies_are_ignored_and_unseen(s: &Server) -> Result<(), Failure> {
    let target = format!("/cookie-ignored?{}", s.id());
    let twice = Request::get(&target).field("cookie", "a=1").field("cookie", "b=2");
    s.send(&twice).await?.miss()?.says("cookie", Value::Null)?;
    s.get_with(&target, "cookie", "c=3").await?.hit()?.says("cookie", Value::Null)?;
    s.get(&target).await?.hit()?.says("cookie", Value::Null)?;
    Ok(())
}

pub(super) async fn c067_chosen_cookies_are_in_the_key(s: &Server) -> Result<(), Failure> {
    let target = format!("/cookie-keyed?{}", s.id());
    let with = async |value: &str| s.get_with(&target, "cookie", value).await;
    let answer = with("session=1; lang=de").await?.miss()?.says("cookie", "lang=de")?;
    equal("Vary", &answer.lines("vary"), &vec!["cookie".to_owned()])?;
    with("lang=de; session=2").await?.hit()?.says("cookie", "lang=de")?;
    with("lang=fr; session=1").await?.miss()?.says("cookie", "lang=fr")?;
    with("session=1").await?.miss()?.says("cookie", Value::Null)?;
    s.get(&target).await?.hit()?.says("cookie", Value::Null)?;
    with("lang=").await?.miss()?.says("cookie", "lang=")?;
    with("lang=de; lang=fr").await?.miss()?;
    with("lang=fr; lang=de").await?.miss()?;
    let lines = Request::get(&target).field("cookie", "session=9").field("cookie", "lang=fr");
    s.send(&lines).await?.hit()?.says("cookie", "lang=fr")?;
    Ok(())
}

pub(super) async fn c068_condition_bypasses(s: &Server) -> Result<(), Failure> {
    let target = format!("/feed?{}", s.id());
    s.get(&target).await?.miss()?.says("auth", Value::Null)?;
    for run in 1..=2 {
        let answer = s.get_with(&target, "authorization", "x").await?.run(run)?;
        let answer = answer.says("auth", "x")?;
        expect(!answer.has("x-cache"), "no `X-Cache`", &answer)?;
        equal("fwd", &answer.parameter("fwd"), &Some("bypass".to_owned()))?;
    }
    s.get(&target).await?.hit()?.says("auth", Value::Null)?;
    Ok(())
}

pub(super) async fn c069_guards_run_before_the_lookup(s: &Server) -> Result<(), Failure> {
    let target = format!("/guarded?{}", s.id());
    let with = async |key: &str| s.get_with(&target, "x-key", key).await;
    let refused = s.get(&target).await?.status(401)?;
    expect(!refused.has("x-cache"), "no `X-Cache`", &refused)?;
    with("secret").await?.status(200)?.miss()?.run(1)?;
    for answer in [s.get(&target).await?, with("wrong").await?] {
        let answer = answer.status(401)?;
        expect(!answer.has("x-cache") && !answer.has("etag"), "the guard's own answer", &answer)?;
    }
    // Neither does a conditional request or a HEAD get past the guard.
    s.get_with(&target, "if-none-match", "*").await?.status(401)?;
    s.ask("HEAD", &target).await?.status(401)?;
    with("secret").await?.status(200)?.hit()?.run(1)?;
    Ok(())
}

pub(super) async fn c070_validation_failure_rejects(s: &Server) -> Result<(), Failure> {
    let target = format!("/guarded-typed?{}", s.id());
    let with = async |number: &str| s.get_with(&target, "x-num", number).await;
    with("five").await?.status(400)?;
    with("5").await?.status(200)?.miss()?.run(1)?;
    with("five").await?.status(400)?;
    s.get(&target).await?.status(400)?;
    with("-7").await?.status(200)?.hit()?.run(1)?;
    Ok(())
}

pub(super) async fn c068_storing_is_refused_by_the_response(s: &Server) -> Result<(), Failure> {
    let target = format!("/more/store-if?{}", s.id());
    for run in 1..=2 {
        s.get(&target).await?.status(200)?.unstored("store-if")?.run(run)?;
    }
    let kept = format!("{target}&keep=1");
    s.get(&kept).await?.miss()?;
    s.get(&kept).await?.hit()?.run(1)?;
    Ok(())
}
