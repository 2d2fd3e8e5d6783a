//! The route whose response headers decide.

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

impl Server {
    /// A target of its own that answers with these fields.
    fn directed(&self, fields: &[&str]) -> String {
        let fields: Vec<String> = fields.iter().map(|field| format!("set={field}")).collect();
        format!("/http/{}?{}", self.id(), fields.join("&"))
    }
}

pub(super) async fn r1_lifetimes_are_the_responses(s: &Server) -> Result<(), Failure> {
    let lives: [&[&str]; 4] = [
        &["cache-control:max-age=60"],
        &["cache-control:max-age=0,s-maxage=60"],
        &["cache-control:public", "cache-control:max-age=60"],
        &["expires:Wed,%2021%20Oct%202099%2007:28:00%20GMT"],
    ];
    for fields in lives {
        let target = s.directed(fields);
        let first = s.get(&target).await?.miss()?.says("method", "GET")?;
        expect(first.json("path").as_str() == target.split('?').next(), "the path", &first)?;
        s.get(&target).await?.hit()?.run(1)?;
    }
    // There is no default life, and nothing private is stored.
    let refused: [&[&str]; 5] = [
        &[],
        &["cache-control:no-store,max-age=60"],
        &["cache-control:private,max-age=60"],
        &["cache-control:max-age=60", "vary:*"],
        &["cache-control:max-age=0"],
    ];
    for fields in refused {
        let target = s.directed(fields);
        for run in 1..=2 {
            s.get(&target).await?.status(200)?.run(run)?;
        }
    }
    Ok(())
}

pub(super) async fn r2_authorization_needs_a_word_of_the_response(
    s: &Server,
) -> Result<(), Failure> {
    let ask = async |target: &str| s.get_with(target, "authorization", "Basic eA==").await;
    let (plain, public) =
        (s.directed(&["cache-control:max-age=60"]), s.directed(&["cache-control:s-maxage=60"]));
    for run in 1..=2 {
        ask(&plain).await?.status(200)?.run(run)?;
    }
    ask(&public).await?.miss()?;
    ask(&public).await?.hit()?.run(1)?;
    s.get(&public).await?.hit()?.run(1)?;
    Ok(())
}

pub(super) async fn r3_an_unsafe_success_invalidates_its_target(s: &Server) -> Result<(), Failure> {
    let target = s.directed(&["cache-control:max-age=60"]);
    s.get(&target).await?.miss()?;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        s.get(&target).await?.hit()?;
        let failed = format!("{target}&status=500");
        s.ask(method, &failed).await?.status(500)?;
        s.get(&target).await?.hit()?;
        s.ask(method, &target).await?.status(200)?;
        s.get(&target).await?.miss()?;
    }
    Ok(())
}

pub(super) async fn r4_client_directives_are_honoured(s: &Server) -> Result<(), Failure> {
    let target = s.directed(&["cache-control:max-age=60"]);
    let ask = async |target: &str, value: &str| s.get_with(target, "cache-control", value).await;
    ask(&target, "only-if-cached").await?.status(504)?;
    s.get(&target).await?.miss()?;
    ask(&target, "only-if-cached").await?.hit()?.run(1)?;
    ask(&target, "no-cache").await?.status(200)?.run(2)?;
    s.get_with(&target, "pragma", "no-cache").await?.status(200)?.run(3)?;
    s.get(&target).await?.hit()?;
    let unstored = s.directed(&["cache-control:max-age=60"]);
    for run in 1..=2 {
        ask(&unstored, "no-store").await?.status(200)?.run(run)?;
    }
    Ok(())
}

pub(super) async fn c101_parts_of_what_is_stored(s: &Server) -> Result<(), Failure> {
    let target = format!("/bin?{}", s.id());
    let whole = s.get(&target).await?.miss()?;
    let etag = whole.field("etag").unwrap_or_default();
    let part = s.get_with(&target, "range", "bytes=16-31").await?.status(206)?.hit()?;
    expect(part.body == (16..32).collect::<Vec<u8>>(), "those bytes", format!("{:?}", part.body))?;
    let range = part.field("content-range");
    equal("`Content-Range`", &range.as_deref(), &Some("bytes 16-31/256"))?;
    let last = s.get_with(&target, "range", "bytes=-1").await?.status(206)?;
    equal("the last byte", &last.body, &vec![255])?;
    let beyond = s.get_with(&target, "range", "bytes=256-").await?.status(416)?;
    let range = beyond.field("content-range");
    equal("`Content-Range`", &range.as_deref(), &Some("bytes */256"))?;
    let ask = |validator: &str| {
        Request::get(&target).field("range", "bytes=0-0").field("if-range", validator)
    };
    s.send(&ask(&etag)).await?.status(206)?;
    let other = s.send(&ask("\"other\"")).await?.status(200)?.hit()?;
    expect(other.body == whole.body, "the whole", &other)
}
