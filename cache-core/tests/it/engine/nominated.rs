//! A thread that has seen which fields tell variants apart, and handlers that nominate others later.

use std::time::Duration;

use cache_core::engine::Route;
use cache_core::policy::setting::{Coalesce, Cookies};
use cache_core::{Cache, Policy};
use http::{HeaderMap, Response};

use super::rig::{Answer, Rig, shared};

type Fields = &'static [(&'static str, &'static str)];

fn body(run: usize) -> &'static str {
    ["zero", "first", "second", "third", "fourth"].get(run).copied().unwrap_or("more")
}

fn varied(status: u16, vary: &str, body: &'static str) -> Response<&'static str> {
    Response::builder()
        .status(status)
        .header("vary", vary)
        .header("cache-control", "max-age=600")
        .body(body)
        .unwrap()
}

fn rig(
    policy: Policy,
    handler: impl Fn(&HeaderMap, usize) -> Response<&'static str> + Send + Sync + 'static,
) -> Rig {
    Rig::new(policy, None).handler(handler)
}

/// So often that this thread no longer looks for the record.
async fn seen(rig: &Rig, fields: Fields) {
    for _ in 0..5 {
        assert_eq!(rig.get_with("/a", fields).await.field("x-cache"), "HIT");
    }
}

/// What a thread is told that has seen nothing.
fn elsewhere(rig: &Rig, fields: Fields) -> Answer {
    let rig = rig.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async { rig.get_with("/a", fields).await })
    });
    thread.join().unwrap()
}

#[tokio::test]
async fn what_a_forced_reload_has_stored_under_more_fields_is_seen() {
    let vary = |run| if run == 1 { "x-a" } else { "x-a, x-b" };
    let rig = rig(Policy::http(), move |_, run| varied(200, vary(run), body(run)));
    rig.get_with("/a", &[("x-a", "1")]).await;
    seen(&rig, &[("x-a", "1")]).await;
    let forced = rig.get_with("/a", &[("x-a", "1"), ("cache-control", "no-cache")]).await;
    assert_eq!(forced.body, "second");
    assert_eq!(rig.get_with("/a", &[("x-a", "1")]).await.body, "second");
    assert_eq!(elsewhere(&rig, &[("x-a", "1")]).body, "second");
}

#[tokio::test]
async fn a_page_of_ones_own_is_seen_where_a_cookie_tells_it() {
    const USER: Fields = &[("accept", "x"), ("cookie", "s=1")];
    for coalesce in [Coalesce::default(), Coalesce::Off] {
        let policy = Policy::http().cookies(Cookies::Rfc).coalesce(coalesce);
        let rig = rig(policy, |fields, run| {
            let vary = if fields.contains_key("cookie") { "accept, cookie" } else { "accept" };
            varied(200, vary, body(run))
        });
        rig.get_with("/a", &[("accept", "x")]).await;
        seen(&rig, &[("accept", "x")]).await;
        let own = [USER, &[("cache-control", "no-cache")]].concat();
        assert_eq!(rig.get_with("/a", &own).await.body, "second");
        for _ in 0..3 {
            assert_eq!(rig.get_with("/a", USER).await.body, "second");
        }
        assert_eq!(elsewhere(&rig, USER).body, "second");
    }
}

#[tokio::test]
async fn fields_nominated_by_a_fill_without_a_flight_are_seen() {
    for coalesce in [Coalesce::default(), Coalesce::Off] {
        let policy = Policy::ttl(Duration::from_secs(60)).coalesce(coalesce);
        // After the failure the key's requests do not wait for each other.
        let rig = rig(policy, |_, run| match run {
            1 => varied(200, "x-a", body(run)),
            2 => varied(500, "x-a", body(run)),
            _ => varied(200, "x-a, x-b", body(run)),
        });
        rig.get_with("/a", &[("x-a", "1"), ("x-b", "1")]).await;
        assert_eq!(rig.get_with("/a", &[("x-a", "2"), ("x-b", "2")]).await.status, 500);
        seen(&rig, &[("x-a", "1"), ("x-b", "1")]).await;
        assert_eq!(rig.get_with("/a", &[("x-a", "2"), ("x-b", "2")]).await.body, "third");
        let other = rig.get_with("/a", &[("x-a", "1"), ("x-b", "3")]).await;
        assert_eq!((other.body.as_str(), other.field("x-cache")), ("fourth", "MISS"));
    }
}

#[tokio::test]
async fn fields_nominated_through_another_cache_of_the_store_are_seen() {
    let one = rig(Policy::http(), |_, run| varied(200, "x-a", body(run)));
    let other = {
        let cache = Cache::builder(one.store.clone()).clock(shared(&one.clock)).build().unwrap();
        let route = Route::new(&cache, Policy::http()).unwrap();
        let rig = Rig { cache, route, ..one.clone() };
        rig.handler(|_, _| varied(200, "x-a, x-b", "others"))
    };
    one.get_with("/a", &[("x-a", "1")]).await;
    seen(&one, &[("x-a", "1")]).await;
    elsewhere(&other, &[("x-a", "2"), ("x-b", "2")]);
    elsewhere(&other, &[("x-a", "1"), ("x-b", "9")]);
    assert_eq!(one.get_with("/a", &[("x-a", "1"), ("x-b", "9")]).await.body, "others");
}
