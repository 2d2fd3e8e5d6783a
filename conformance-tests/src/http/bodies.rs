//! What is replayed.

use super::client::{Body, Response};
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c023_status_and_headers_are_replayed_in_order(
    s: &Server,
) -> Result<(), Failure> {
    let lines = "set=X-B:2&set=x-a:1&set=X-B:3&set=x-b:1&set=content-type:text/x;charset=y";
    let target = format!("/hdr?{lines}&set=link:%3C/a%3E;rel=b&set=link:%3C/c%3E&{}", s.id());
    let first = s.get(&target).await?.miss()?.status(200)?;
    for answer in [s.get(&target).await?.hit()?, first] {
        equal("x-b", &answer.lines("x-b"), &["2", "3", "1"].map(str::to_owned).to_vec())?;
        equal("x-a", &answer.lines("x-a"), &vec!["1".to_owned()])?;
        equal("the type", &answer.lines("content-type"), &vec!["text/x;charset=y".to_owned()])?;
        equal("links", &answer.lines("link").len(), &2)?;
        equal("the date", &answer.lines("date").len(), &1)?;
    }
    Ok(())
}

pub(super) async fn c027_binary_bodies(s: &Server) -> Result<(), Failure> {
    let target = format!("/bin?{}", s.id());
    let all: Vec<u8> = (0..=255).collect();
    equal("the body", &s.get(&target).await?.miss()?.body, &all)?;
    equal("the body", &s.get(&target).await?.hit()?.body, &all)
}

pub(super) async fn c027_bodies_of_all_kinds(s: &Server) -> Result<(), Failure> {
    let id = s.id();
    let kinds = [
        ("/json", 200, Some("application/json")),
        ("/html", 200, Some("text/html; charset=utf-8")),
        ("/redirect", 307, Some("application/json")),
        ("/null", 200, Some("application/json")),
        ("/empty", 200, None),
        ("/bytes/0", 200, Some("application/octet-stream")),
        ("/bytes/1", 200, Some("application/octet-stream")),
        ("/bytes/1048576", 200, Some("application/octet-stream")),
    ];
    for (path, status, media) in kinds {
        let target = format!("{path}?{id}");
        let first = s.get(&target).await?.miss()?.status(status)?;
        let second = s.get(&target).await?.hit()?.status(status)?;
        if let Some(media) = media {
            equal("the type", &second.lines("content-type"), &vec![media.to_owned()])?;
        }
        expect(second.body == first.body, format!("{path} byte by byte"), &second)?;
        equal("the end", &second.end, &Body::Complete)?;
        equal("the length", &second.field("content-length"), &Some(first.body.len().to_string()))?;
        equal("location", &second.field("location"), &first.field("location"))?;
    }
    Ok(())
}

pub(super) async fn c027_a_served_file(s: &Server) -> Result<(), Failure> {
    let target = format!("/file?{}", s.id());
    let first = s.get(&target).await?.miss()?.status(200)?;
    equal("the length", &first.body.len(), &100_000)?;
    let second = s.get(&target).await?.hit()?.status(200)?;
    expect(second.body == first.body, "the file byte by byte", second.end_of_body())?;
    equal("the modification", &second.field("last-modified"), &first.field("last-modified"))?;
    equal("the length", &second.field("content-length"), &Some("100000".to_owned()))?;
    equal("runs", &s.runs_of("/file", target.trim_start_matches("/file?")).await?, &1)
}

impl Response {
    fn end_of_body(&self) -> String {
        format!("{} bytes, {:?}", self.body.len(), self.end)
    }
}

pub(super) async fn c100_hits_do_not_change_what_is_stored(s: &Server) -> Result<(), Failure> {
    let target = format!("/hdr?set=x-a:1&set=vary:x-b&set=cache-status:inner;hit&{}", s.id());
    let first = s.get(&target).await?.miss()?;
    let names = |answer: &Response| {
        let names = answer.fields.iter().map(|(name, _)| name.clone());
        let mut names: Vec<String> =
            names.filter(|name| name != "age" && name != "accept-ranges").collect();
        names.sort_unstable();
        names
    };
    for _ in 0..4 {
        // A conditional request and a HEAD in between must leave no trace either.
        let etag = first.field("etag").unwrap_or_default();
        s.get_with(&target, "if-none-match", &etag).await?.status(304)?;
        s.ask("HEAD", &target).await?.status(200)?;
        let hit = s.get(&target).await?.hit()?;
        equal("the fields", &names(&hit), &names(&first))?;
        equal("the body", &hit.body, &first.body)?;
        equal("Cache-Status", &hit.lines("cache-status").len(), &2)?;
    }
    Ok(())
}
