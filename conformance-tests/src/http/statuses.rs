//! Which statuses are stored.

use std::time::Duration;

use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c015_life_by_status(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"ttl_by_status":{"404":"5s","200":"7s"}}"#).await?;
    for (code, life) in [(404, "5"), (200, "7"), (201, "60")] {
        let target = format!("/status/{code}");
        let answer = s.get(&target).await?.status(code)?.miss()?;
        equal("ttl", &answer.parameter("ttl"), &Some(life.to_owned()))?;
        s.get(&target).await?.status(code)?.hit()?;
    }
    s.get("/status/410").await?.status(410)?.unstored("status")?;
    Ok(())
}

pub(super) async fn c020_any_2xx_but_206_is_stored(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    for code in [200, 201, 202, 203, 204, 205, 226, 299] {
        let target = format!("/status/{code}?{id}");
        let first = s.get(&target).await?.status(code)?.miss()?;
        let second = s.get(&target).await?.status(code)?.hit()?;
        equal("x-own", &second.lines("x-own"), &vec!["1".to_owned()])?;
        equal("the body", &second.body, &first.body)?;
        equal("the length", &second.field("content-length"), &first.field("content-length"))?;
    }
    for code in [206, 300, 301, 302, 304, 308, 400, 401, 404, 410, 418, 500, 502, 503, 599] {
        let target = format!("/status/{code}?{id}");
        s.get(&target).await?.status(code)?.unstored("status")?;
        s.get(&target).await?.status(code)?.unstored("status")?;
        equal("runs", &s.runs("/status/{code}", &format!("{code}?{id}")).await?, &2)?;
    }
    Ok(())
}

pub(super) async fn c021_configured_statuses_only(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"statuses":[404,500]}"#).await?;
    for code in [404, 500] {
        let target = format!("/status/{code}");
        s.get(&target).await?.status(code)?.miss()?.run(1)?;
        s.get(&target).await?.status(code)?.hit()?.run(1)?;
    }
    s.get("/status/200").await?.unstored("status")?;
    // The route's own word wins.
    s.get("/redirect").await?.status(307)?.miss()?;
    Ok(())
}

pub(super) async fn c022_errors_are_never_stored(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    for run in 1..=3 {
        s.get(&format!("/fail?{id}")).await?.status(500)?.unstored("status")?.run(run)?;
    }
    let once = format!("/fail-once/{id}");
    s.get(&once).await?.status(500)?.unstored("status")?.run(1)?;
    s.get(&once).await?.status(200)?.miss()?.run(2)?;
    s.get(&once).await?.status(200)?.hit()?.run(2)?;
    Ok(())
}

pub(super) async fn c022_a_panic_closes_the_connection_and_nothing_else(
    s: &Server,
) -> Result<(), Failure> {
    let id = s.id();
    for run in 1..=3 {
        match s.get(&format!("/panic?{id}")).await {
            Err(failure) if failure.is_closed() => {}
            Err(failure) => return Err(failure),
            Ok(answer) => return Err(Failure::new("no answer at all", &answer)),
        }
        equal("runs", &s.runs("/panic", &format!("?{id}")).await?, &run)?;
    }
    let answer = s.get(&format!("/n/{id}")).await?.miss()?;
    expect(answer.status == 200, "other routes to answer", &answer)
}

/// On a busy machine it may be over before the second request; then a longer one is wished for.
async fn wished_life(s: &Server) -> Result<(), Failure> {
    for life in [1_500, 6_000] {
        let short = format!("/more/wish?ttl={life}ms&{}", s.id());
        s.get(&short).await?.miss()?;
        let second = s.get(&short).await?;
        tokio::time::sleep(Duration::from_millis(life + 100)).await;
        let later = s.get(&short).await?.miss()?;
        if second.n() == 1 {
            second.hit()?;
            return later.run(2).map(drop);
        }
    }
    Err(Failure::new("a hit within the life that was wished for", "none in two tries"))
}

pub(super) async fn c015_life_by_the_handler(s: &Server) -> Result<(), Failure> {
    wished_life(s).await?;
    for (query, reason) in [("ttl=0s", "zero-ttl"), ("refuse=1", "handler")] {
        let target = format!("/more/wish?{query}&{}", s.id());
        for run in 1..=2 {
            s.get(&target).await?.unstored(reason)?.run(run)?;
        }
    }
    // The first client keeps its cookie, nobody else gets it.
    let stripped = format!("/more/wish?strip=1&{}", s.id());
    let own = s.get(&stripped).await?.miss()?;
    equal("the cookie", &own.lines("set-cookie"), &vec!["session=1".to_owned()])?;
    let hit = s.get(&stripped).await?.hit()?.run(1)?;
    expect(!hit.has("set-cookie"), "nobody else's cookie", &hit)
}
