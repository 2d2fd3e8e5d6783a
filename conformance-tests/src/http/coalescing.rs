//! Concurrent requests for the same thing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::{join, join_all};

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c095_a_thousand_cold_requests_run_once(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let request = Request::get(format!("/slow/1500?id={id}"));
    // Each asks as soon as it is connected: servers close what is silent for seconds.
    let answers = join_all((0..1000).map(|_| s.send(&request))).await;
    let mut bodies = BTreeSet::new();
    let (mut misses, mut collapsed) = (0, 0);
    for answer in answers {
        let answer = answer?.status(200)?;
        bodies.insert(answer.body.clone());
        if answer.x_cache().as_deref() == Some("MISS") {
            misses += 1;
        } else {
            collapsed += u32::from(answer.hit()?.parameter("collapsed").is_some());
        }
    }
    equal("runs", &s.runs_of("/slow/{ms}", &id).await?, &1)?;
    equal("different bodies", &bodies.len(), &1)?;
    equal("misses", &misses, &1)?;
    // All that come while it runs. How many come only after it is up to the machine.
    expect(collapsed > 0, "some to have waited for the one run", collapsed)
}

pub(super) async fn c095_leaders_client_leaves(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/slow/500?id={id}");
    let mut leader = s.connect().await?;
    leader.send(&Request::get(&target)).await?;
    s.until_runs("/slow/{ms}", &id, 1).await?;
    let mut followers = Vec::new();
    for _ in 0..20 {
        let mut follower = s.connect().await?;
        follower.send(&Request::get(&target)).await?;
        followers.push(follower);
    }
    drop(leader);
    for follower in &mut followers {
        follower.response().await?.status(200)?.hit()?.run(1)?;
    }
    equal("runs", &s.runs_of("/slow/{ms}", &id).await?, &1)
}

pub(super) async fn c095_leaders_client_leaves_alone(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/slow/200?id={id}");
    let mut leader = s.connect().await?;
    leader.send(&Request::get(&target)).await?;
    s.until_runs("/slow/{ms}", &id, 1).await?;
    drop(leader);
    // The run goes on; whoever comes later has its answer.
    s.get(&target).await?.status(200)?.hit()?.run(1)?;
    equal("runs", &s.runs_of("/slow/{ms}", &id).await?, &1)
}

pub(super) async fn c095_followers_get_their_own_language(s: &Server) -> Result<(), Failure> {
    for _ in 0..15 {
        let target = format!("/negotiated?{}", s.id());
        let languages = ["de", "fr", "it", "de", "en", "fr", "es", "pt"];
        let asked = join_all((0..40).map(|index| {
            let language = languages.get(index % languages.len()).copied().unwrap_or_default();
            let request = Request::get(&target).field("accept-language", language);
            async move { (language, s.send(&request).await) }
        }));
        for (language, answer) in asked.await {
            answer?.status(200)?.says("lang", language)?;
        }
        for language in languages {
            s.get_with(&target, "accept-language", language)
                .await?
                .hit()?
                .says("lang", language)?;
        }
    }
    Ok(())
}

pub(super) async fn c095_followers_are_judged_by_their_own_conditions(
    s: &Server,
) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/slow/400?id={id}");
    let mut leader = s.connect().await?;
    leader.send(&Request::get(&target)).await?;
    s.until_runs("/slow/{ms}", &id, 1).await?;
    let same = async { s.get_with(&target, "if-none-match", "*").await };
    let (same, plain) = join(same, s.get(&target)).await;
    same?.status(304)?;
    plain?.status(200)?.run(1)?;
    leader.response().await?.status(200)?.run(1)?;
    let head = s.ask("HEAD", &target).await?.hit()?;
    expect(head.body.is_empty(), "no body", &head)
}

pub(super) async fn c095_failing_leader_leaves_nobody_hanging(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/fail?{id}");
    let answers = join_all((0..50).map(|_| s.get(&target))).await;
    for answer in answers {
        let answer = answer?.status(500)?;
        expect(answer.x_cache().is_none(), "no `X-Cache`", &answer)?;
        expect(answer.ended_after < Duration::from_secs(4), "no wait", &answer)?;
    }
    // Exactly one run for each.
    equal("runs", &s.runs_of("/fail", &id).await?, &50)
}

pub(super) async fn c095_panicking_leader_leaves_nobody_hanging(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/panic?{id}");
    let answers = join_all((0..20).map(|_| s.get(&target))).await;
    for answer in answers {
        match answer {
            Err(failure) if failure.is_closed() => {}
            Err(failure) => return Err(failure),
            Ok(answer) => return Err(Failure::new("no answer at all", &answer)),
        }
    }
    equal("runs", &s.runs_of("/panic", &id).await?, &20)?;
    s.get(&format!("/n/{id}")).await?.status(200)?;
    Ok(())
}

/// A busy machine may bring the last request only after the first run; then slower ones are tried.
pub(super) async fn c095_off_per_route(s: &Server) -> Result<(), Failure> {
    for delay in [1_000, 4_000, 12_000] {
        let target = format!("/nocoalesce/{delay}?id={}", s.id());
        let mut connections = Vec::new();
        for _ in 0..3 {
            let mut connection = s.connect().await?;
            connection.send(&Request::get(&target)).await?;
            connections.push(connection);
        }
        let mut runs = Vec::new();
        for connection in &mut connections {
            let answer = connection.response().await?.status(200)?;
            expect(answer.parameter("collapsed").is_none(), "no wait for another's run", &answer)?;
            runs.push(answer.n());
        }
        s.get(&target).await?.hit()?;
        runs.sort_unstable();
        if runs == [1, 2, 3] {
            return Ok(());
        }
    }
    Err(Failure::new("three runs at a time", "an answer of another's run each time"))
}

pub(super) async fn c095_waiting_is_bounded(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"coalesce":{"wait":"100ms"}}"#).await?;
    let target = "/slow/1500?id=x";
    let mut leader = s.connect().await?;
    leader.send(&Request::get(target)).await?;
    s.until_runs("/slow/{ms}", "id=x", 1).await?;
    let mut follower = s.connect().await?;
    follower.send(&Request::get(target)).await?;
    // It runs alone long before the leader has ended.
    s.until_runs("/slow/{ms}", "id=x", 2).await?;
    let waited = follower.elapsed();
    expect(waited < Duration::from_millis(1000), "to give up soon", format!("{waited:?}"))?;
    follower.response().await?.status(200)?.run(2)?;
    leader.response().await?.status(200)?.run(1)?;
    Ok(())
}

pub(super) async fn c095_followers_are_bounded(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"coalesce":{"max_followers":2}}"#).await?;
    let target = "/slow/700?id=x";
    let mut connections = Vec::new();
    for expected in 1..=2 {
        // The leader, then two that wait and one that has no place to.
        let count = if expected == 1 { 1 } else { 3 };
        for _ in 0..count {
            let mut connection = s.connect().await?;
            connection.send(&Request::get(target)).await?;
            connections.push(connection);
        }
        s.until_runs("/slow/{ms}", "id=x", expected).await?;
    }
    let mut runs = Vec::new();
    for connection in &mut connections {
        runs.push(connection.response().await?.status(200)?.n());
    }
    runs.sort_unstable();
    equal("the runs that were answered", &runs, &vec![1, 1, 1, 2])
}

pub(super) async fn c099_slow_requests_do_not_stall_others(s: &Server) -> Result<(), Failure> {
    let s = s.fresh(&["--workers", "1"]).await?;
    let mut slow = Vec::new();
    for id in 0..50 {
        let mut connection = s.connect().await?;
        connection.send(&Request::get(format!("/slow/1500?id={id}"))).await?;
        slow.push(connection);
    }
    s.until_runs("/slow/{ms}", "id=", 50).await?;
    for _ in 0..5 {
        let answer = s.get("/n/1").await?.status(200)?;
        let soon = answer.ended_after < Duration::from_millis(700);
        expect(soon, "an answer at once", format!("{:?}", answer.ended_after))?;
    }
    for connection in &mut slow {
        connection.response().await?.status(200)?;
    }
    Ok(())
}

pub(super) async fn c099_blocking_work_does_not_stall_others(s: &Server) -> Result<(), Failure> {
    let s = s.fresh(&["--workers", "1"]).await?;
    let mut slow = Vec::new();
    for id in 0..8 {
        let mut connection = s.connect().await?;
        connection.send(&Request::get(format!("/more/blocking/1500?id={id}"))).await?;
        slow.push(connection);
    }
    s.until_runs("/more/blocking/{ms}", "id=", 8).await?;
    for _ in 0..5 {
        let answer = s.get("/n/1").await?.status(200)?;
        let soon = answer.ended_after < Duration::from_millis(700);
        expect(soon, "an answer at once", format!("{:?}", answer.ended_after))?;
    }
    for connection in &mut slow {
        connection.response().await?.status(200)?.miss()?;
    }
    s.get("/more/blocking/1500?id=0").await?.hit()?;
    Ok(())
}
