//! Bodies that are produced bit by bit.

use std::time::Duration;

use super::client::{Body, Request};
use super::scenario::{Expect as _, Failure, Server, equal, expect};

fn chunks(count: u32) -> String {
    (0..count).map(|chunk| format!("chunk {chunk}\n")).collect()
}

pub(super) async fn c028_chunks_go_out_as_they_are_produced(s: &Server) -> Result<(), Failure> {
    let target = format!("/stream?chunks=4&delay_ms=300&id={}", s.id());
    let mut connection = s.connect().await?;
    connection.send(&Request::get(&target)).await?;
    let mut response = connection.head().await?.miss()?;
    let mut arrivals = Vec::new();
    while let Some(part) = connection.part(&mut response).await? {
        arrivals.push((connection.elapsed(), String::from_utf8_lossy(&part).into_owned()));
        response.body.extend_from_slice(&part);
    }
    equal("the body", &response.text(), &chunks(4))?;
    equal("the parts", &arrivals.len(), &4)?;
    let first = arrivals.first().map(|(after, _)| *after).unwrap_or_default();
    let last = arrivals.last().map(|(after, _)| *after).unwrap_or_default();
    // 900 ms lie between them at the origin.
    let apart = last.saturating_sub(first) > Duration::from_millis(600);
    expect(apart, "chunks as they are produced", format!("{arrivals:?}"))?;

    let early = response.head_after + Duration::from_millis(600) < last;
    expect(early, "the head long before the end", format!("{:?}", response.head_after))?;

    let hit = s.get(&target).await?.hit()?;
    equal("the body", &hit.text(), &chunks(4))?;
    let soon = hit.ended_after < Duration::from_millis(900);
    expect(soon, "a hit at once", format!("{:?}", hit.ended_after))
}

pub(super) async fn c029_a_broken_stream_is_not_stored(s: &Server) -> Result<(), Failure> {
    for fail_at in [0, 1, 4] {
        let id = s.id();
        let target = format!("/stream?chunks=5&delay_ms=5&fail_at={fail_at}&id={id}");
        for run in 1..=2 {
            match s.get(&target).await {
                Ok(answer) => {
                    equal("the end", &answer.end, &Body::Truncated)?;
                    expect(chunks(fail_at).starts_with(&answer.text()), "a part", &answer)?;
                    expect(answer.x_cache().as_deref() != Some("HIT"), "no hit", &answer)?;
                }
                // The break may overtake the head.
                Err(failure) if failure.is_closed() => {}
                Err(failure) => return Err(failure),
            }
            equal("runs", &s.runs_of("/stream", &id).await?, &run)?;
        }
    }
    Ok(())
}

pub(super) async fn c029_an_aborted_client_stores_the_whole_or_nothing(
    s: &Server,
) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/stream?chunks=6&delay_ms=50&id={id}");
    let mut connection = s.connect().await?;
    connection.send(&Request::get(&target)).await?;
    let mut response = connection.head().await?;
    connection.part(&mut response).await?;
    drop(connection);
    let again = s.get(&target).await?;
    equal("the body", &again.text(), &chunks(6))?;
    equal("the end", &again.end, &Body::Complete)?;
    equal("the body", &s.get(&target).await?.hit()?.text(), &chunks(6))?;
    // The second waits for the first's stream, though not for ever.
    let runs = s.runs_of("/stream", &id).await?;
    expect(runs == 1 || again.x_cache().as_deref() == Some("MISS"), "one run", &again)?;
    expect(runs <= 2, "at most two runs", runs)
}

pub(super) async fn c030_largest_body(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"max_body":1000}"#).await?;
    s.get("/bytes/1000").await?.miss()?;
    s.get("/bytes/1000").await?.hit()?;
    for run in 1..=2 {
        let answer = s.get("/bytes/1001").await?.unstored("too-large")?;
        equal("the length", &answer.body.len(), &1001)?;
        equal("runs", &s.runs("/bytes/{n}", "1001").await?, &run)?;
    }
    Ok(())
}

pub(super) async fn c030_the_limit_may_be_raised(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"max_body":9000000}"#).await?;
    s.get("/bytes/9000000").await?.miss()?;
    let answer = s.get("/bytes/9000000").await?.hit()?;
    equal("the length", &answer.body.len(), &9_000_000)
}

pub(super) async fn c030_a_stream_over_the_limit_passes_untouched(
    s: &Server,
) -> Result<(), Failure> {
    // Its length is not known before its end: 900 chunks of 8 or more bytes.
    let s = s.with_policy(r#"{"max_body":1000}"#).await?;
    for run in 1..=2 {
        let answer = s.get("/stream?chunks=900").await?.status(200)?;
        equal("the end", &answer.end, &Body::Complete)?;
        expect(answer.text() == chunks(900), "the whole stream", answer.body.len())?;
        expect(answer.x_cache().as_deref() != Some("HIT"), "no hit", answer.cache_status())?;
        equal("runs", &s.runs_of("/stream", "chunks=900").await?, &run)?;
    }
    s.get("/stream?chunks=9").await?.miss()?;
    s.get("/stream?chunks=9").await?.hit()?;
    Ok(())
}

pub(super) async fn c030_default_limit_is_8_mib(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let over = (8 << 20) + 1;
    for _ in 0..2 {
        let answer = s.get(&format!("/bytes/{over}?{id}")).await?;
        expect(answer.body.len() == over, "the whole body", answer.body.len())?;
        expect(answer.x_cache().is_none(), "no `X-Cache`", answer.cache_status())?;
        equal("detail", &answer.parameter("detail"), &Some("too-large".to_owned()))?;
    }
    Ok(())
}
