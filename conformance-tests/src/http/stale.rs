//! Lives, and what happens after them.

use std::time::Duration;

use super::client::Response;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

fn ttl(answer: &Response) -> i64 {
    answer.parameter("ttl").and_then(|ttl| ttl.parse().ok()).unwrap_or(i64::MIN)
}

pub(super) async fn c009_sub_second_life(s: &Server) -> Result<(), Failure> {
    // The window is short, so a slow machine gets several tries to see the hit.
    for life in [400, 400, 900, 900, 900, 900] {
        let target = format!("/ttl/{life}ms?{}", s.id());
        let life = Duration::from_millis(life);
        let first = s.get(&target).await?.miss()?.run(1)?;
        equal("ttl", &first.json("ttl").as_f64(), &Some(life.as_secs_f64()))?;
        let hit = s.get(&target).await?.hit().is_ok();
        // A server's clock may be a tick of its kernel behind.
        tokio::time::sleep(life + Duration::from_millis(50)).await;
        let later = s.get(&target).await?.miss()?;
        expect(later.n() > 1, "a new run after its life", &later)?;
        if hit {
            return Ok(());
        }
    }
    Err(Failure::new("a hit within a life", "none in six tries"))
}

pub(super) async fn c010_default_life_and_whose_wins(s: &Server) -> Result<(), Failure> {
    equal("the default", &ttl(&s.get("/json").await?.miss()?), &60)?;
    let s = s.with_policy(r#"{"ttl":"5s"}"#).await?;
    equal("the application's", &ttl(&s.get("/json").await?.miss()?), &5)?;
    equal("the route's", &ttl(&s.get("/sie/1").await?.miss()?), &1)?;
    equal("the route's", &ttl(&s.get("/ttl/fn:9").await?.miss()?), &9)
}

pub(super) async fn c012_life_by_a_function(s: &Server) -> Result<(), Failure> {
    let target = format!("/ttl/fn:7?{}", s.id());
    let first = s.get(&target).await?.miss()?.says("ttl", 7)?;
    equal("ttl", &ttl(&first), &7)?;
    s.get(&target).await?.hit()?.run(1)?;
    let zero = format!("/ttl/fn:0?{}", s.id());
    s.get(&zero).await?.unstored("zero-ttl")?;
    Ok(())
}

pub(super) async fn c012_failing_life_function_is_not_stored(s: &Server) -> Result<(), Failure> {
    let failing = format!("/ttl/fn:fail?{}", s.id());
    let zero = format!("/ttl/0?{}", s.id());
    for run in 1..=3 {
        s.get(&failing).await?.status(200)?.unstored("ttl-failed")?.run(run)?;
        s.get(&zero).await?.status(200)?.unstored("zero-ttl")?.run(run)?;
    }
    Ok(())
}

pub(super) async fn c013_until_the_end_of_day_and_week(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let zones =
        ["UTC", "Europe%2FParis", "America%2FNew_York", "Pacific%2FKiritimati", "Asia%2FKathmandu"];
    for zone in zones {
        for (kind, longest) in [("day", 25 * 3600), ("week", 7 * 86_400 + 3600)] {
            let target = format!("/ttl/{kind}:{zone}?{id}");
            let answer = s.get(&target).await?.status(200)?.miss()?;
            let told = answer.json("ttl").as_i64().unwrap_or_default();
            let close = (ttl(&answer) - told).abs() <= 1 && (1..=longest).contains(&told);
            expect(close, "the end that the calendar says", &answer)?;
            s.get(&target).await?.hit()?;
        }
    }
    s.get(&format!("/ttl/day:Mars%2FBase?{id}")).await?.status(400)?;
    Ok(())
}

pub(super) async fn c013_zone_of_the_application(s: &Server) -> Result<(), Failure> {
    let reference = async |kind: &str| -> Result<i64, Failure> {
        Ok(ttl(&s.get(&format!("/ttl/{kind}:Asia%2FTokyo?{}", s.id())).await?.miss()?))
    };
    let cases = [
        (r#"{"ttl":{"end_of_day":null},"time_zone":"Asia/Tokyo"}"#, "day"),
        (r#"{"ttl":{"end_of_day":"Asia/Tokyo"},"time_zone":"UTC"}"#, "day"),
        (r#"{"ttl":{"end_of_week":{}},"time_zone":"Asia/Tokyo"}"#, "week"),
    ];
    for (policy, kind) in cases {
        let other = s.with_policy(policy).await?;
        let life = ttl(&other.get("/json").await?.miss()?);
        let expected = reference(kind).await?;
        // Midnight may lie between the two questions.
        let close = (life - expected).abs() <= 5 || expected > 86_000;
        expect(close, format!("{policy}: about {expected}"), life)?;
    }
    let week =
        |day: &str| format!(r#"{{"ttl":{{"end_of_week":{{"zone":"UTC","first_day":"{day}"}}}}}}"#);
    let mut lives = Vec::new();
    for day in ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] {
        let other = s.with_policy(&week(day)).await?;
        lives.push(ttl(&other.get("/json").await?.miss()?));
    }
    // Seven different ends, each a day from another, modulo the seconds that pass meanwhile.
    lives.sort_unstable();
    let steps = lives.windows(2).filter_map(|pair| Some(pair.get(1)? - pair.first()?));
    let even = steps.clone().count() == 6 && steps.clone().all(|step| (step - 86_400).abs() < 60);
    expect(even, "ends that are a day apart", format!("{lives:?}"))
}

pub(super) async fn c101_stale_while_revalidate(s: &Server) -> Result<(), Failure> {
    let target = format!("/swr/{}", s.id());
    s.get(&target).await?.miss()?.run(1)?;
    // Nobody asks before it is stale: on a busy machine that might be then already.
    tokio::time::sleep(Duration::from_millis(1050)).await;
    let stale = s.get(&target).await?.hit()?.run(1)?;
    let told = stale.parameter("detail");
    equal("detail", &told, &Some("stale-while-revalidate".to_owned()))?;
    // Behind it, one run replaces it.
    s.until("the refreshed answer", async || {
        let answer = s.get(&target).await?.hit()?;
        Ok(answer.n() >= 2)
    })
    .await?;
    Ok(())
}

pub(super) async fn c101_stale_if_error(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let (target, cold) = (format!("/sie/{id}"), format!("/sie/{id}-cold"));
    s.get(&target).await?.miss()?.run(1)?;
    s.send(&super::client::Request::post("/admin/origin?fail=1", "")).await?.status(200)?;
    tokio::time::sleep(Duration::from_millis(1050)).await;
    for run in 2..=3 {
        let stale = s.get(&target).await?.status(200)?.hit()?.run(1)?;
        equal("detail", &stale.parameter("detail"), &Some("stale-if-error".to_owned()))?;
        equal("runs", &s.runs("/sie/{id}", &id).await?, &run)?;
        expect(ttl(&stale) <= 0, "a negative life", &stale)?;
    }
    s.get(&cold).await?.status(500)?.unstored("status")?;
    s.send(&super::client::Request::post("/admin/origin?fail=0", "")).await?.status(200)?;
    s.get(&target).await?.status(200)?.miss()?.run(4)?;
    s.get(&target).await?.status(200)?.hit()?.run(4)?;
    Ok(())
}
