//! What is put comes back byte by byte.

use std::time::Duration;

use bytes::Bytes;
use cache_core::entry::{Content, Life};
use cache_core::key::Digest;
use cache_core::key::vary::{Presented, VariantRecord};
use http::StatusCode;
use http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderName, HeaderValue};

use crate::case::Stop;
use crate::cx::{Cx, Draft, Name, response, value};

pub(super) async fn binary_fields(cx: &Cx) -> Result<(), Stop> {
    let mut head = response(cx.now());
    let mut headers = head.headers.to_map();
    let repeated = HeaderName::from_static("x-repeated");
    for byte in (0x20..=0x7e).chain(0x80..=0xff) {
        // Not at an end, where blanks would not count.
        headers.append(&repeated, field(&[b'<', byte, b'>'])?);
    }
    headers.append("x-tab", field(b"a\tb")?);
    headers.append("x-empty", field(b"")?);
    headers.append("x-long", field(&[b'l'; 4_096])?);
    for n in 0..64 {
        headers.append(numbered(n)?, field(n.to_string().as_bytes())?);
    }
    head.headers = headers.into();
    let name = cx.key("k");
    comes_back(cx, &name, cx.entry(&name).content(Content::Response(head))).await
}

pub(super) async fn binary_body(cx: &Cx) -> Result<(), Stop> {
    let name = cx.key("k");
    let every_byte: Vec<u8> = (0..=u8::MAX).chain(*b"\r\n\0\r\n$-1\r\n").collect();
    comes_back(cx, &name, cx.entry(&name).body(every_byte)).await
}

pub(super) async fn empty_body(cx: &Cx) -> Result<(), Stop> {
    let name = cx.key("k");
    comes_back(cx, &name, cx.entry(&name).body(Bytes::new())).await
}

pub(super) async fn large_body(cx: &Cx) -> Result<(), Stop> {
    let name = cx.key("k");
    // No period that a block size could hide behind.
    let body: Vec<u8> = (0..cx.promise().body).map(|at| (at % 251).to_le_bytes()[0]).collect();
    comes_back(cx, &name, cx.entry(&name).body(body)).await
}

pub(super) async fn every_content(cx: &Cx) -> Result<(), Stop> {
    let mut not_found = response(cx.now());
    not_found.status = StatusCode::NOT_FOUND;
    not_found.presented = presented()?;
    let record = VariantRecord::default()
        .with(&[ACCEPT_LANGUAGE], Digest::of(b"de"))
        .ok_or_else(|| Stop::failed("the case needs a record"))?
        .0;
    let mut result = value(cx.now())?;
    result.codec = 7;
    let contents =
        [Content::Response(not_found), Content::Variants(record), Content::Value(result)];
    for (n, content) in contents.into_iter().enumerate() {
        let name = cx.key(&format!("k{n}"));
        comes_back(cx, &name, cx.entry(&name).content(content)).await?;
    }
    Ok(())
}

pub(super) async fn life_is_kept(cx: &Cx) -> Result<(), Stop> {
    let name = cx.key("k");
    let mut life = Life::new(cx.now() - Duration::from_millis(1), Duration::from_millis(1_001));
    life.initial_age = Duration::from_millis(7);
    life.stale_while_revalidate = Duration::from_secs(86_400 * 365);
    life.stale_if_error = Duration::from_millis(333);
    let head = response(cx.now()).with_life(life);
    let entry = cx.entry(&name).content(Content::Response(head));
    comes_back(cx, &name, entry.kept_for(Duration::from_millis(99_999))).await
}

/// Puts through one handle, finds through both.
async fn comes_back(cx: &Cx, name: &Name, draft: Draft) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let tags = [cx.tag("one")?, cx.tag("two")?, cx.key_tag("k"), cx.uri_tag("k")];
    let draft = draft.tags(&tags);
    let entry = draft.clone().build();
    p1.fill(name, draft).await?;
    p1.hit_same(name, &entry).await?;
    p2.hit_same(name, &entry).await
}

/// Absent, empty and repeated values, which are three different things.
fn presented() -> Result<Presented, Stop> {
    let names = ["accept", "accept-encoding", "accept-language"].map(HeaderName::from_static);
    let mut request = HeaderMap::new();
    request.append("accept-encoding", field(b"")?);
    request.append(ACCEPT_LANGUAGE, field(b"de")?);
    request.append(ACCEPT_LANGUAGE, field(b"\xff")?);
    Ok(Presented::take(&names, &request))
}

fn field(bytes: &[u8]) -> Result<HeaderValue, Stop> {
    HeaderValue::from_bytes(bytes).map_err(|error| Stop::failed(format!("the case: {error}")))
}

fn numbered(n: usize) -> Result<HeaderName, Stop> {
    HeaderName::try_from(format!("x-number-{n}"))
        .map_err(|error| Stop::failed(format!("the case: {error}")))
}
