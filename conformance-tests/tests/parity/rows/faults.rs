//! A store that breaks.

use std::time::Duration;

use conformance_tests::http::{Expect as _, Failure, Server, expect};
use conformance_tests::servers::{self, Signal};

use super::needed;
use crate::column::Column;

/// What a request may cost beside its handler while the store does not answer.
const BOUND: Duration = Duration::from_secs(2);

pub(crate) async fn c090_down_slow_or_hanging(column: Column) -> Result<(), Failure> {
    let mut redis = servers::Server::start(&[]).map_err(needed)?;
    let s = Server::start(&column.over(&redis.url()), "fault").await.map_err(needed)?;
    s.get("/users/1").await?.miss()?;
    s.get("/users/1").await?.hit()?;

    redis.signal(Signal::Stop).map_err(needed)?;
    alone(&s, "hanging").await?;
    redis.signal(Signal::Continue).map_err(needed)?;
    recovers(&s).await?;

    redis.kill();
    alone(&s, "down").await?;
    redis.spawn().map_err(needed)?;
    recovers(&s).await
}

/// Handlers answer, once a request, within bounds; a write says that its invalidation is not in
/// force.
async fn alone(s: &Server, how: &str) -> Result<(), Failure> {
    for n in 0..8 {
        let target = format!("/status/200?{how}-{n}");
        let answer = s.get(&target).await?.status(200)?.run(1)?;
        expect(answer.x_cache().is_none(), "no `X-Cache`", &answer)?;
        let took = answer.ended_after;
        expect(took < BOUND, format!("an answer within {BOUND:?}"), format!("{took:?}"))?;
    }
    s.get("/users/1").await?.status(200)?;
    s.ask("PUT", "/users/1?value=v1").await?.status(200)?;
    s.ask("POST", "/users/1/refresh").await?.status(503)?;
    Ok(())
}

/// By itself, and with nothing of before.
async fn recovers(s: &Server) -> Result<(), Failure> {
    let target = format!("/n/{}", s.id());
    let hit = async || Ok(s.get(&target).await?.status(200)?.x_cache().as_deref() == Some("HIT"));
    s.until("hits again", hit).await?;
    s.ask("POST", "/users/1/refresh").await?.status(200)?;
    s.get("/users/1").await?.miss()?.says("value", "v1")?;
    // An invalidation that failed may still arrive late, and costs an entry.
    let hit = async || Ok(s.get("/users/1").await?.x_cache().as_deref() == Some("HIT"));
    s.until("a hit", hit).await
}

/// Scripts over all entries: `KEYS[1]` is one.
const DAMAGE: &[(&str, &str)] = &[
    ("foreign text", "redis.call('SET', KEYS[1], 'hello')"),
    ("nothing", "redis.call('SET', KEYS[1], '')"),
    ("another type", "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'a')"),
    ("another magic", "redis.call('SETRANGE', KEYS[1], 0, 'XXXX')"),
    ("an old format", "redis.call('SETRANGE', KEYS[1], 4, string.char(0))"),
    ("a later format", "redis.call('SETRANGE', KEYS[1], 4, string.char(250))"),
    ("cut short", "redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, -4))"),
    ("a head only", "redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, 40))"),
    ("lengths without end", "redis.call('SETRANGE', KEYS[1], 8, string.rep(string.char(255), 64))"),
    ("a line break", "redis.call('SETRANGE', KEYS[1], 60, 'a\\r\\nx-evil: 1\\r\\n')"),
    ("a byte in the middle", MIDDLE),
];

const MIDDLE: &str = "local v = redis.call('GET', KEYS[1]) local at = math.floor(#v / 2) \
     local byte = string.byte(v, at + 1) \
     redis.call('SETRANGE', KEYS[1], at, string.char((byte + 1) % 256))";

pub(crate) async fn c091_damaged_bytes_are_a_miss(column: Column) -> Result<(), Failure> {
    let redis = servers::Server::start(&[]).map_err(needed)?;
    let binary = column.over(&redis.url()).arg("--store-timeout=5s");
    let s = Server::start(&binary, "damage").await.map_err(needed)?;
    for (what, script) in DAMAGE {
        let targets = ["/json", "/users/1", "/negotiated", "/bin", "/stream?chunks=3"];
        let mut bodies = Vec::new();
        for target in targets {
            s.get(target).await?;
            bodies.push(s.get(target).await?.hit()?.body.len());
        }
        let called = s.get("/fn?x=a").await?.status(200)?.json("runs").as_u64().unwrap_or(0);
        damage(&redis, script)?;
        for (target, length) in targets.into_iter().zip(&bodies) {
            let answer = s.get(target).await?.status(200)?.miss();
            let answer = answer.map_err(|failure| Failure::new(*what, failure))?;
            expect(!answer.has("x-evil"), "no smuggled field", &answer)?;
            // The body counts its runs, which may take one digit more.
            let near = answer.body.len().abs_diff(*length) <= 1;
            expect(near, format!("{what}: {length} bytes"), answer.body.len())?;
            s.get(target).await?.hit()?;
        }
        s.get("/fn?x=a").await?.status(200)?.says("runs", called + 1)?;
    }
    Ok(())
}

fn damage(redis: &servers::Server, script: &str) -> Result<(), Failure> {
    let keys: Vec<String> = redis.run(&["KEYS", "*:e:*"]).map_err(needed)?;
    expect(keys.len() >= 6, "the entries", format!("{keys:?}"))?;
    for key in keys {
        redis.try_run(&["EVAL", script, "1", &key]).map_err(needed)?;
    }
    Ok(())
}
