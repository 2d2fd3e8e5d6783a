//! A plain function, cached, behind a route that is not.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c043_a_functions_arguments_select_its_result(
    s: &Server,
) -> Result<(), Failure> {
    let (x, y) = (s.id(), s.id());
    let first = s.get(&format!("/fn?x={x}")).await?.status(200)?.run(1)?.says("runs", 1)?;
    expect(!first.has("x-cache") && !first.has("cache-status"), "an uncached route", &first)?;
    let again = s.get(&format!("/fn?x={x}")).await?.run(2)?.says("runs", 1)?;
    equal("the value", &again.json("value"), &first.json("value"))?;
    let other = s.get(&format!("/fn?x={y}")).await?.run(1)?.says("runs", 1)?;
    expect(other.json("value") != first.json("value"), "another value", &other)?;
    let answers = join_all((0..50).map(|_| s.get("/fn?x=together"))).await;
    for answer in answers {
        answer?.status(200)?.says("runs", 1)?;
    }
    Ok(())
}

pub(super) async fn c082_nothing_is_a_value_and_an_error_is_none(
    s: &Server,
) -> Result<(), Failure> {
    let (none, failed) = (s.get("/fn?x=none").await?, s.get("/fn?x=err").await?);
    let (runs, failures) = (none.json("runs").as_u64(), failed.json("runs").as_u64());
    none.status(200)?.says("value", Value::Null)?;
    failed.status(502)?;
    s.get("/fn?x=none").await?.says("value", Value::Null)?.says("runs", json!(runs))?;
    let next = failures.map(|runs| runs + 1);
    s.get("/fn?x=err").await?.status(502)?.says("runs", json!(next))?;
    s.get("/fn?x=").await?.status(200)?.says("runs", 1)?;
    s.get("/fn?x=").await?.status(200)?.says("runs", 1)?;
    Ok(())
}

pub(super) async fn c083_functions_are_invalidated_like_responses(
    s: &Server,
) -> Result<(), Failure> {
    s.get("/fn?x=a").await?.says("runs", 1)?;
    equal("removed", &s.invalidate(r#"{"all":true}"#).await?, &1)?;
    s.get("/fn?x=a").await?.says("runs", 2)?;
    s.get("/fn?x=a").await?.says("runs", 2)?;
    Ok(())
}

pub(super) async fn c084_codecs_per_call_and_per_cache(s: &Server) -> Result<(), Failure> {
    let x = s.id();
    let ask = async |codec: &str, runs: u64| -> Result<(), Failure> {
        let answer = s.get(&format!("/more/codec?x={x}&codec={codec}")).await?.status(200)?;
        answer.says("value", json!([x, -1.5, [1, 255]]))?.says("runs", runs)?;
        Ok(())
    };
    ask("binary", 1).await?;
    ask("binary", 1).await?;
    // Bytes of another codec are no value, and are written anew.
    ask("json", 2).await?;
    ask("json", 2).await?;
    // The cache's own codec is JSON, too.
    ask("cache", 2).await?;
    ask("binary", 3).await
}
