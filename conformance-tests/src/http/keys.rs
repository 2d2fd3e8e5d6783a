//! What selects a stored response.

use serde_json::json;

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c001_second_get_is_a_byte_identical_hit(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/n/{id}");
    let first = s.get(&target).await?.miss()?.status(200)?;
    equal("the body", &first.text(), &format!("{id} 1"))?;
    let second = s.get(&target).await?.hit()?.status(200)?;
    equal("the body", &second.body, &first.body)?;
    equal("the type", &second.field("content-type"), &first.field("content-type"))?;
    equal("runs", &s.runs("/n/{id}", &id).await?, &1)?;
    let past = format!("/nocache/{id}");
    let (one, two) = (s.get(&past).await?, s.get(&past).await?);
    equal("past the cache", &[one.text(), two.text()], &[format!("{id} 1"), format!("{id} 2")])?;
    expect(!one.has("cache-status") && !one.has("x-cache"), "no word of a cache", &one)
}

pub(super) async fn c031_host_is_in_the_key_unless_told_otherwise(
    s: &Server,
) -> Result<(), Failure> {
    let on = |target: &str, host: &str| Request::get(target).host(host);
    let target = format!("/rawq?{}", s.id());
    s.send(&on(&target, "one.example")).await?.miss()?;
    s.send(&on(&target, "two.example")).await?.hit()?;

    let keyed = s.with_policy(r#"{"host_in_key":true}"#).await?;
    keyed.send(&on(&target, "one.example")).await?.miss()?.run(1)?;
    keyed.send(&on(&target, "two.example")).await?.miss()?.run(2)?;
    keyed.send(&on(&target, "ONE.example")).await?.hit()?.run(1)?;
    let forwarded = on(&target, "one.example").field("x-forwarded-host", "two.example");
    keyed.send(&forwarded.field("forwarded", "host=two.example")).await?.hit()?.run(1)?;
    // The target's own authority goes before `Host`.
    let absolute = format!("http://two.example{target}");
    keyed.send(&on(&absolute, "two.example")).await?.hit()?.run(2)?;
    Ok(())
}

pub(super) async fn c033_path_is_taken_as_sent(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let spellings = ["a", "A", "%61", "a%2Fb", "a%2fb", "a%20b", "a+b", "a;b", "%C3%A9", "a%00b"];
    for spelling in spellings {
        s.get(&format!("/n/{id}{spelling}")).await?.status(200)?.miss()?;
    }
    for spelling in spellings {
        s.get(&format!("/n/{id}{spelling}")).await?.hit()?;
    }
    // `?` with nothing after it is not the same target.
    s.get(&format!("/n/{id}a?")).await?.miss()?;
    Ok(())
}

pub(super) async fn c037_chosen_header_is_in_the_key(s: &Server) -> Result<(), Failure> {
    let target = format!("/lang?{}", s.id());
    let plain = Request::get(&target);
    let language = |value: &str| plain.clone().field("accept-language", value);
    let twice = language("de").field("accept-language", "fr");
    let asked = [plain.clone(), language(""), language("de"), language("de, fr"), twice];
    for request in &asked {
        let answer = s.send(request).await?.miss()?.status(200)?;
        equal("Vary", &answer.lines("vary"), &vec!["accept-language".to_owned()])?;
    }
    for request in &asked {
        let answer = s.send(request).await?.hit()?;
        equal("Vary", &answer.lines("vary"), &vec!["accept-language".to_owned()])?;
    }
    s.send(&language("de")).await?.hit()?.says("lang", "de")?;
    s.send(&plain).await?.hit()?.says("lang", serde_json::Value::Null)?;
    Ok(())
}

pub(super) async fn c038_keys_are_short_and_stable_across_processes(
    s: &Server,
) -> Result<(), Failure> {
    let explain = format!(r#"{{"uri":"/rawq?a={}","headers":{{"host":"x"}}}}"#, "y".repeat(5000));
    let mut keys = Vec::new();
    for server in [s, &s.fresh(&[]).await?] {
        let told = server.send(&Request::post("/admin/explain", explain.as_str())).await?;
        let decisions = told.clone().status(200)?.json("decisions");
        let step = |d: &&serde_json::Value| d.get("step").is_some_and(|step| step == "key");
        let key = decisions.as_array().and_then(|all| all.iter().find(step)).cloned();
        keys.push(key.ok_or_else(|| Failure::new("a decision about the key", &told))?);
        server.get(&format!("/rawq?a={}", "y".repeat(5000))).await?.miss()?;
        let stored = server.get("/admin/keys").await?.json("keys");
        let longest =
            stored.as_array().into_iter().flatten().filter_map(|k| k.as_str()?.len().into()).max();
        expect(longest.is_some_and(|length: usize| length < 200), "only short keys", &stored)?;
    }
    equal("the key in another process", &keys.pop(), &keys.pop())
}

pub(super) async fn c038_different_requests_never_share_a_key(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    // What a careless join of parts would confuse.
    let targets = [
        format!("/rawq?{id}&a=b"),
        format!("/rawq?{id}%26a=b"),
        format!("/rawq?{id}&a%3Db"),
        format!("/rawq?{id}&a=b&"),
        format!("/rawq?{id}&a=b%1F"),
        format!("/rawq?{id}&a=%1Fb"),
        format!("/rawq?{id}&a=b:c"),
        format!("/rawq?{id}&a:b=c"),
        format!("/rawq?{id}&a"),
        format!("/rawq?{id}&a="),
        format!("/rawq?{id}&a=&b"),
        format!("/rawq?{id}&a&b="),
        format!("/rawq-raw?{id}&a=b"),
    ];
    for target in &targets {
        let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        s.get(target).await?.miss()?.run(1)?.says("raw", query)?;
    }
    for target in &targets {
        let query = target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        s.get(target).await?.hit()?.run(1)?.says("raw", query)?;
    }
    Ok(())
}

pub(super) async fn c039_key_template_from_the_path(s: &Server) -> Result<(), Failure> {
    let (one, other) = (s.id(), s.id());
    s.get(&format!("/users/{one}?from=here")).await?.miss()?.run(1)?;
    s.get(&format!("/users/{one}?from=there")).await?.hit()?.run(1)?;
    s.get(&format!("/users/{other}")).await?.miss()?.run(1)?;
    Ok(())
}

pub(super) async fn c040_failing_key_function_is_a_bypass(s: &Server) -> Result<(), Failure> {
    for query in ["", "?b=1", "?a=1&n=five", "?a=1&a=2"] {
        for _ in 0..2 {
            let answer = s.get(&format!("/q{query}")).await?.status(400)?;
            expect(!answer.has("x-cache"), "no `X-Cache`", &answer)?;
            equal("fwd", &answer.parameter("fwd"), &Some("bypass".to_owned()))?;
        }
    }
    let a = s.id();
    s.get(&format!("/q?a={a}")).await?.status(200)?.miss()?;
    equal("runs", &s.runs_of("/q", &a).await?, &1)
}

pub(super) async fn c041_key_template_from_a_guards_value(s: &Server) -> Result<(), Failure> {
    let (ada, bob) = (s.id(), s.id());
    let ask = async |user: &str| s.get_with("/profile", "x-user", user).await;
    ask(&ada).await?.miss()?.says("user", ada.as_str())?;
    ask(&bob).await?.miss()?.says("user", bob.as_str())?;
    ask(&ada).await?.hit()?.says("user", ada.as_str())?;
    ask(&bob).await?.hit()?.says("user", bob.as_str())?;
    s.get("/profile").await?.status(401)?;
    Ok(())
}

pub(super) async fn c040_key_functions(s: &Server) -> Result<(), Failure> {
    for route in ["/more/key-fn", "/more/key-async"] {
        let (one, two) = (s.id(), s.id());
        let ask = async |query: &str, tenant: &str| {
            s.get_with(&format!("{route}?{query}"), "x-tenant", tenant).await
        };
        // The function's key stands for the target: the query is not in it.
        ask("a=1", &one).await?.miss()?.says("tenant", one.as_str())?;
        ask("a=2", &one).await?.hit()?.run(1)?;
        ask("a=1", &two).await?.miss()?.says("tenant", two.as_str())?;
        // Where it fails, nothing is shared, not even an empty key.
        for _ in 0..2 {
            let answer = s.get(route).await?.status(200)?.unstored("key-failed")?;
            equal("fwd", &answer.parameter("fwd"), &Some("bypass".to_owned()))?;
        }
        ask("", &one).await?.hit()?.run(1)?;
    }
    Ok(())
}

pub(super) async fn c042_routes_and_functions_share_an_explicit_key(
    s: &Server,
) -> Result<(), Failure> {
    let id = s.id();
    let target = |route: &str| format!("/more/{route}/{id}");
    let [a, b, f] = ["shared-a", "shared-b", "shared-fn"].map(target);
    let first = s.get(&a).await?.miss()?.says("route", "/more/shared-a/{id}")?;
    equal("the body", &s.get(&b).await?.hit()?.body, &first.body)?;
    // A function's result under the same name is another thing; the name reaches both.
    s.get(&f).await?.says("runs", 1)?.says("value", format!("f({id})"))?;
    s.get(&f).await?.says("runs", 1)?;
    s.get(&a).await?.hit()?;
    let key = json!({ "keys": [format!("shared:{id}")] }).to_string();
    equal("removed", &s.invalidate(&key).await?, &2)?;
    s.get(&b).await?.miss()?.says("route", "/more/shared-b/{id}")?;
    s.get(&a).await?.hit()?.says("route", "/more/shared-b/{id}")?;
    s.get(&f).await?.says("runs", 2)?;
    Ok(())
}
