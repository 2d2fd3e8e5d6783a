//! Several processes over one store behave as one.

use futures_util::future::{join_all, try_join_all};
use serde_json::json;

use super::client::Request;
use super::scenario::{Expect as _, Failure, Server, equal, expect};

pub(super) async fn c048_processes_share_what_is_stored(s: &Server) -> Result<(), Failure> {
    let (one, two) = s.two(&[]).await?;
    for target in ["/json", "/bin", "/users/1", "/q?a=1", "/stream?chunks=3", "/file"] {
        let first = one.get(target).await?.miss()?;
        let second = two.get(target).await?.hit()?;
        expect(second.body == first.body, "the same body", &second)?;
        equal("the type", &second.field("content-type"), &first.field("content-type"))?;
        let etag = second.field("etag").unwrap_or_default();
        one.get_with(target, "if-none-match", &etag).await?.status(304)?.hit()?;
    }
    let language = async |s: &Server| s.get_with("/negotiated", "accept-language", "de").await;
    language(&one).await?.miss()?;
    language(&two).await?.hit()?.says("lang", "de")?;
    two.get_with("/negotiated", "accept-language", "fr").await?.miss()?.says("lang", "fr")?;
    one.get_with("/negotiated", "accept-language", "fr").await?.hit()?.says("lang", "fr")?;
    two.ask("HEAD", "/json").await?.hit()?;
    one.get("/fn?x=a").await?.says("runs", 1)?;
    two.get("/fn?x=a").await?.says("runs", 0)?;
    Ok(())
}

pub(super) async fn c096_invalidations_reach_every_process(s: &Server) -> Result<(), Failure> {
    let (one, two) = s.two(&[]).await?;
    let cases = [
        ("/items?id=7", json!({ "tags": ["item:7"] })),
        ("/rawq?b=1&a=2", json!({ "keys": ["/rawq?a=2&b=1"] })),
        ("/users/7", json!({ "keys": ["user:7"], "namespace": "users" })),
        ("/users/7", json!({ "namespace": "users" })),
        ("/json", json!({ "all": true })),
    ];
    for (target, what) in cases {
        for (here, there) in [(&one, &two), (&two, &one)] {
            here.get(target).await?;
            here.get(target).await?.hit()?;
            there.get(target).await?.hit()?;
            there.invalidate(&what.to_string()).await?;
            here.get(target).await?.miss()?;
            there.get(target).await?.hit()?;
        }
    }
    // A variant, too, whose names both processes remember.
    for server in [&one, &two] {
        server.get_with("/negotiated", "accept-language", "de").await?;
    }
    two.invalidate(r#"{"keys":["/negotiated"]}"#).await?;
    one.get_with("/negotiated", "accept-language", "de").await?.miss()?;
    Ok(())
}

/// Two servers that share their registers, too, and what keeps the directory.
async fn registers(s: &Server) -> Result<(Server, Server, Directory), Failure> {
    let name = format!("registers-{}", super::process::unique_prefix().replace(':', ""));
    let directory = Directory(std::env::temp_dir().join(name));
    let argument = format!("--cas-file={}", directory.0.display());
    let (one, two) = s.two(&[&argument]).await?;
    Ok((one, two, directory))
}

/// A directory that the servers make, removed at the end.
struct Directory(std::path::PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) async fn c096_fill_straddling_an_invalidation_elsewhere(
    s: &Server,
) -> Result<(), Failure> {
    let (one, two, _directory) = registers(s).await?;
    let target = "/cas/r?delay_ms=300";
    let mut early = one.connect().await?;
    early.send(&Request::get(target)).await?;
    one.until_runs("/cas/{reg}", "r", 1).await?;
    two.ask("PUT", "/cas/r?value=new&tag=cas:r").await?.status(200)?;
    // In both processes, while the early fill runs and after it.
    for answer in join_all([one.get(target), two.get(target)]).await {
        answer?.says("value", "new")?;
    }
    early.response().await?.says("value", "")?;
    for server in [&one, &two] {
        server.get(target).await?.hit()?.says("value", "new")?;
    }
    Ok(())
}

pub(super) async fn c096_register_of_two_processes_is_linearizable(
    s: &Server,
) -> Result<(), Failure> {
    const LAST: u64 = 60;
    let (one, two, _directory) = registers(s).await?;
    let target = "/cas/r?delay_ms=1";
    let value = async |server: &Server| -> Result<u64, Failure> {
        let answer = server.get(target).await?.status(200)?;
        Ok(answer.json("value").as_str().and_then(|value| value.parse().ok()).unwrap_or(0))
    };
    let writer = async {
        for next in 1..=LAST {
            let (here, there) = if next % 2 == 0 { (&one, &two) } else { (&two, &one) };
            let put = format!("/cas/r?value={next}&tag=cas:r");
            here.ask("PUT", &put).await?.status(200)?;
            equal("what the other process reads", &value(there).await?, &next)?;
            equal("what its writer reads", &value(here).await?, &next)?;
        }
        Ok::<(), Failure>(())
    };
    // Values are written in order, so no reader may see one go back, wherever it asks.
    let readers = try_join_all((0..4).map(|_| async {
        let mut newest = 0;
        while newest < LAST {
            for server in [&one, &two] {
                let seen = value(server).await?;
                expect(seen >= newest, format!("{newest} or newer"), seen)?;
                newest = seen;
            }
        }
        Ok::<(), Failure>(())
    }));
    // A writer that fails ends the readers, who would wait for its last value.
    futures_util::future::try_join(writer, readers).await?;
    Ok(())
}
