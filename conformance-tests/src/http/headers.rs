//! What is said in the head.

use std::time::Duration;

use tokio::time::Instant;

use super::client::{Request, Response};
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c003_status_header_is_configurable(s: &Server) -> Result<(), Failure> {
    let named = r#"{"status_header":{"name":"X-Mine","hit":"yes","miss":"no"}}"#;
    let mine = s.with_policy(named).await?;
    for (x_mine, run) in [("no", 1), ("yes", 1)] {
        let answer = mine.get("/json").await?.run(run)?;
        equal("x-mine", &answer.lines("x-mine"), &vec![x_mine.to_owned()])?;
        expect(!answer.has("x-cache"), "no `X-Cache`", &answer)?;
    }
    let part = s.with_policy(r#"{"status_header":{"hit":"got it"}}"#).await?;
    equal("x-cache", &part.get("/json").await?.x_cache(), &Some("MISS".to_owned()))?;
    equal("x-cache", &part.get("/json").await?.x_cache(), &Some("got it".to_owned()))?;

    let none = s.with_policy(r#"{"status_header":null}"#).await?;
    for told in ["stored", "hit"] {
        let answer = none.get("/json").await?;
        expect(!answer.has("x-cache"), "no `X-Cache`", &answer)?;
        expect(answer.parameter(told).is_some(), format!("`{told}`"), &answer)?;
    }
    Ok(())
}

pub(super) async fn c005_no_status_header_on_what_is_not_stored(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let get = |target: &str| Request::get(format!("{target}{id}"));
    let cases = [
        (get("/fail?"), "status"),
        (get("/ttl/0?"), "zero-ttl"),
        (get("/ttl/fn:fail?"), "ttl-failed"),
        (get("/json?").field("authorization", "x"), "authorization"),
        (get("/json?").field("cookie", "a=b"), "cookie"),
        (get("/json?").field("if-match", "\"x\""), "precondition"),
        (get("/hdr?set=set-cookie:a=b&"), "set-cookie"),
        (get("/hdr?set=vary:*&"), "vary"),
        (Request::post(format!("/multi?{id}"), "x"), "method"),
    ];
    for (request, reason) in cases {
        s.send(&request).await?.unstored(reason)?;
    }
    Ok(())
}

pub(super) async fn c024_connection_fields_are_not_replayed(s: &Server) -> Result<(), Failure> {
    let set = "set=connection:x-hop&set=x-hop:1&set=keep-alive:timeout=9&set=x-end:1";
    let target = format!("/hdr?{set}&{}", s.id());
    s.get(&target).await?.miss()?;
    let hit = s.get(&target).await?.hit()?;
    for name in ["x-hop", "keep-alive"] {
        expect(!hit.has(name), format!("no `{name}`"), format!("{:?}", hit.fields))?;
    }
    equal("x-end", &hit.lines("x-end"), &vec!["1".to_owned()])
}

pub(super) async fn c024_the_framing_is_the_servers(s: &Server) -> Result<(), Failure> {
    for field in ["content-length:3", "transfer-encoding:chunked"] {
        let target = format!("/hdr?set={field}&set=x-end:1&{}", s.id());
        let miss = s.get(&target).await?.miss()?;
        let hit = s.get(&target).await?.hit()?;
        equal("the body", &hit.body, &miss.body)?;
        equal("x-end", &hit.lines("x-end"), &vec!["1".to_owned()])?;
    }
    Ok(())
}

/// The members of `Vary`, sorted; and whether any occurs twice.
fn vary(lines: &[String]) -> Vec<String> {
    let mut names: Vec<String> = lines
        .iter()
        .flat_map(|line| line.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    names.sort_unstable();
    names
}

pub(super) async fn c045_vary_emitted_and_merged(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"vary":["Accept-Language","x-a"]}"#).await?;
    let expected = ["accept-language", "x-a", "x-b"].map(str::to_owned).to_vec();
    let target = "/hdr?set=vary:X-B&set=vary:X-A,accept-language";
    for hit in [false, true] {
        let answer = s.get(target).await?;
        let answer = if hit { answer.hit()? } else { answer.miss()? };
        equal("Vary", &vary(&answer.lines("vary")), &expected)?;
    }
    let etag = s.get(target).await?.field("etag").unwrap_or_default();
    let not_modified = s.get_with(target, "if-none-match", &etag).await?.status(304)?;
    equal("Vary of the 304", &vary(&not_modified.lines("vary")), &expected)?;
    s.get_with(target, "x-a", "1").await?.miss()?;
    s.get_with(target, "x-b", "1").await?.miss()?;
    let plain = s.get("/json").await?.miss()?;
    equal("Vary", &vary(&plain.lines("vary")), &expected.iter().take(2).cloned().collect())
}

pub(super) async fn c046_vary_star_is_never_stored(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    for (value, run) in [("*", 1), ("*", 2), ("x-a,%20*", 1), ("x-a,%20*", 2)] {
        let answer = s.get(&format!("/hdr?set=vary:{value}&{id}")).await?;
        answer.unstored("vary")?.run(run)?;
    }
    Ok(())
}

pub(super) async fn c047_handlers_vary_is_honoured(s: &Server) -> Result<(), Failure> {
    let target = format!("/negotiated?{}", s.id());
    let ask = async |language: &str| s.get_with(&target, "accept-language", language).await;
    for language in ["de", "fr", "de, en;q=0.5", ""] {
        ask(language).await?.miss()?.says("lang", language)?.run(1)?;
    }
    s.get(&target).await?.miss()?.says("lang", serde_json::Value::Null)?.run(1)?;
    for language in ["", "fr", "de, en;q=0.5", "de"] {
        ask(language).await?.hit()?.says("lang", language)?.run(1)?;
    }
    s.get(&target).await?.hit()?.says("lang", serde_json::Value::Null)?.run(1)?;
    // Told apart from a target that nothing is known of.
    let other = ask("it").await?.miss()?;
    equal("fwd", &other.parameter("fwd"), &Some("vary-miss".to_owned()))
}

pub(super) async fn c056_client_directives_are_ignored_under_a_ttl(
    s: &Server,
) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    s.get(&target).await?.miss()?;
    for value in ["no-cache", "no-store", "max-age=0", "only-if-cached, max-age=0", "min-fresh=99"]
    {
        s.get_with(&target, "cache-control", value).await?.hit()?.run(1)?;
    }
    s.get_with(&target, "pragma", "no-cache").await?.hit()?.run(1)?;
    let fresh = format!("{target}x");
    s.get_with(&fresh, "cache-control", "no-store").await?.miss()?;
    s.get(&fresh).await?.hit()?;
    Ok(())
}

pub(super) async fn c056_client_directives_are_honoured_where_told(
    s: &Server,
) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"client_directives":"honour"}"#).await?;
    let with = async |value: &str| s.get_with("/json", "cache-control", value).await;
    let cold = with("only-if-cached").await?.status(504)?;
    expect(cold.x_cache().is_none(), "no `X-Cache`", &cold)?;
    s.get("/json").await?.miss()?.run(1)?;
    with("only-if-cached").await?.status(200)?.hit()?.run(1)?;
    with("max-stale, min-fresh=5").await?.hit()?.run(1)?;
    // Each fetches anew and replaces what is stored.
    let mut run = 1;
    for value in
        ["no-cache", "No-Cache", "x, NO-CACHE=\"a\"", "max-stale=5, no-cache", "min-fresh=61"]
    {
        run += 1;
        let answer = with(value).await?.run(run)?;
        equal("fwd", &answer.parameter("fwd"), &Some("request".to_owned()))?;
        s.get("/json").await?.hit()?.run(run)?;
    }
    let lines = Request::get("/json").field("cache-control", "max-age=60");
    s.send(&lines.clone()).await?.hit()?.run(run)?;
    run += 1;
    s.send(&lines.field("cache-control", "no-cache")).await?.miss()?.run(run)?;
    run += 1;
    s.get_with("/json", "pragma", "no-cache").await?.miss()?.run(run)?;
    // `Pragma` counts only where there is no `Cache-Control`.
    let both = Request::get("/json").field("pragma", "no-cache");
    s.send(&both.field("cache-control", "max-age=60")).await?.hit()?.run(run)?;
    // Neither looked up nor stored.
    with("no-store").await?.unstored("request-no-store")?.run(run + 1)?;
    s.get("/json").await?.hit()?.run(run)?;
    Ok(())
}

pub(super) async fn c059_response_directives_are_respected(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let cases = [
        ("no-store", "no-store"),
        ("private", "private"),
        ("no-cache", "no-cache"),
        ("max-age=60,%20PRIVATE", "private"),
        ("private=%22x%22", "private"),
    ];
    for (value, reason) in cases {
        for run in 1..=2 {
            let target = format!("/hdr?set=cache-control:{value}&{id}");
            s.get(&target).await?.unstored(reason)?.run(run)?;
        }
    }
    let lines = format!("/hdr?set=cache-control:max-age=9&set=cache-control:no-store&{id}");
    s.get(&lines).await?.unstored("no-store")?;
    // Under a TTL the application's word on the life goes before the response's.
    let short = format!("/hdr?set=cache-control:max-age=0&{id}");
    s.get(&short).await?.miss()?;
    let hit = s.get(&short).await?.hit()?;
    equal("Cache-Control", &hit.field("cache-control"), &Some("max-age=0".to_owned()))
}

pub(super) async fn c060_downstream_cache_control(s: &Server) -> Result<(), Failure> {
    let own = "/hdr?set=cache-control:max-age=7";
    let cases = [
        (r#"{"downstream":"leave"}"#, None),
        (r#"{"downstream":"max_age_remaining"}"#, Some("max-age=60")),
        (
            r#"{"downstream":{"fixed":"max-age=5, must-revalidate"}}"#,
            Some("max-age=5, must-revalidate"),
        ),
        (r#"{"downstream":"no_store"}"#, Some("no-store")),
    ];
    for (policy, expected) in cases {
        let s = s.with_policy(policy).await?;
        for _ in 0..2 {
            let answer = s.get("/json").await?;
            let told = answer.field("cache-control");
            equal(policy, &told, &expected.map(str::to_owned))?;
            let answer = s.get(own).await?;
            equal(policy, &answer.field("cache-control"), &Some("max-age=7".to_owned()))?;
        }
    }
    let s = s.with_policy(r#"{"downstream":"max_age_remaining","ttl":"3s"}"#).await?;
    s.get("/json").await?.miss()?;
    s.until("a smaller max-age", async || {
        let answer = s.get("/json").await?.hit()?;
        Ok(answer.field("cache-control").as_deref() == Some("max-age=2"))
    })
    .await
}

pub(super) async fn c064_age_counts(s: &Server) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    let asked = Instant::now();
    let first = s.get(&target).await?.miss()?;
    expect(!first.has("age"), "no `Age` on a miss", &first)?;
    let age = |answer: &Response| answer.field("age").and_then(|age| age.parse::<u64>().ok());
    let hit = s.get(&target).await?.hit()?;
    let most = asked.elapsed().as_secs();
    expect(age(&hit).is_some_and(|age| age <= most), "an age of no time", &hit)?;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let later = s.get(&target).await?.hit()?;
    let most = asked.elapsed().as_secs();
    let age = age(&later).unwrap_or_default();
    expect((1..=most).contains(&age), "an age of about a second", &later)?;
    let ttl: u64 = later.parameter("ttl").and_then(|ttl| ttl.parse().ok()).unwrap_or_default();
    equal("age and ttl together", &(age + ttl), &60)?;
    // What the origin says of its own age counts too.
    let old = format!("/hdr?set=age:30&{}", s.id());
    s.get(&old).await?;
    let hit = s.get(&old).await?.hit()?;
    equal("Age", &hit.lines("age"), &vec!["30".to_owned()])
}

pub(super) async fn c064_age_may_be_switched_off(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"age":false}"#).await?;
    s.get("/json").await?;
    let hit = s.get("/json").await?;
    equal("x-cache", &hit.x_cache(), &Some("HIT".to_owned()))?;
    expect(!hit.has("age"), "no `Age`", &hit)
}

pub(super) async fn c102_cache_status_says_why(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/json?{id}");
    let miss = s.get(&target).await?.miss()?;
    let said = "response-cache; fwd=uri-miss; fwd-status=200; stored; ttl=60";
    equal("Cache-Status", &miss.cache_status(), &said.to_owned())?;
    let hit = s.get(&target).await?.hit()?;
    expect(hit.cache_status().starts_with("response-cache; hit; ttl="), "a hit", &hit)?;
    let failed = s.get(&format!("/fail?{id}")).await?;
    let said = "response-cache; fwd=uri-miss; fwd-status=500; detail=status";
    equal("Cache-Status", &failed.cache_status(), &said.to_owned())?;
    let past = s.get_with(&target, "authorization", "x").await?;
    let said = "response-cache; fwd=bypass; detail=authorization";
    equal("Cache-Status", &past.cache_status(), &said.to_owned())?;
    // Members of caches nearer to the origin come first and stay.
    let inner = format!("/hdr?set=cache-status:inner;%20hit&{id}");
    for _ in 0..2 {
        let answer = s.get(&inner).await?;
        let lines = answer.lines("cache-status");
        equal("the first", &lines.first().cloned(), &Some("inner; hit".to_owned()))?;
        equal("members", &lines.len(), &2)?;
    }
    Ok(())
}

pub(super) async fn c102_cache_status_detail_and_off(s: &Server) -> Result<(), Failure> {
    let detailed = s.with_policy(r#"{"cache_status":"detail"}"#).await?;
    let (miss, hit) = (detailed.get("/json").await?.miss()?, detailed.get("/json").await?.hit()?);
    let key = |answer: &Response| answer.parameter("key");
    expect(key(&miss).is_some_and(|key| key.len() > 10), "the key", &miss)?;
    equal("the key", &key(&hit), &key(&miss))?;
    let off = s.with_policy(r#"{"cache_status":"off"}"#).await?;
    for x_cache in ["MISS", "HIT"] {
        let answer = off.get("/json").await?;
        expect(!answer.has("cache-status"), "no `Cache-Status`", &answer)?;
        equal("x-cache", &answer.x_cache(), &Some(x_cache.to_owned()))?;
    }
    Ok(())
}

pub(super) async fn c065_expires_is_the_handlers(s: &Server) -> Result<(), Failure> {
    let date = "Wed, 21 Oct 2099 07:28:00 GMT";
    let own = format!("/hdr?set=expires:{}", date.replace(' ', "%20"));
    let downstream = [
        ("\"leave\"", None),
        ("\"max_age_remaining\"", None),
        (r#"{"fixed":"max-age=5"}"#, None),
        // Which allows nobody anything.
        ("\"no_store\"", Some("no-store")),
    ];
    for (value, added) in downstream {
        let s = s.with_policy(&format!(r#"{{"downstream":{value}}}"#)).await?;
        // What the handler says of its answer's life is not contradicted.
        let (miss, hit) = (s.get(&own).await?.miss()?, s.get(&own).await?.hit()?);
        for answer in [&miss, &hit] {
            equal("`Expires`", &answer.lines("expires"), &vec![date.to_owned()])?;
            equal("`Cache-Control`", &answer.field("cache-control").as_deref(), &added)?;
        }
        // And none is made up.
        for answer in [s.get("/json").await?.miss()?, s.get("/json").await?.hit()?] {
            expect(!answer.has("expires"), "no `Expires`", format!("{:?}", answer.fields))?;
        }
    }
    Ok(())
}
