//! What flights promise (rules I1, I2 and I5), each as a case that a mutant can be run through.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::Policy;
use cache_core::engine::mutant::Mutant;
use http::{HeaderMap, Response};

use super::rig::Rig;

pub(crate) type Outcome = Result<(), String>;
type Case = fn(Option<Mutant>) -> Pin<Box<dyn Future<Output = Outcome>>>;

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[(&str, Case)] =
            &[$((stringify!($name), |mutant| Box::pin($name(mutant)))),*];

        mod holds {
            $(#[tokio::test]
            async fn $name() {
                super::$name(None).await.unwrap();
            })*
        }
    };
}

cases! {
    joiner_before_put_is_served,
    joiner_after_invalidation_is_not_served,
    joiner_after_the_put_is_not_served,
    joiner_with_another_variant_is_not_served,
    a_dropped_leader_releases_its_followers,
    a_failed_put_releases_the_followers,
    a_stale_answer_respects_invalidations,
}

/// Like `assert!`, for cases that mutants are expected to fail.
macro_rules! ensure {
    ($condition:expr, $($observed:tt)*) => {
        if !$condition {
            return Err(format!($($observed)*));
        }
    };
}

fn tagged() -> Policy {
    Policy::ttl(Duration::from_secs(60)).tag("t")
}

async fn joiner_before_put_is_served(mutant: Option<Mutant>) -> Outcome {
    let rig = Rig::new(tagged(), mutant);
    rig.in_handler.shut();
    let leader = rig.ask("/a");
    rig.in_handler.reached().await;
    let follower = rig.ask("/a");
    rig.looked_up(2).await;
    rig.in_handler.open();
    let (leader, follower) = (leader.await.unwrap(), follower.await.unwrap());
    ensure!(rig.runs() == 1, "the handler ran {} times", rig.runs());
    ensure!(leader.body == follower.body, "{leader:?} and {follower:?}");
    ensure!(leader.field("x-cache") == "MISS", "{leader:?}");
    ensure!(follower.field("x-cache") == "HIT", "{follower:?}");
    ensure!(follower.field("cache-status").contains("; collapsed"), "{follower:?}");
    Ok(())
}

async fn joiner_after_invalidation_is_not_served(mutant: Option<Mutant>) -> Outcome {
    let rig = Rig::new(tagged(), mutant);
    rig.in_handler.shut();
    let leader = rig.ask("/a");
    rig.in_handler.reached().await;
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    let follower = rig.ask("/a");
    rig.looked_up(2).await;
    rig.in_handler.open();
    let (leader, follower) = (leader.await.unwrap(), follower.await.unwrap());
    ensure!(leader.body == "first", "{leader:?}");
    ensure!(follower.body == "second", "{follower:?}");
    Ok(())
}

async fn joiner_after_the_put_is_not_served(mutant: Option<Mutant>) -> Outcome {
    let rig = Rig::new(tagged(), mutant);
    rig.store.after_put.shut();
    let leader = rig.ask("/a");
    // The entry is stored; the store's reply is under way.
    rig.store.after_put.reached().await;
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    let late = rig.ask("/a");
    rig.looked_up(2).await;
    rig.store.after_put.open();
    let (leader, late) = (leader.await.unwrap(), late.await.unwrap());
    ensure!(leader.body == "first", "{leader:?}");
    ensure!(late.body == "second", "{late:?}");
    Ok(())
}

fn in_language(request: &HeaderMap, _run: usize) -> Response<&'static str> {
    let german = request.get("accept-language").is_some_and(|value| value == "de");
    Response::builder()
        .header("vary", "accept-language")
        .body(if german { "hallo" } else { "hello" })
        .unwrap()
}

async fn joiner_with_another_variant_is_not_served(mutant: Option<Mutant>) -> Outcome {
    let rig = Rig::new(tagged(), mutant).handler(in_language);
    rig.in_handler.shut();
    let ask = |language| {
        let rig = rig.clone();
        tokio::spawn(async move { rig.get_with("/a", &[("accept-language", language)]).await })
    };
    let leader = ask("de");
    rig.in_handler.reached().await;
    let (other, same) = (ask("en"), ask("de"));
    rig.looked_up(3).await;
    rig.in_handler.open();
    let (leader, other, same) = (leader.await.unwrap(), other.await.unwrap(), same.await.unwrap());
    ensure!(leader.body == "hallo" && same.body == "hallo", "{leader:?} and {same:?}");
    ensure!(other.body == "hello", "{other:?}");
    ensure!(rig.runs() == 2, "the handler ran {} times", rig.runs());
    Ok(())
}

async fn a_dropped_leader_releases_its_followers(mutant: Option<Mutant>) -> Outcome {
    let rig = Rig::new(tagged(), mutant);
    rig.in_handler.shut();
    let leader = rig.ask("/a");
    rig.in_handler.reached().await;
    let follower = rig.ask("/a");
    rig.looked_up(2).await;
    leader.abort();
    let _ = leader.await;
    rig.in_handler.open();
    let follower = follower.await.unwrap();
    ensure!(follower.body == "second", "{follower:?}");
    ensure!(rig.get("/a").await.body == "second", "the follower's answer is not stored");
    Ok(())
}

async fn a_failed_put_releases_the_followers(mutant: Option<Mutant>) -> Outcome {
    let rig = Rig::new(tagged(), mutant);
    rig.store.fail_puts.store(true, Ordering::SeqCst);
    rig.in_handler.shut();
    let leader = rig.ask("/a");
    rig.in_handler.reached().await;
    let follower = rig.ask("/a");
    rig.looked_up(2).await;
    rig.in_handler.open();
    let (leader, follower) = (leader.await.unwrap(), follower.await.unwrap());
    ensure!(leader.body == "first" && leader.status == 200, "{leader:?}");
    ensure!(follower.body == "second" && follower.status == 200, "{follower:?}");
    Ok(())
}

async fn a_stale_answer_respects_invalidations(mutant: Option<Mutant>) -> Outcome {
    let policy = Policy::ttl(Duration::from_secs(1))
        .stale_while_revalidate(Duration::from_secs(60))
        .tag("t");
    let rig = Rig::new(policy, mutant);
    rig.get("/a").await;
    rig.clock.advance(Duration::from_secs(2));
    rig.in_handler.shut();
    let stale = rig.get("/a").await;
    ensure!(stale.body == "first" && stale.field("x-cache") == "HIT", "{stale:?}");
    rig.in_handler.reached().await;
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    rig.in_handler.open();
    let after = rig.get("/a").await;
    ensure!(after.body != "first", "{after:?}");
    // The refresh began before the invalidation: it is not stored either.
    ensure!(after.body == "third", "{after:?}");
    Ok(())
}
