//! Stores that wait, fail or hang: the handler answers, once, in bounded time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cache_core::Policy;
use cache_core::policy::setting::Coalesce;
use http::{Method, Response};

use super::rig::{Gate, Rig};

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60)).tag("t")
}

#[tokio::test]
async fn a_store_that_waits_gives_the_same_answers() {
    let rig = Rig::new(minute(), None);
    rig.store.waits.store(true, Ordering::SeqCst);
    assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
    let hit = rig.get("/a").await;
    assert_eq!((hit.body.as_str(), hit.field("x-cache")), ("first", "HIT"));
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    assert_eq!(rig.get("/a").await.body, "second");
}

/// Of all kinds that a store's answers are.
const REQUESTS: [(Method, &[(&str, &str)]); 6] = [
    (Method::GET, &[]),
    (Method::HEAD, &[]),
    (Method::GET, &[("if-none-match", "\"a\"")]),
    (Method::HEAD, &[("if-none-match", "\"b\", W/\"a\"")]),
    (Method::GET, &[("range", "bytes=1-2")]),
    (Method::GET, &[("range", "bytes=9-"), ("if-none-match", "\"b\"")]),
];

#[tokio::test]
async fn what_a_store_keeps_as_bytes_is_answered_as_what_lies_in_memory() {
    // Fields that lie ready, and one that the cache has to add to.
    for name in ["x-own", "cache-status"] {
        let rig = Rig::new(minute(), None).handler(move |_, _| {
            let response = Response::builder().header("etag", "\"a\"").header(name, "own");
            response.header("x-twice", "1").header("x-twice", "2").body("text").unwrap()
        });
        rig.get("/a").await;
        for (method, fields) in REQUESTS {
            let mut answers = Vec::new();
            for (waits, bytes) in [(false, false), (true, false), (true, true)] {
                rig.store.waits.store(waits, Ordering::SeqCst);
                rig.store.keeps_bytes.store(bytes, Ordering::SeqCst);
                for _ in 0..3 {
                    answers.push(rig.request(method.clone(), "/a", fields).await);
                }
            }
            for answer in &answers {
                assert_eq!(answer, &answers[0], "{name} {method} {fields:?}");
            }
        }
        assert_eq!(rig.runs(), 1);
    }
}

#[tokio::test]
async fn a_known_key_costs_one_lookup_and_one_put() {
    let rig = Rig::new(minute(), None)
        .handler(|_, _| Response::builder().header("vary", "accept-language").body("x").unwrap());
    rig.store.waits.store(true, Ordering::SeqCst);
    rig.get("/a").await;
    rig.get("/a").await;
    let before = rig.store.lookups.load(Ordering::SeqCst);
    assert_eq!(rig.get("/a").await.field("x-cache"), "HIT");
    assert_eq!(rig.store.lookups.load(Ordering::SeqCst) - before, 1);
    rig.cache.invalidate_tags(["t"]).await.unwrap();
    let before = rig.store.puts.load(Ordering::SeqCst);
    assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
    assert_eq!(rig.store.puts.load(Ordering::SeqCst) - before, 1);
}

#[tokio::test]
async fn a_variant_is_found_again_after_its_key_was_invalidated() {
    let rig = Rig::new(minute(), None)
        .handler(|_, _| Response::builder().header("vary", "accept-language").body("x").unwrap());
    for waits in [false, true] {
        rig.store.waits.store(waits, Ordering::SeqCst);
        rig.get("/a").await;
        rig.cache.invalidate_keys(["/a"]).await.unwrap();
        assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
        assert_eq!(rig.get("/a").await.field("x-cache"), "HIT");
        rig.cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn c090_a_store_that_is_down_costs_no_answer() {
    let rig = Rig::new(minute(), None);
    rig.store.fail_lookups.store(true, Ordering::SeqCst);
    for run in 1..=2 {
        let answer = rig.get("/a").await;
        assert_eq!(answer.status, 200);
        assert_eq!(rig.runs(), run);
        assert_eq!(answer.field("x-cache"), "");
        assert!(answer.field("cache-status").contains("detail=store-unavailable"), "{answer:?}");
    }
    rig.store.fail_lookups.store(false, Ordering::SeqCst);
    rig.get("/a").await;
    assert_eq!(rig.get("/a").await.field("x-cache"), "HIT");
}

#[tokio::test(start_paused = true)]
async fn c090_a_store_that_hangs_is_given_up_at_its_limit() {
    let rig = Rig::new(minute(), None);
    rig.store.hang.store(true, Ordering::SeqCst);
    let start = tokio::time::Instant::now();
    let answer = rig.get("/a").await;
    assert_eq!((answer.status, rig.runs()), (200, 1));
    assert_eq!(start.elapsed().as_secs(), 5, "the rig's store_timeout, once");
}

#[tokio::test]
async fn c022_a_failing_put_neither_loses_the_answer_nor_runs_the_handler_twice() {
    let rig = Rig::new(minute(), None);
    rig.store.fail_puts.store(true, Ordering::SeqCst);
    let answer = rig.get("/a").await;
    assert_eq!((answer.status, answer.body.as_str(), rig.runs()), (200, "first", 1));
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_no_longer_than_it_may() {
    let wait = Coalesce::On { wait: Duration::from_secs(2), max_followers: 8 };
    let rig = Rig::new(minute().coalesce(wait), None);
    rig.in_handler.shut();
    let ask = || rig.ask("/a");
    let leader = ask();
    rig.in_handler.reached().await;
    let start = tokio::time::Instant::now();
    let follower = ask();
    while rig.runs() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(start.elapsed() >= Duration::from_secs(2));
    rig.in_handler.open();
    let follower = follower.await.unwrap();
    assert!(follower.field("cache-status").contains("fwd=miss"), "{follower:?}");
    leader.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_does_not_slow_its_key_for_ever() {
    let rig = Rig::new(minute().max_fill(Duration::from_secs(20)), None);
    rig.in_handler.shut();
    let hung = rig.ask("/a");
    rig.in_handler.reached().await;
    tokio::time::advance(Duration::from_secs(21)).await;
    rig.clock.advance(Duration::from_secs(21));
    let start = tokio::time::Instant::now();
    let others = Rig { in_handler: Gate::default(), ..rig.clone() };
    let answer = others.get("/a").await;
    assert_eq!((answer.body.as_str(), start.elapsed()), ("second", Duration::ZERO));
    assert_eq!(others.get("/a").await.field("x-cache"), "HIT");
    rig.in_handler.open();
    // What took too long is answered and not stored.
    let late = hung.await.unwrap();
    assert!(late.field("cache-status").contains("detail=too-old"), "{late:?}");
    assert_eq!(others.get("/a").await.body, "second");
}

#[tokio::test]
async fn an_unstorable_answer_switches_coalescing_off_for_a_while() {
    let rig = Rig::new(minute(), None)
        .handler(|_, _| Response::builder().header("cache-control", "no-store").body("x").unwrap());
    rig.get("/a").await;
    rig.in_handler.shut();
    let ask = || rig.ask("/a");
    let both = [ask(), ask()];
    while rig.runs() < 3 {
        tokio::task::yield_now().await;
    }
    rig.in_handler.open();
    for answer in both {
        let answer = answer.await.unwrap();
        assert!(answer.field("cache-status").contains("detail=no-store"), "{answer:?}");
    }
}

#[tokio::test]
async fn c016_head_is_served_from_get_and_never_fills_it() {
    let rig = Rig::new(minute(), None);
    let head = |rig: Rig| async move { rig.request(Method::HEAD, "/a", &[]).await };
    assert_eq!(head(rig.clone()).await.field("x-cache"), "MISS");
    assert_eq!(head(rig.clone()).await.field("x-cache"), "HIT");
    assert_eq!(rig.get("/a").await.field("x-cache"), "MISS");
    let hit = head(rig.clone()).await;
    assert_eq!((hit.body.as_str(), hit.field("content-length")), ("", "6"));
    assert_eq!(rig.runs(), 2);
}

#[tokio::test]
async fn variants_of_one_key_are_bounded() {
    let rig = Rig::new(minute(), None)
        .handler(|_, _| Response::builder().header("vary", "accept-language").body("x").unwrap());
    const LANGUAGES: [&str; 40] = [
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r",
        "s", "t", "u", "v", "w", "x", "y", "z", "aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh",
        "ii", "jj", "kk", "ll", "mm", "nn",
    ];
    for language in LANGUAGES {
        rig.get_with("/a", &[("accept-language", language)]).await;
    }
    assert_eq!(rig.store.inner.len(), 33, "32 variants and their record");
    let newest = rig.get_with("/a", &[("accept-language", "nn")]).await;
    assert_eq!(newest.field("x-cache"), "HIT");
    let oldest = rig.get_with("/a", &[("accept-language", "a")]).await;
    assert_eq!(oldest.field("x-cache"), "MISS");
}
