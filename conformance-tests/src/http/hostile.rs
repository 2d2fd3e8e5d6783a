//! Input that nobody should send: never a crash, never a shared key, never another's answer.

use serde_json::json;

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn h1_long_targets(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let long = "y".repeat(10_000);
    let path = format!("/n/{id}{long}");
    for target in [&path, &format!("/rawq?{id}={long}"), &format!("/q?a={id}{long}")] {
        s.get(target).await?.status(200)?.miss()?;
        s.get(target).await?.status(200)?.hit()?;
        // One byte more is another key.
        s.get(&format!("{target}z")).await?.status(200)?.miss()?;
    }
    equal("removed", &s.invalidate(&json!({ "keys": [path] }).to_string()).await?, &1)?;
    s.get(&path).await?.miss()?;
    // A value in a tag is cut, one in a key is not.
    let user = format!("/users/{id}{long}");
    s.get(&user).await?.miss()?;
    s.get(&user).await?.hit()?;
    s.get(&format!("{user}z")).await?.miss()?;
    // A handler's own tag must not be cut: too long a one is not stored.
    s.get(&format!("/items?id={id}{long}")).await?.status(200)?.unstored("tags")?;
    Ok(())
}

pub(super) async fn h2_separators_and_controls_in_targets(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let odd = [
        "%1F",
        "%00",
        "%0D%0A",
        "%7C",
        "%3A",
        "%7B%7D",
        "%2F..%2F",
        "%25",
        "%22",
        "%5C",
        "*",
        "%E2%80%AE",
    ];
    let mut targets = Vec::new();
    for text in odd {
        targets.push(format!("/n/{id}{text}x"));
        targets.push(format!("/rawq?{id}{text}=x"));
        targets.push(format!("/rawq?{id}={text}x"));
        targets.push(format!("/q?a={id}{text}x"));
        targets.push(format!("/users/{id}{text}x"));
    }
    for target in &targets {
        s.get(target).await?.status(200)?.miss()?;
    }
    for target in &targets {
        let hit = s.get(target).await?.status(200)?.hit()?;
        let whole = hit.fields.iter().all(|(_, value)| !value.contains(&b'\n'));
        expect(whole, "well-formed fields", &hit)?;
    }
    // No text at all: refused by the framework or answered, never stored for another.
    for bytes in ["%FF", "%C3%28", "%ED%A0%80", "%", "%4", "%zz"] {
        let answer = s.get(&format!("/n/{id}{bytes}")).await?;
        expect(answer.status < 500, "no server error", &answer)?;
        let answer = s.get(&format!("/rawq?{id}={bytes}")).await?;
        expect(answer.status < 500, "no server error", &answer)?;
    }
    let mut connection = s.connect().await?;
    let raw = [b"GET /rawq?", id.as_bytes(), b"=\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n"].concat();
    connection.send_raw(&raw, "bytes in a target").await?;
    match connection.response().await {
        Ok(answer) => expect(answer.status < 500, "no server error", &answer)?,
        Err(failure) => expect(failure.is_closed(), "a closed connection", &failure)?,
    }
    Ok(())
}

pub(super) async fn h3_fields_that_are_no_text(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let odd: [&[u8]; 5] = [b"\xff\xfe", b"de\xff", b"\xc3\xa9", b"a\tb", b"\x80"];
    let names = ["accept-language", "cookie", "authorization", "if-none-match", "x-user", "host"];
    let targets = [
        format!("/lang?{id}"),
        format!("/negotiated?{id}"),
        format!("/cookie-keyed?{id}"),
        format!("/cookie-ignored?{id}"),
        format!("/me?{id}"),
        format!("/json?{id}"),
    ];
    for target in &targets {
        for name in names {
            for value in odd {
                let request = Request::get(target).field(name, value);
                let answer = s.send(&request).await?;
                expect(answer.status < 500, "no server error", &answer)?;
            }
        }
    }
    for value in odd {
        let answer = s.send(&Request::get("/profile").field("x-user", value)).await?;
        expect(answer.status < 500, "no server error", &answer)?;
    }
    // Different bytes, different entries, though both read as the same broken text.
    let target = format!("/lang?{}", s.id());
    let with = |value: &'static [u8]| Request::get(&target).field("accept-language", value);
    s.send(&with(b"\xff")).await?.miss()?;
    s.send(&with(b"\xfe")).await?.miss()?;
    s.send(&with(b"\xff")).await?.hit()?;
    Ok(())
}

pub(super) async fn h4_many_fields(s: &Server) -> Result<(), Failure> {
    let target = format!("/negotiated?{}", s.id());
    let many = (0..80).fold(Request::get(&target), |request, index| {
        request.field(&format!("x-{index}"), "y".repeat(200))
    });
    s.send(&many).await?.status(200)?.miss()?;
    s.send(&many).await?.status(200)?.hit()?;
    let repeated = (0..80).fold(Request::get(&target), |r, _| r.field("accept-language", "de"));
    s.send(&repeated).await?.status(200)?.miss()?;
    s.send(&repeated).await?.status(200)?.hit()?;
    s.get_with(&target, "accept-language", "de").await?.miss()?;
    let flood = (0..3000).fold(Request::get(&target), |r, index| r.field("x-y", index.to_string()));
    match s.send(&flood).await {
        Ok(answer) => expect(answer.status < 500, "no server error", &answer)?,
        Err(failure) => expect(failure.is_closed(), "a closed connection", &failure)?,
    }
    // A response that nominates more fields than are kept is not stored.
    let names: Vec<String> = (0..100).map(|index| format!("x-{index}")).collect();
    let wide = format!("/hdr?set=vary:{}&{}", names.join(","), s.id());
    s.get(&wide).await?.status(200)?.unstored("vary")?;
    // Many variants of one target: bounded, and each its own.
    let target = format!("/negotiated?{}", s.id());
    for round in 0..2 {
        for index in 0..80 {
            let language = format!("x-{index}");
            let answer = s.get_with(&target, "accept-language", &language).await?;
            answer.status(200)?.says("lang", language.as_str())?;
        }
        let last = s.get_with(&target, "accept-language", "x-79").await?;
        last.hit()?.says("lang", "x-79")?.run(round + 1)?;
    }
    Ok(())
}

pub(super) async fn h5_broken_preconditions(s: &Server) -> Result<(), Failure> {
    let target = format!("/json?{}", s.id());
    let first = s.get(&target).await?.miss()?;
    let etag = first.field("etag").unwrap_or_default();
    let broken = [
        "\"",
        "\"\"\"",
        "W/",
        "W/\"",
        ",",
        ",,,,",
        "\"a\" \"b\"",
        "*, \"a\"",
        "\u{1f}",
        "%22",
        "\"a\u{7f}\"",
    ];
    for value in broken {
        let answer = s.get_with(&target, "if-none-match", value).await?;
        expect(answer.status < 500, "no server error", &answer)?;
        expect(answer.status != 304 || value.contains('*'), "no match", &answer)?;
    }
    let long = format!("{}{etag}", "\"x\", ".repeat(2000));
    s.get_with(&target, "if-none-match", &long).await?.status(304)?;
    let dates = ["Mon, 99 Foo 2023 25:61:61 GMT", "9999999999999999999", "Mon", "-1"];
    for value in dates {
        s.get_with(&target, "if-modified-since", value).await?.status(200)?.hit()?;
    }
    let ranges = ["bytes=0-4", "bytes=", "bytes=9-1", "bytes=-0", "lines=1-2", "bytes=0-0,-1,5-"];
    for value in ranges {
        let answer = s.get_with(&target, "range", value).await?;
        let known = matches!(answer.status, 200 | 206 | 416);
        expect(known, "200, 206 or 416", &answer)?;
        expect(answer.status != 200 || answer.body == first.body, "the whole body", &answer)?;
    }
    s.get(&target).await?.hit()?.run(1)?;
    Ok(())
}

pub(super) async fn h6_broken_directives_and_dates(s: &Server) -> Result<(), Failure> {
    let s =
        s.with_policy(r#"{"client_directives":"honour","downstream":"max_age_remaining"}"#).await?;
    let numbers = [
        "max-age=99999999999999999999999999",
        "max-age=18446744073709551615",
        "max-age=2147483648",
        "max-stale=99999999999999999999",
        "max-age=-1",
        "max-age=abc",
        "max-age",
        "max-age=\"60",
        "=",
        ",,,",
        "no-cache=",
        "min-fresh=99999999999999999999",
    ];
    for value in numbers {
        let id = s.id();
        let set = value.replace('"', "%22");
        let answer = s.get(&format!("/hdr?set=cache-control:{set}&{id}")).await?;
        expect(answer.status == 200, "an answer", &answer)?;
        let answer = s.get_with(&format!("/json?{id}"), "cache-control", value).await?;
        expect(answer.status == 200, "an answer", &answer)?;
        s.get(&format!("/json?{id}")).await?.status(200)?;
    }
    for age in ["99999999999999999999", "-1", "x", "1, 2"] {
        let target = format!("/hdr?set=age:{}&{}", age.replace(' ', "%20"), s.id());
        for _ in 0..2 {
            let answer = s.get(&target).await?.status(200)?;
            let lines = answer.lines("age");
            expect(
                lines.len() <= 1 || answer.x_cache().is_none(),
                "one `Age`",
                format!("{lines:?}"),
            )?;
        }
    }
    let life = s.with_policy(r#"{"ttl":"99999999999d"}"#).await;
    if let Ok(long) = life {
        long.get("/json").await?.status(200)?;
        long.get("/json").await?.status(200)?.hit()?;
    }
    let huge = s.get(&format!("/ttl/fn:{}", u64::MAX)).await?.status(200)?;
    expect(huge.status == 200, "an answer", &huge)?;
    s.get(&format!("/ttl/fn:{}", u64::MAX)).await?.status(200)?;
    Ok(())
}

pub(super) async fn h7_broken_admin_requests(s: &Server) -> Result<(), Failure> {
    let bodies =
        ["", "{", "[]", "null", r#"{"key":["x"]}"#, r#"{"keys":"x"}"#, r#"{"all":1}"#, "\u{0}"];
    for body in bodies {
        s.send(&Request::post("/admin/invalidate", body)).await?.status(400)?;
        s.send(&Request::post("/admin/explain", body)).await?.status(400)?;
    }
    equal("removed", &s.invalidate("{}").await?, &0)?;
    let long = "t".repeat(2000);
    for body in [json!({ "tags": [""] }), json!({ "tags": [long] }), json!({ "namespace": "" })] {
        s.send(&Request::post("/admin/invalidate", body.to_string())).await?.status(400)?;
    }
    for uri in ["", "no target", "http://", "/n/\u{7f}", "*"] {
        let asked = json!({ "uri": uri, "method": "G T" }).to_string();
        s.send(&Request::post("/admin/explain", asked)).await?.status(400)?;
    }
    Ok(())
}

pub(super) async fn c093_line_breaks_are_never_replayed(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    for set in ["x-a:1%0D%0Ax-evil:1", "x-a%0Ax-evil:1", "x-a:1%0Ax-evil:1", "x-a:1%00"] {
        for _ in 0..2 {
            let answer = s.get(&format!("/hdr?set={set}&{id}")).await?;
            expect(!answer.has("x-evil"), "no smuggled field", &answer)?;
        }
    }
    // What comes in a query or a path never becomes a line of a head.
    let answer = s.get(&format!("/n/{id}%0D%0Ax-evil:1")).await?;
    expect(!answer.has("x-evil"), "no smuggled field", &answer)?;
    let answer = s.get(&format!("/n/{id}%0D%0Ax-evil:1")).await?.hit()?;
    expect(!answer.has("x-evil"), "no smuggled field", &answer)
}
