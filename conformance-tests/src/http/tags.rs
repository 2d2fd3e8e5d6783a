//! Tags, keys and namespaces, and what they invalidate.

use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use serde_json::json;
use tokio::time::Instant;

use super::client::{Request, Response};
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c071_namespaces_are_invalidated_whole(s: &Server) -> Result<(), Failure> {
    // Without an application-wide namespace, and below one.
    for policy in ["{}", r#"{"namespace":{"name":"app"}}"#] {
        let s = s.with_policy(policy).await?;
        let fill = async || -> Result<(), Failure> {
            for target in ["/users/1", "/users/2", "/n/1"] {
                s.get(target).await?;
                s.get(target).await?.hit()?;
            }
            Ok(())
        };
        fill().await?;
        equal("removed", &s.invalidate(r#"{"namespace":"users"}"#).await?, &2)?;
        s.get("/users/1").await?.miss()?;
        s.get("/users/2").await?.miss()?;
        s.get("/n/1").await?.hit()?;
        // A key of the namespace is reached through the namespace only.
        let key = r#"{"keys":["user:1"],"namespace":"users"}"#;
        equal("removed", &s.invalidate(r#"{"keys":["user:1"],"namespace":"other"}"#).await?, &0)?;
        equal("removed", &s.invalidate(key).await?, &1)?;
        s.get("/users/1").await?.miss()?;
        s.get("/users/2").await?.hit()?;
        equal("removed", &s.removed_by_patch("1", "v9").await?, &1)?;
        s.get("/users/1").await?.miss()?.says("value", "v9")?;
        for other in ["user", "users:x", "app:user", "u"] {
            equal(other, &s.invalidate(&json!({"namespace": other}).to_string()).await?, &0)?;
        }
        let all = s.invalidate(r#"{"namespace":"app"}"#).await?;
        equal("removed by the upper level", &all, if policy == "{}" { &0 } else { &3 })?;
    }
    Ok(())
}

impl Server {
    async fn removed_by_patch(&self, user: &str, value: &str) -> Result<u64, Failure> {
        let answer = self.ask("PATCH", &format!("/users/{user}?value={value}")).await?;
        let removed = answer.json("removed").as_u64();
        removed.ok_or_else(|| Failure::new("a count", &answer))
    }
}

pub(super) async fn c074_tags_from_the_path(s: &Server) -> Result<(), Failure> {
    let (one, other) = (s.id(), s.id());
    for user in [&one, &other] {
        s.get(&format!("/users/{user}")).await?.miss()?.says("value", "v0")?;
    }
    equal("removed", &s.removed(&format!("/users/{one}/refresh"), "").await?, &1)?;
    equal("removed again", &s.removed(&format!("/users/{one}/refresh"), "").await?, &0)?;
    s.get(&format!("/users/{one}")).await?.miss()?.run(2)?;
    s.get(&format!("/users/{other}")).await?.hit()?.run(1)?;
    // A write through the handle, with the key.
    equal("removed", &s.removed_by_patch(&one, "v1").await?, &1)?;
    s.get(&format!("/users/{one}")).await?.miss()?.says("value", "v1")?;
    Ok(())
}

pub(super) async fn c074_tags_of_long_values(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let long = format!("{id}{}", "é".repeat(300));
    let path = format!("/users/{id}{}", "%C3%A9".repeat(300));
    s.get(&path).await?.miss()?.says("value", "v0")?;
    s.ask("PUT", &format!("{path}?value=v1")).await?.status(200)?;
    s.get(&path).await?.miss()?.says("value", "v1")?;
    // The same value cut at the 256th character is the same tag.
    let cut: String = long.chars().take(256).collect();
    let tag = json!({ "tags": [format!("user:{cut}")] }).to_string();
    equal("removed", &s.invalidate(&tag).await?, &1)?;
    s.get(&path).await?.miss()?;
    Ok(())
}

pub(super) async fn c075_tags_added_by_the_handler(s: &Server) -> Result<(), Failure> {
    let (a, b, c) = (s.id(), s.id(), s.id());
    let both = format!("/items?id={a}&id={b}");
    let last = format!("/items?id={b}&id={c}");
    let none = format!("/items?x={}", s.id());
    for target in [&both, &last, &none] {
        s.get(target).await?.miss()?;
    }
    let tag = |ids: &[&str]| {
        let tags: Vec<String> = ids.iter().map(|id| format!("item:{id}")).collect();
        json!({ "tags": tags }).to_string()
    };
    equal("removed", &s.invalidate(&tag(&[&a])).await?, &1)?;
    s.get(&both).await?.miss()?;
    s.get(&last).await?.hit()?;
    // Counted once, though reached by several tags.
    equal("removed", &s.invalidate(&tag(&[&a, &b, &c, &b])).await?, &2)?;
    s.get(&both).await?.miss()?;
    s.get(&last).await?.miss()?;
    s.get(&none).await?.hit()?;
    // More tags than an entry may carry: the answer is sent and not stored.
    let many: Vec<String> = (0..200).map(|id| format!("id={c}-{id}")).collect();
    for run in 1..=2 {
        s.get(&format!("/items?{}", many.join("&")))
            .await?
            .status(200)?
            .unstored("tags")?
            .run(run)?;
    }
    Ok(())
}

pub(super) async fn c075_tags_from_a_guards_value(s: &Server) -> Result<(), Failure> {
    let (ada, bob) = (s.id(), s.id());
    let ask = async |user: &str| s.get_with("/profile", "x-user", user).await;
    ask(&ada).await?.miss()?;
    ask(&bob).await?.miss()?;
    let tag = json!({ "tags": [format!("user:{ada}")] }).to_string();
    equal("removed", &s.invalidate(&tag).await?, &1)?;
    ask(&ada).await?.miss()?.run(2)?;
    ask(&bob).await?.hit()?.run(1)?;
    let key = json!({ "keys": [format!("profile.{bob}")] }).to_string();
    equal("removed", &s.invalidate(&key).await?, &1)?;
    ask(&bob).await?.miss()?.run(2)?;
    ask(&ada).await?.hit()?.run(2)?;
    Ok(())
}

pub(super) async fn c077_keys_one_and_several(s: &Server) -> Result<(), Failure> {
    let targets: Vec<String> = (0..4).map(|_| format!("/rawq?a=1&id={}", s.id())).collect();
    for target in &targets {
        s.get(target).await?.miss()?;
    }
    let keys = |keys: &[String]| json!({ "keys": keys }).to_string();
    let named = targets.get(..1).unwrap_or_default();
    equal("removed", &s.invalidate(&keys(named)).await?, &1)?;
    let others = targets.get(1..3).unwrap_or_default();
    equal("removed", &s.invalidate(&keys(others)).await?, &2)?;
    for (target, run) in targets.iter().zip([2, 2, 2, 1]) {
        s.get(target).await?.run(run)?;
    }
    // The order of the query does not matter; a prefix of it is another key.
    let id = s.id();
    s.get(&format!("/rawq?b=1&a={id}")).await?.miss()?;
    equal("removed", &s.invalidate(&keys(&["/rawq?b=1".to_owned()])).await?, &0)?;
    equal("removed", &s.invalidate(&keys(&["/rawq".to_owned()])).await?, &0)?;
    equal("removed", &s.invalidate(&keys(&[format!("/rawq?a={id}&b=1")])).await?, &1)
}

pub(super) async fn c077_a_key_reaches_all_methods_and_variants(s: &Server) -> Result<(), Failure> {
    let target = format!("/negotiated?{}", s.id());
    for language in ["de", "fr", "it"] {
        s.get_with(&target, "accept-language", language).await?.miss()?;
    }
    s.ask("HEAD", &target).await?.miss()?;
    let removed = s.invalidate(&json!({ "keys": [target] }).to_string()).await?;
    expect(removed >= 4, "at least the four entries removed", removed)?;
    for language in ["de", "fr", "it"] {
        s.get_with(&target, "accept-language", language).await?.miss()?.run(2)?;
    }
    s.ask("HEAD", &target).await?.miss()?;
    Ok(())
}

pub(super) async fn c079_everything(s: &Server) -> Result<(), Failure> {
    let other = s.fresh(&[]).await?;
    other.get("/n/1").await?.miss()?;
    for target in ["/n/1", "/n/2", "/users/1", "/items?id=1", "/json"] {
        s.get(target).await?.miss()?;
    }
    equal("removed", &s.invalidate(r#"{"all":true}"#).await?, &5)?;
    for target in ["/n/1", "/n/2", "/users/1", "/items?id=1", "/json"] {
        s.get(target).await?.miss()?;
        s.get(target).await?.hit()?;
    }
    // What another prefix holds (on a shared store) survives.
    other.get("/n/1").await?.hit()?;
    Ok(())
}

pub(super) async fn c080_names_are_not_patterns(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let (items, user) = (format!("/items?id={id}&id=x{id}"), format!("/users/{id}"));
    s.get(&items).await?.miss()?;
    s.get(&user).await?.miss()?;
    let names = [
        "*",
        "item:*",
        "item:?",
        "item:[a-z]*",
        "{item}",
        "t:item",
        "%",
        "item:%",
        ".*",
        "\"",
        "item:' or 1",
        "\r\nFLUSHALL\r\n",
        "k:*",
        "n:users",
        "\u{0}",
        "item:\\*",
        "return 1",
    ];
    for name in names {
        let asked = json!({ "tags": [name], "keys": [name], "namespace": name }).to_string();
        equal(name, &s.invalidate(&asked).await?, &0)?;
        let whole = json!({ "namespace": name }).to_string();
        equal(name, &s.invalidate(&whole).await?, &0)?;
    }
    s.get(&items).await?.hit()?;
    s.get(&user).await?.hit()?;
    // The same texts as values find exactly themselves.
    for value in ["*", "[ab]", "a?", "a\u{1f}b", "{x}", "a b"] {
        let encoded: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let star = format!("/items?id={id}{encoded}");
        s.get(&star).await?.miss()?;
        let tag = json!({ "tags": [format!("item:{id}{value}")] }).to_string();
        equal(value, &s.invalidate(&tag).await?, &1)?;
        s.get(&star).await?.miss()?;
    }
    s.get(&items).await?.hit()?;
    Ok(())
}

pub(super) async fn c081_declarative_after_success_only(s: &Server) -> Result<(), Failure> {
    let target = format!("/users/{}", s.id());
    let put = async |query: &str| s.ask("PUT", &format!("{target}?{query}")).await;
    s.get(&target).await?.miss()?.says("value", "v0")?;
    put("value=v1&fail=1").await?.status(409)?.says("value", "v0")?;
    s.get(&target).await?.hit()?.says("value", "v0")?;
    put("fail=0").await?.status(400)?;
    s.get(&target).await?.hit()?.says("value", "v0")?;
    for value in ["v1", "v2", "v3"] {
        let answer = put(&format!("value={value}&fail=0")).await?.status(200)?;
        expect(!answer.has("x-cache"), "no `X-Cache`", &answer)?;
        s.get(&target).await?.miss()?.says("value", value)?;
        s.get(&target).await?.hit()?.says("value", value)?;
    }
    Ok(())
}

pub(super) async fn c081_declarative_survives_a_lost_client(s: &Server) -> Result<(), Failure> {
    let route = "PUT /users/{user_id}";
    let mut ran = 0;
    // The client leaves a little later each time; the promise holds whenever it does.
    for round in 0..40 {
        let user = s.id();
        let target = format!("/users/{user}");
        s.get(&target).await?.miss()?;
        let mut connection = s.connect().await?;
        connection.send(&Request::new("PUT", format!("{target}?value=v1"))).await?;
        tokio::time::sleep(Duration::from_micros(250 * round)).await;
        drop(connection);
        // A server may notice the loss before the handler has begun; then nothing was written.
        for _ in 0..20 {
            if s.runs(route, &user).await? == 1 {
                ran += 1;
                // Written: a client that comes after the invalidation must see it.
                let seen = async || Ok(s.get(&target).await?.json("value") == "v1");
                s.until("the new value", seen).await?;
                break;
            }
        }
    }
    expect(ran > 0, "one of 40 handlers to run", ran)
}

/// A fill that began before an invalidation and ends after it is not served to whoever comes
/// after the invalidation; the one that replaces it is.
async fn straddle(
    s: &Server,
    target: &str,
    route: &str,
    part: &str,
    invalidation: &str,
) -> Result<(), Failure> {
    let mut early = s.connect().await?;
    early.send(&Request::get(target)).await?;
    s.until_runs(route, part, 1).await?;
    s.invalidate(invalidation).await?;
    // While the early fill still runs, and after it has ended.
    let during = s.get(target).await?;
    expect(during.n() >= 2, "a run that began after the invalidation", &during)?;
    early.response().await?.status(200)?.run(1)?;
    let after = s.get(target).await?;
    expect(after.n() >= 2, "never the run from before the invalidation", &after)?;
    let last = s.get(target).await?.hit()?;
    expect(last.n() >= 2, "never the run from before the invalidation", &last)
}

pub(super) async fn c096_fill_straddling_a_tag_invalidation(s: &Server) -> Result<(), Failure> {
    let reg = s.id();
    let tag = json!({ "tags": [format!("cas:{reg}")] }).to_string();
    straddle(s, &format!("/cas/{reg}?delay_ms=300"), "/cas/{reg}", &reg, &tag).await
}

pub(super) async fn c096_fill_straddling_a_key_invalidation(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/slow/300?id={id}");
    let key = json!({ "keys": [target] }).to_string();
    straddle(s, &target, "/slow/{ms}", &id, &key).await
}

pub(super) async fn c096_fill_straddling_a_namespace_invalidation(
    s: &Server,
) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"namespace":{"name":"app:part"}}"#).await?;
    for name in ["app", "app:part"] {
        let id = s.id();
        let namespace = json!({ "namespace": name }).to_string();
        straddle(&s, &format!("/slow/300?id={id}"), "/slow/{ms}", &id, &namespace).await?;
    }
    Ok(())
}

pub(super) async fn c096_fill_straddling_a_clear(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/slow/300?id={id}");
    straddle(s, &target, "/slow/{ms}", &id, r#"{"all":true}"#).await
}

pub(super) async fn c096_late_followers_never_get_the_earlier_run(
    s: &Server,
) -> Result<(), Failure> {
    let reg = s.id();
    let target = format!("/cas/{reg}?delay_ms=400");
    let mut early = s.connect().await?;
    early.send(&Request::get(&target)).await?;
    s.until_runs("/cas/{reg}", &reg, 1).await?;
    let written = format!("/cas/{reg}?value=new&tag=cas:{reg}");
    s.ask("PUT", &written).await?.status(200)?;
    let late = join_all((0..20).map(|_| s.get(&target))).await;
    for answer in late {
        answer?.says("value", "new")?;
    }
    early.response().await?.says("value", "")?;
    s.get(&target).await?.hit()?.says("value", "new")?;
    Ok(())
}

pub(super) async fn c096_stream_straddling_an_invalidation(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let target = format!("/stream?chunks=4&delay_ms=80&id={id}");
    let mut early = s.connect().await?;
    early.send(&Request::get(&target)).await?;
    let mut response = early.head().await?.miss()?;
    early.part(&mut response).await?;
    s.invalidate(&json!({ "keys": [target] }).to_string()).await?;
    while early.part(&mut response).await?.is_some() {}
    // The stream that ended after the invalidation was not stored.
    s.get(&target).await?.miss()?;
    s.get(&target).await?.hit()?;
    equal("runs", &s.runs_of("/stream", &id).await?, &2)
}

pub(super) async fn c096_register_is_linearizable(s: &Server) -> Result<(), Failure> {
    let reg = s.id();
    let target = format!("/cas/{reg}?delay_ms=1");
    let writer = async {
        for value in 1..=60_u64 {
            s.ask("PUT", &format!("/cas/{reg}?value={value}&tag=cas:{reg}")).await?.status(200)?;
            let own = s.get(&target).await?;
            equal("what its writer reads", &own.json("value"), &json!(value.to_string()))?;
        }
        Ok::<(), Failure>(())
    };
    // Values are written in order, so no reader may see one go back.
    let readers = try_join_all((0..4).map(|_| async {
        let mut newest = 0;
        while newest < 60 {
            let answer = s.get(&target).await?;
            let value = answer.json("value").as_str().and_then(|v| v.parse().ok()).unwrap_or(0_u64);
            expect(value >= newest, format!("{newest} or newer"), &answer)?;
            newest = value;
        }
        Ok::<(), Failure>(())
    }));
    // A writer that fails ends the readers, who would wait for its last value.
    futures_util::future::try_join(writer, readers).await?;
    Ok(())
}

pub(super) async fn c072_a_namespace_replaces_the_applications(s: &Server) -> Result<(), Failure> {
    let s = s.with_policy(r#"{"namespace":{"name":"app"}}"#).await?;
    let (alone, below) = ("/more/replace/1", "/users/1");
    let fill = async || -> Result<(), Failure> {
        for target in [alone, below] {
            s.get(target).await?;
            s.get(target).await?.hit()?;
        }
        Ok(())
    };
    fill().await?;
    // The application's namespace holds what is below it, not what stands in its place.
    equal("removed", &s.invalidate(r#"{"namespace":"app"}"#).await?, &1)?;
    s.get(alone).await?.hit()?;
    s.get(below).await?.miss()?;
    fill().await?;
    equal("removed", &s.invalidate(r#"{"namespace":"users"}"#).await?, &1)?;
    s.get(below).await?.miss()?;
    equal("removed", &s.invalidate(r#"{"namespace":"alone"}"#).await?, &1)?;
    s.get(alone).await?.miss()?;
    let key = r#"{"keys":["alone:1"],"namespace":"alone"}"#;
    equal("removed", &s.invalidate(key).await?, &1)?;
    s.get(alone).await?.miss()?;
    Ok(())
}

pub(super) async fn c081_declarative_keys_and_tags(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let (user, items) = (format!("/users/{id}"), format!("/items?id={id}"));
    let other = format!("/users/{}", s.id());
    for target in [&user, &items, &other] {
        s.get(target).await?.miss()?;
    }
    let write = format!("/more/write/keys/{id}");
    s.ask("PUT", &format!("{write}?fail=1")).await?.status(409)?;
    s.get(&user).await?.hit()?;
    s.ask("PUT", &write).await?.status(200)?;
    s.get(&user).await?.miss()?;
    s.get(&items).await?.miss()?;
    s.get(&other).await?.hit()?;
    Ok(())
}

pub(super) async fn c081_declarative_before_and_both(s: &Server) -> Result<(), Failure> {
    for when in ["before", "both"] {
        let id = s.id();
        let items = format!("/items?id={id}");
        // Before: even where the handler then fails.
        s.get(&items).await?.miss()?;
        s.ask("PUT", &format!("/more/write/{when}/{id}?fail=1")).await?.status(409)?;
        s.get(&items).await?.miss()?;
        let after = filled_while_a_write_runs(s, when).await?;
        if when == "both" {
            after.miss()?
        } else {
            after.hit()?
        };
    }
    Ok(())
}

/// What a client gets after a write, if the entry was filled while the handler of the write ran.
/// A busy machine may fill too late; then a slower write is tried.
async fn filled_while_a_write_runs(s: &Server, when: &str) -> Result<Response, Failure> {
    for delay in [300, 2_000, 8_000] {
        let id = s.id();
        let (items, query) = (format!("/items?id={id}"), format!("delay_ms={delay}&{id}"));
        let path = format!("/more/write/{when}/{id}?{query}");
        let mut writer = s.connect().await?;
        let sent = Instant::now();
        writer.send(&Request::new("PUT", &path)).await?;
        s.until_runs("/more/write", &query, 1).await?;
        s.get(&items).await?.miss()?;
        let in_time = sent.elapsed() < Duration::from_millis(delay);
        writer.response().await?.status(200)?;
        let after = s.get(&items).await?;
        if in_time {
            return Ok(after);
        }
    }
    Err(Failure::new("an answer while a write of 8 s runs", "a later one"))
}

pub(super) async fn c081_declarative_by_a_guards_value(s: &Server) -> Result<(), Failure> {
    let (ada, bob) = (s.id(), s.id());
    let ask = async |user: &str| s.get_with("/profile", "x-user", user).await;
    ask(&ada).await?.miss()?;
    ask(&bob).await?.miss()?;
    let write = Request::new("PUT", "/more/write-profile");
    s.send(&write).await?.status(401)?;
    ask(&ada).await?.hit()?;
    s.send(&write.field("x-user", &ada)).await?.status(200)?;
    ask(&ada).await?.miss()?;
    ask(&bob).await?.hit()?;
    Ok(())
}

pub(super) async fn c081_declarative_around_a_function(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let (items, shared) = (format!("/items?id={id}"), format!("/more/shared-a/{id}"));
    s.get(&items).await?.miss()?;
    s.get(&shared).await?.miss()?;
    let write = format!("/more/write-fn/{id}");
    s.ask("POST", &format!("{write}?fail=1")).await?.status(409)?;
    s.get(&items).await?.hit()?;
    s.ask("POST", &write).await?.status(200)?;
    s.get(&items).await?.miss()?;
    s.get(&shared).await?.miss()?;
    Ok(())
}
