//! Entity tags and preconditions.

use cache_core::key::Digest;

use super::client::{Body, Request, Response};
use super::scenario::{Expect as _, Failure, Server, equal, expect};

const MONDAY: &str = "Mon, 02 Jan 2023 00:00:00 GMT";
const TUESDAY: &str = "Tue, 03 Jan 2023 00:00:00 GMT";
const MONDAY_SET: &str = "set=last-modified:Mon,%2002%20Jan%202023%2000:00:00%20GMT";

fn sha256_tag(body: &[u8]) -> String {
    format!("\"{}\"", Digest::of(body).to_hex())
}

pub(super) async fn c048_strong_entity_tag_is_the_sha256(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    for path in ["/json", "/bin", "/empty", "/bytes/100000"] {
        let target = format!("{path}?{id}");
        let expected = vec![sha256_tag(&s.get(&target).await?.miss()?.body)];
        equal("ETag", &s.get(&target).await?.hit()?.lines("etag"), &expected)?;
        let another = format!("{target}x");
        let miss = s.get(&another).await?.miss()?;
        equal("ETag of a miss", &miss.lines("etag"), &vec![sha256_tag(&miss.body)])?;
    }
    // The vector of FIPS 180 for no bytes at all.
    let empty = s.get(&format!("/empty?{id}")).await?.hit()?;
    let known = "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
    equal("ETag", &empty.field("etag"), &Some(known.to_owned()))
}

pub(super) async fn c048_weak_and_no_entity_tags(s: &Server) -> Result<(), Failure> {
    let weak = s.with_policy(r#"{"etag":"weak"}"#).await?;
    let miss = weak.get("/json").await?.miss()?;
    let expected = Some(format!("W/{}", sha256_tag(&miss.body)));
    equal("ETag", &miss.field("etag"), &expected)?;
    equal("ETag", &weak.get("/json").await?.hit()?.field("etag"), &expected)?;
    weak.get_with("/json", "if-none-match", &sha256_tag(&miss.body)).await?.status(304)?;
    let off = s.with_policy(r#"{"etag":"off"}"#).await?;
    for _ in 0..2 {
        let answer = off.get("/json").await?;
        expect(!answer.has("etag"), "no `ETag`", format!("{:?}", answer.fields))?;
        off.get_with("/json", "if-none-match", "*").await?.status(200)?;
    }
    Ok(())
}

pub(super) async fn c048_a_streamed_miss_has_no_tag_its_hits_do(s: &Server) -> Result<(), Failure> {
    let target = format!("/stream?chunks=3&id={}", s.id());
    let miss = s.get(&target).await?.miss()?;
    expect(!miss.has("etag"), "no `ETag` yet", format!("{:?}", miss.fields))?;
    let hit = s.get(&target).await?.hit()?;
    equal("ETag", &hit.field("etag"), &Some(sha256_tag(&miss.body)))
}

pub(super) async fn c049_handlers_own_tag_is_kept(s: &Server) -> Result<(), Failure> {
    for own in ["\"own\"", "W/\"own\"", "\"a,b\""] {
        let encoded = own.replace('"', "%22");
        let target = format!("/hdr?set=etag:{encoded}&{}", s.id());
        equal("ETag", &s.get(&target).await?.miss()?.lines("etag"), &vec![own.to_owned()])?;
        equal("ETag", &s.get(&target).await?.hit()?.lines("etag"), &vec![own.to_owned()])?;
        let same = s.get_with(&target, "if-none-match", own).await?.status(304)?;
        equal("ETag of the 304", &same.lines("etag"), &vec![own.to_owned()])?;
    }
    Ok(())
}

pub(super) async fn c050_tags_are_the_same_in_every_process(s: &Server) -> Result<(), Failure> {
    let other = s.fresh(&[]).await?;
    let target = format!("/json?{}", s.id());
    let (one, two) = (s.get(&target).await?.miss()?, other.get(&target).await?.miss()?);
    equal("ETag", &two.field("etag"), &one.field("etag"))
}

pub(super) async fn c051_if_none_match(s: &Server) -> Result<(), Failure> {
    let target = format!("/hdr?set=etag:%22one%22&{}", s.id());
    s.get(&target).await?.miss()?;
    let ask = async |value: &str| s.get_with(&target, "if-none-match", value).await;
    let same = [
        "\"one\"",
        "W/\"one\"",
        "*",
        "\"two\", \"one\"",
        "\"two\",W/\"one\",\"three\"",
        "\"a,b\" , \"one\"",
        ", ,\"one\"",
    ];
    for value in same {
        ask(value).await?.status(304)?.hit()?;
    }
    for value in ["\"two\"", "one", "\"One\"", "W/\"two\"", "\"one", "", "\"*\""] {
        ask(value).await?.status(200)?.hit()?;
    }
    let lines = Request::get(&target).field("if-none-match", "\"two\"");
    s.send(&lines.field("if-none-match", "\"one\"")).await?.status(304)?;
    let head = Request::head(&target).field("if-none-match", "\"one\"");
    s.send(&head).await?.status(304)?.hit()?;
    Ok(())
}

pub(super) async fn c051_if_none_match_on_a_miss(s: &Server) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    // Every answer that this route can give at first has this tag.
    let twin = format!("/json?{}", s.id());
    let etag = s.get(&twin).await?.field("etag").unwrap_or_default();
    let first = s.get_with(&target, "if-none-match", &etag).await?.status(304)?;
    equal("X-Cache", &first.x_cache(), &Some("MISS".to_owned()))?;
    expect(first.body.is_empty(), "no body", &first)?;
    // What was stored is the whole.
    let second = s.get(&target).await?.status(200)?.hit()?.run(1)?;
    equal("ETag", &second.field("etag"), &Some(etag))?;
    let other = format!("/json?{}", s.id());
    s.get_with(&other, "if-none-match", "\"other\"").await?.status(200)?.miss()?;
    Ok(())
}

pub(super) async fn c053_if_modified_since(s: &Server) -> Result<(), Failure> {
    let target = format!("/hdr?{MONDAY_SET}&{}", s.id());
    s.get(&target).await?.miss()?;
    let since = |date: &str| Request::get(&target).field("if-modified-since", date);
    for date in [MONDAY, TUESDAY] {
        s.send(&since(date)).await?.status(304)?.hit()?;
    }
    for date in ["Sun, 01 Jan 2023 00:00:00 GMT", "yesterday", "", "0"] {
        s.send(&since(date)).await?.status(200)?.hit()?;
    }
    // The entity tag's word goes before the date's.
    s.send(&since(TUESDAY).field("if-none-match", "\"other\"")).await?.status(200)?;
    let etag = s.get(&target).await?.field("etag").unwrap_or_default();
    let old = since("Sun, 01 Jan 2023 00:00:00 GMT").field("if-none-match", &etag);
    s.send(&old).await?.status(304)?;
    // On a miss, too.
    let cold = format!("/hdr?{MONDAY_SET}&{}", s.id());
    s.get_with(&cold, "if-modified-since", TUESDAY).await?.status(304)?;
    s.get(&cold).await?.status(200)?.hit()?.run(1)?;
    Ok(())
}

pub(super) async fn c054_a_304_says_what_it_must(s: &Server) -> Result<(), Failure> {
    let set = "set=etag:%22one%22&set=vary:x-v&set=cache-control:max-age=5&set=expires:0\
               &set=content-location:/there&set=x-own:1";
    let target = format!("/hdr?{set}&{}", s.id());
    let check = |answer: &Response| -> Result<(), Failure> {
        let all = || format!("{:?}", answer.fields);
        for name in ["etag", "vary", "cache-control", "expires", "content-location", "date"] {
            expect(answer.lines(name).len() == 1, format!("`{name}` once"), all())?;
        }
        for name in ["set-cookie", "content-length", "transfer-encoding", "content-encoding"] {
            expect(!answer.has(name), format!("no `{name}`"), all())?;
        }
        equal("the end", &answer.end, &Body::None)
    };
    let miss = s.get_with(&target, "if-none-match", "\"one\"").await?.status(304)?;
    check(&miss)?;
    let hit = s.get_with(&target, "if-none-match", "\"one\"").await?.status(304)?.hit()?;
    check(&hit)?;
    // A cookie is neither stored nor sent with a 304.
    let cookie = format!("/hdr?set=etag:%22one%22&set=set-cookie:a=b&{}", s.id());
    for _ in 0..2 {
        let answer = s.get_with(&cookie, "if-none-match", "\"one\"").await?;
        expect(answer.status != 304 || !answer.has("set-cookie"), "no cookie in a 304", &answer)?;
    }
    // The connection stays in step after a 304.
    let mut connection = s.connect().await?;
    for _ in 0..3 {
        connection.send(&Request::get(&target).field("if-none-match", "\"one\"")).await?;
        connection.response().await?.status(304)?;
        connection.send(&Request::get(&target)).await?;
        connection.response().await?.status(200)?.hit()?.run(1)?;
    }
    Ok(())
}

pub(super) async fn c055_a_304_never_changes_what_is_stored(s: &Server) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    let first = s.get(&target).await?.miss()?;
    let etag = first.field("etag").unwrap_or_default();
    for _ in 0..3 {
        s.get_with(&target, "if-none-match", &etag).await?.status(304)?;
        let hit = s.get(&target).await?.status(200)?.hit()?.run(1)?;
        equal("the body", &hit.body, &first.body)?;
        equal("the type", &hit.field("content-type"), &first.field("content-type"))?;
        equal("the length", &hit.field("content-length"), &first.field("content-length"))?;
    }
    // A handler's own 304 is not stored either.
    let own = format!("/status/304?{}", s.id());
    s.get(&own).await?.status(304)?.unstored("status")?;
    s.get(&own).await?.status(304)?.unstored("status")?;
    Ok(())
}

pub(super) async fn c051_other_preconditions_go_to_the_handler(s: &Server) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    s.get(&target).await?.miss()?.run(1)?;
    let mut run = 1;
    for (name, value) in [("if-match", "\"x\""), ("if-unmodified-since", MONDAY)] {
        run += 1;
        s.get_with(&target, name, value).await?.unstored("precondition")?.run(run)?;
    }
    s.get(&target).await?.hit()?.run(1)?;
    Ok(())
}
