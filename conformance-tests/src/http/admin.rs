//! The whole cache: its start and end, its switch, what it tells of itself.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::Request;
use super::process::StartError;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c006_no_external_service_is_needed(s: &Server) -> Result<(), Failure> {
    let s = s.fresh(&["--store", "memory"]).await?;
    s.get("/json").await?.miss()?;
    s.get("/json").await?.hit()?;
    Ok(())
}

pub(super) async fn c008_expired_entries_go_without_a_read(s: &Server) -> Result<(), Failure> {
    let keys = async || -> Result<Vec<String>, Failure> {
        let keys = s.get("/admin/keys").await?.json("keys");
        let keys = keys.as_array().into_iter().flatten();
        Ok(keys.filter_map(|key| key.as_str().map(str::to_owned)).collect())
    };
    // On a busy machine it may go before the list is made; then a longer life is tried.
    for life in [1, 3, 6] {
        let target = format!("/ttl/{life}s?{}", s.id());
        let explained = s.explain("GET", &target).await?;
        let key = explained.iter().find(|(step, _)| step == "key").map(|(_, key)| key.clone());
        let key = key.ok_or_else(|| Failure::new("a key", format!("{explained:?}")))?;
        s.get(&target).await?.miss()?;
        let ours = |keys: &[String]| keys.iter().any(|name| name.contains(&key));
        let listed = ours(&keys().await?);
        s.until("the key to go by itself", async || Ok(!ours(&keys().await?))).await?;
        if listed {
            return Ok(());
        }
    }
    Err(Failure::new("the key in the list", "no try has seen it there"))
}

impl Server {
    async fn explain(&self, method: &str, target: &str) -> Result<Vec<(String, String)>, Failure> {
        let asked = json!({ "method": method, "uri": target, "headers": {} }).to_string();
        let told = self.send(&Request::post("/admin/explain", asked)).await?.status(200)?;
        let text = |decision: &Value, name: &str| {
            decision.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let decisions = told.json("decisions");
        let decisions = decisions.as_array().into_iter().flatten();
        Ok(decisions.map(|d| (text(d, "step"), text(d, "outcome"))).collect())
    }
}

pub(super) async fn c089_starts_and_stops_with_its_process(s: &Server) -> Result<(), Failure> {
    let busy = s.fresh(&[]).await?;
    busy.get("/json").await?.miss()?;
    let mut idle = busy.connect().await?;
    let mut slow = busy.connect().await?;
    slow.send(&Request::get("/slow/30000")).await?;
    busy.until_runs("/slow/{ms}", "30000", 1).await?;
    let (code, took) = busy.stop().await?;
    equal("the exit code", &code, &Some(0))?;
    expect(took < Duration::from_secs(1), "an end within a second", format!("{took:?}"))?;
    let gone = async {
        idle.send(&Request::get("/json")).await?;
        idle.response().await
    };
    expect(gone.await.is_err(), "no server any more", "an answer")
}

pub(super) async fn c089_bad_policies_are_named(s: &Server) -> Result<(), Failure> {
    let cases = [
        (r#"{"tll":"5s"}"#, "tll"),
        (r#"{"ttl":"soon"}"#, "ttl"),
        (r#"{"ttl":"-1s"}"#, "ttl"),
        (r#"{"ttl":{"end_of_day":"Mars/Base"}}"#, "Mars/Base"),
        (r#"{"ttl":{"end_of_day":null}}"#, "time"),
        (r#"{"statuses":[]}"#, "statuses"),
        (r#"{"statuses":[206]}"#, "206"),
        (r#"{"methods":["CONNECT"]}"#, "CONNECT"),
        (r#"{"methods":["get"]}"#, "capitals"),
        (r#"{"downstream":{"fixed":""}}"#, "downstream"),
        (r#"{"namespace":"users"}"#, r#"{"name":"users""#),
        (r#"{"vary":["*"]}"#, "vary"),
        (r#"{"tags":["user:{id"]}"#, "tags"),
        (r#"{"namespace":{"name":"a::b"}}"#, "namespace"),
        (r#"{"namespace":{"name":"a","combine":"mix"}}"#, "namespace"),
        (r#"{"cookies":{"key":[]}}"#, "cookies"),
        (r#"{"status_header":{"name":"a b"}}"#, "status_header"),
        (r#"{"downstream":{"fixed":"a\nb"}}"#, "downstream"),
        (r#"{"etag":"stong"}"#, "etag"),
        (r#"{"max_fill":"0s"}"#, "max_fill"),
        (r#"{"coalesce":{"wait":"0s"}}"#, "coalesce"),
        (r#"{"ttl":"5s","ttl":"6s"}"#, "ttl"),
        ("[]", "policy"),
        ("{", "policy"),
    ];
    for (policy, named) in cases {
        match s.try_fresh(&["--policy", policy]).await? {
            Err(StartError::Refused { line, code, message }) => {
                equal(policy, &code, &Some(2))?;
                equal("standard output", &line, &String::new())?;
                expect(message.contains(named), format!("{policy}: {named} named"), &message)?;
            }
            Err(error) => return Err(Failure::new("a refusal", error)),
            Ok(_) => return Err(Failure::new(format!("{policy} to be refused"), "a start")),
        }
    }
    Ok(())
}

pub(super) async fn c089_unusable_stores_are_refused(s: &Server) -> Result<(), Failure> {
    let stores = [
        ("nonsense", "nonsense"),
        ("redis://:secret@127.0.0.1:1/0", "127.0.0.1:1"),
        ("redis://127.0.0.1:notaport", "port"),
        ("unix:///nonexistent/redis.sock", "/nonexistent/redis.sock"),
    ];
    for (store, named) in stores {
        match s.try_fresh(&["--store", store]).await? {
            Err(StartError::Refused { code, message, .. }) => {
                equal(store, &code, &Some(2))?;
                expect(message.contains(named), format!("{named} named"), &message)?;
                let causes: Vec<&str> = message.trim().split(": ").collect();
                let repeated = causes.windows(2).any(|pair| pair.first() == pair.last());
                expect(!repeated, "each cause once", &message)?;
                expect(!message.contains("secret"), "no password", &message)?;
            }
            Err(error) => return Err(Failure::new("a refusal", error)),
            Ok(_) => return Err(Failure::new(format!("{store} to be refused"), "a start")),
        }
    }
    Ok(())
}

pub(super) async fn c089_bad_arguments_are_named(s: &Server) -> Result<(), Failure> {
    let cases = [
        (["--listen", "nowhere"], "--listen"),
        (["--workers", "0"], "--workers"),
        (["--workers", "1000000"], "--workers"),
        (["--cas-file", "/dev/null/registers"], "--cas-file"),
        (["--nonsense", "1"], "--nonsense"),
    ];
    for (arguments, named) in cases {
        match s.try_fresh(&arguments).await? {
            Err(StartError::Refused { line, code, message }) => {
                equal(named, &code, &Some(2))?;
                equal("standard output", &line, &String::new())?;
                expect(message.contains(named), format!("{named} named"), &message)?;
            }
            Err(error) => return Err(Failure::new("a refusal", error)),
            Ok(_) => return Err(Failure::new(format!("{arguments:?} to be refused"), "a start")),
        }
    }
    Ok(())
}

pub(super) async fn c094_switch(s: &Server) -> Result<(), Failure> {
    let switch =
        async |on: &str| s.send(&Request::post(format!("/admin/enable?on={on}"), "")).await;
    s.get("/json").await?.miss()?.run(1)?;
    switch("0").await?.status(200)?;
    for run in 2..=3 {
        let answer = s.get("/json").await?.unstored("switched-off")?.run(run)?;
        equal("fwd", &answer.parameter("fwd"), &Some("bypass".to_owned()))?;
    }
    s.get("/n/1").await?.unstored("switched-off")?;
    // Writes still invalidate while it is off.
    s.get("/users/1").await?;
    switch("1").await?.status(200)?;
    s.get("/users/1").await?.miss()?;
    switch("0").await?.status(200)?;
    s.ask("PUT", "/users/1?value=v1").await?.status(200)?;
    switch("1").await?.status(200)?;
    s.get("/users/1").await?.miss()?.says("value", "v1")?;
    s.get("/json").await?.hit()?.run(1)?;
    s.get("/n/1").await?.miss()?;
    switch("2").await?.status(400)?;
    Ok(())
}

pub(super) async fn c097_independent_caches(s: &Server) -> Result<(), Failure> {
    let other = s.fresh(&[]).await?;
    let target = format!("/json?{}", s.id());
    s.get(&target).await?.miss()?;
    other.get(&target).await?.miss()?;
    other.invalidate(r#"{"all":true}"#).await?;
    s.get(&target).await?.hit()?;
    other.get(&target).await?.miss()?;
    Ok(())
}

pub(super) async fn c101_statistics(s: &Server) -> Result<(), Failure> {
    s.get("/json").await?.miss()?;
    s.get("/json").await?.hit()?;
    s.get("/json").await?.hit()?;
    s.get("/fail").await?;
    s.get_with("/json", "authorization", "x").await?;
    s.get("/nocache/1").await?;
    s.invalidate(r#"{"keys":["/json"]}"#).await?;
    let stats = s.get("/admin/stats").await?.status(200)?;
    let expected = [
        ("hits", 2),
        ("misses", 2),
        ("bypasses", 1),
        ("stored", 1),
        ("not_stored", 1),
        ("invalidations", 1),
        ("removed", 1),
        ("store_errors", 0),
        ("stale_hits", 0),
    ];
    for (name, count) in expected {
        equal(name, &stats.json(name), &json!(count))?;
    }
    let reasons = stats.json("reasons");
    for (name, count) in [("absent", 2), ("status", 1), ("authorization", 1)] {
        equal(name, &reasons.get(name).cloned(), &Some(json!(count)))?;
    }
    Ok(())
}

pub(super) async fn c102_explain_runs_nothing(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/n/{id}");
    let verdict = async |method: &str, target: &str| -> Result<String, Failure> {
        let decisions = s.explain(method, target).await?;
        let last = decisions.last().cloned();
        let (step, outcome) = last.ok_or_else(|| Failure::new("decisions", "none"))?;
        equal("the last step", &step, &"verdict".to_owned())?;
        Ok(outcome)
    };
    equal("the verdict", &verdict("GET", &target).await?, &"miss; absent".to_owned())?;
    equal("runs", &s.runs("/n/{id}", &id).await?, &0)?;
    s.get(&target).await?.miss()?;
    let hit = verdict("GET", &target).await?;
    expect(hit.starts_with("hit; ttl="), "a hit", &hit)?;
    equal("the verdict", &verdict("DELETE", &format!("/multi?{id}")).await?, &"method".to_owned())?;
    equal("runs", &s.runs("/n/{id}", &id).await?, &1)?;
    equal("runs", &s.runs_of("/multi", &id).await?, &0)?;
    // A write that no cache knows of is not tried either.
    let refresh = format!("/users/{id}/refresh");
    equal("the verdict", &verdict("POST", &refresh).await?, &"method".to_owned())?;
    let asked = json!({ "uri": format!("/nocache/{id}") }).to_string();
    s.send(&Request::post("/admin/explain", asked)).await?.status(404)?;
    Ok(())
}

pub(super) async fn c097_independent_caches_of_one_process(s: &Server) -> Result<(), Failure> {
    let (here, there) = ("/more/replace/1", "/more/other/1");
    let both_hit = async || -> Result<(), Failure> {
        for target in [here, there] {
            s.get(target).await?;
            s.get(target).await?.hit()?;
        }
        Ok(())
    };
    both_hit().await?;
    s.invalidate(r#"{"all":true}"#).await?;
    s.get(there).await?.hit()?;
    s.get(here).await?.miss()?;
    equal("removed", &s.removed("/more/other-clear", "").await?, &1)?;
    s.get(here).await?.hit()?;
    s.get(there).await?.miss()?;
    s.ask("POST", "/admin/enable?on=0").await?.status(200)?;
    s.get(there).await?.hit()?;
    s.get(here).await?.unstored("switched-off")?;
    s.ask("POST", "/admin/enable?on=1").await?.status(200)?;
    both_hit().await
}
