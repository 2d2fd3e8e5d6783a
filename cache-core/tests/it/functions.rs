//! Cached functions (C43, C82, C83, C84).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cache_core::clock::{Clock, ManualClock};
use cache_core::function::Codec;
use cache_core::policy::setting::{Namespace, Ttl};
use cache_core::{Cache, Policy};
use cache_memory::MemoryStore;
use serde::{Deserialize, Serialize};

const HOUR: Duration = Duration::from_secs(3600);

fn rig() -> (Cache, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::default());
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let store = MemoryStore::builder().clock(Arc::clone(&shared)).build().unwrap();
    (Cache::builder(store).clock(shared).build().unwrap(), clock)
}

fn minute() -> Policy {
    Policy::ttl(Duration::from_secs(60))
}

/// Counts runs; the closure given to `call` adds one.
#[derive(Default)]
struct Runs(AtomicUsize);

impl Runs {
    fn next(&self) -> usize {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[derive(Serialize)]
struct Find {
    user: u64,
    name: &'static str,
}

#[tokio::test]
async fn c043_arguments_select_and_tags_invalidate() {
    let (cache, clock) = rig();
    let runs = Runs::default();
    let find = cache.function("find", minute().tag("user:{user}")).unwrap();
    let ask = async |user, name| {
        find.call(&Find { user, name }, async || Ok::<_, String>(runs.next())).await.unwrap()
    };
    assert_eq!((ask(1, "a").await, ask(1, "a").await), (1, 1));
    assert_eq!((ask(1, "b").await, ask(2, "a").await), (2, 3));
    assert_eq!(cache.invalidate_tags(["user:1"]).await.unwrap().removed, 2);
    assert_eq!((ask(1, "a").await, ask(2, "a").await), (4, 3));
    clock.advance(Duration::from_secs(60));
    assert_eq!(ask(2, "a").await, 5);
}

/// What a search may be narrowed by; what is not given is not written.
#[derive(Default, Serialize)]
struct Narrowed {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Owner {
    Number(u8),
    Name(&'static str),
}

#[tokio::test]
async fn c043_arguments_that_are_left_out_or_untagged_never_share_a_result() {
    let (cache, _) = rig();
    let runs = Runs::default();
    let find = cache.function("find", minute()).unwrap();
    let next = async || Ok::<_, String>(runs.next());
    let user = Narrowed { user: Some(7), ..Narrowed::default() };
    let team = Narrowed { team: Some(7), ..Narrowed::default() };
    assert_eq!((find.call(&user, next).await, find.call(&team, next).await), (Ok(1), Ok(2)));
    assert_eq!(find.call(&user, next).await, Ok(1));
    let (number, name) = (Owner::Number(0), Owner::Name(""));
    assert_eq!((find.call(&number, next).await, find.call(&name, next).await), (Ok(3), Ok(4)));
}

#[tokio::test(start_paused = true)]
async fn callers_do_not_wait_for_results_that_cannot_be_stored() {
    let (cache, clock) = rig();
    let f = cache.function("large", minute().max_body(4)).unwrap();
    let second = Duration::from_secs(1);
    let ask = || {
        f.call(&(), async || {
            tokio::time::sleep(second).await;
            Ok::<_, String>("far too large".to_owned())
        })
    };
    ask().await.unwrap();
    let start = tokio::time::Instant::now();
    let (one, other) = tokio::join!(ask(), ask());
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(start.elapsed(), second);
    // Later it is tried again whether they can be shared.
    clock.advance(second);
    tokio::join!(ask(), ask()).0.unwrap();
    assert_eq!(start.elapsed(), 3 * second);
}

#[tokio::test]
async fn c082_none_and_empty_are_values_and_errors_are_not() {
    let (cache, _) = rig();
    let runs = Runs::default();
    let f = cache.function("f", minute()).unwrap();
    for _ in 0..2 {
        let none: Option<u8> = f
            .call(&"none", async || {
                runs.next();
                Ok::<_, String>(None)
            })
            .await
            .unwrap();
        assert_eq!(none, None);
        let empty: String = f
            .call(&"empty", async || {
                runs.next();
                Ok::<_, String>(String::new())
            })
            .await
            .unwrap();
        assert_eq!(empty, "");
    }
    assert_eq!(runs.0.load(Ordering::SeqCst), 2);
    for run in 3..5 {
        let error = f.call(&"err", async || Err::<u8, _>(runs.next())).await.unwrap_err();
        assert_eq!(error, run);
    }
}

#[tokio::test]
async fn c084_codecs_differ_and_the_undecodable_is_a_miss() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Point {
        x: i32,
        y: Option<i32>,
    }
    let (cache, _) = rig();
    let policy = || minute().key("point");
    let binary = cache.function("point", policy()).unwrap();
    let json = cache.function("point", policy()).unwrap().with_codec(Codec::Json);
    let made = |x| async move { Ok::<_, String>(Point { x, y: None }) };
    assert_eq!(binary.call(&(), || made(1)).await.unwrap().x, 1);
    assert_eq!(binary.call(&(), || made(2)).await.unwrap().x, 1);
    // The other codec does not read it, and replaces it.
    assert_eq!(json.call(&(), || made(3)).await.unwrap(), Point { x: 3, y: None });
    assert_eq!(json.call(&(), || made(4)).await.unwrap().x, 3);
    // Another type under the same key is a miss too.
    let text: String = json.call(&(), async || Ok::<_, String>("text".into())).await.unwrap();
    assert_eq!(text, "text");
}

#[tokio::test]
async fn c083_concurrent_callers_share_one_run_and_survive_its_end() {
    let (cache, _) = rig();
    let stats = cache.clone();
    let runs = Arc::new(Runs::default());
    let slow = Arc::new(cache.function("slow", minute()).unwrap());
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let ask = || {
        let (slow, runs, gate) = (Arc::clone(&slow), Arc::clone(&runs), Arc::clone(&gate));
        tokio::spawn(async move {
            slow.call(&(), async || {
                let run = runs.next();
                gate.acquire().await.unwrap().forget();
                Ok::<_, String>(run)
            })
            .await
            .unwrap()
        })
    };
    let leader = ask();
    while runs.0.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    let followers: Vec<_> = (0..20).map(|_| ask()).collect();
    tokio::task::yield_now().await;
    // A leader that is dropped does not take the others with it: the next one computes.
    leader.abort();
    let _ = leader.await;
    gate.add_permits(1);
    for follower in followers {
        assert_eq!(follower.await.unwrap(), 2);
    }
    // Each call that ended is counted once.
    let stats = stats.stats();
    assert_eq!((stats.hits, stats.collapsed, stats.misses), (0, 19, 1));
}

#[tokio::test]
async fn stale_results_stand_in_for_errors() {
    let (cache, clock) = rig();
    let policy =
        Policy::ttl(Duration::from_secs(1)).stale_if_error(Duration::from_secs(60)).tag("t");
    let f = cache.function("f", policy).unwrap();
    let good = async || Ok::<_, String>(1);
    let bad = async || Err::<i32, _>("down".to_owned());
    assert_eq!(f.call(&(), good).await, Ok(1));
    clock.advance(Duration::from_secs(5));
    assert_eq!(f.call(&(), bad).await, Ok(1));
    cache.invalidate_tags(["t"]).await.unwrap();
    assert_eq!(f.call(&(), bad).await, Err("down".to_owned()));
}

#[tokio::test]
async fn a_result_computed_across_an_invalidation_is_not_stored() {
    let (cache, _) = rig();
    let f = cache.function("f", minute().tag("t")).unwrap();
    let inner = cache.clone();
    let first = f
        .call(&(), async || {
            inner.invalidate_tags(["t"]).await.unwrap();
            Ok::<_, String>(1)
        })
        .await;
    assert_eq!(first, Ok(1));
    assert_eq!(f.call(&(), async || Ok::<_, String>(2)).await, Ok(2));
}

#[tokio::test]
async fn functions_obey_switch_namespace_and_calendar() {
    let (cache, _) = rig();
    let policy = Policy::new()
        .lifetime(Ttl::EndOfDay { zone: Some("Europe/Paris".into()) })
        .namespace(Namespace::new("reports"));
    let f = cache.function("f", policy).unwrap();
    let runs = Runs::default();
    let ask = async || f.call(&(), async || Ok::<_, String>(runs.next())).await.unwrap();
    assert_eq!((ask().await, ask().await), (1, 1));
    assert_eq!(cache.invalidate_namespace("reports").await.unwrap().removed, 1);
    cache.set_enabled(false);
    assert_eq!((ask().await, ask().await), (2, 3));
}

#[tokio::test]
async fn arguments_that_cannot_be_keyed_cost_the_caching_only() {
    let (cache, _) = rig();
    let runs = Runs::default();
    let f = cache.function("f", minute().tag("t:{missing}")).unwrap();
    for run in 1..3 {
        assert_eq!(f.call(&(), async || Ok::<_, String>(runs.next())).await, Ok(run));
    }
    assert_eq!(cache.stats().reasons.get("unknown-placeholder"), Some(&2));
}

#[tokio::test]
async fn functions_of_requests_are_refused_by_their_settings_name() {
    let (cache, _) = rig();
    let key = Policy::new().key_fn(|_| Ok::<_, String>("k".into()));
    let later = Policy::new().key_async_fn(|_| std::future::ready(Ok::<_, String>("k".into())));
    let life = Policy::new().ttl_fn(|_| std::future::ready(Ok::<_, String>(Ttl::For(HOUR))));
    for (policy, field) in [(key, "key"), (later, "key"), (life, "ttl")] {
        let error = cache.function("f", policy).unwrap_err();
        assert_eq!((error.field(), error.value()), (field, "a function"), "{error}");
    }
}

#[tokio::test]
async fn what_an_application_says_of_its_routes_is_not_for_functions() {
    let routes = [
        Policy::new().key_fn(|_| Ok::<_, String>("k".into())),
        Policy::new().key("everybody's"),
        Policy::new().ttl_fn(|_| std::future::ready(Ok::<_, String>(Ttl::For(HOUR)))),
        Policy::new().params(["id"]),
        Policy::new().tag("user:{user_id}"),
    ];
    for routes in routes {
        let cache = Cache::builder(MemoryStore::new()).policy(routes).build().unwrap();
        let runs = Runs::default();
        let f = cache.function("f", minute().tag("f:{0}")).unwrap();
        let g = cache.function("g", minute()).unwrap();
        let next = async || Ok::<_, String>(runs.next());
        assert_eq!((f.call(&(1,), next).await, g.call(&(1,), next).await), (Ok(1), Ok(2)));
        assert_eq!((f.call(&(2,), next).await, f.call(&(1,), next).await), (Ok(3), Ok(1)));
        assert_eq!(g.call(&(1,), next).await, Ok(2));
    }
}

#[tokio::test]
async fn of_an_applications_tags_those_without_a_placeholder_are_for_functions_too() {
    let routes = Policy::new().tags(["all", "user:{user_id}", "{{all}}"]);
    let cache = Cache::builder(MemoryStore::new()).policy(routes).build().unwrap();
    let runs = Runs::default();
    let f = cache.function("f", minute()).unwrap();
    let ask = async || f.call(&(1,), async || Ok::<_, String>(runs.next())).await.unwrap();
    for (run, tag) in [(1, "all"), (2, "{all}")] {
        assert_eq!((ask().await, ask().await), (run, run), "{tag}");
        assert_eq!(cache.invalidate_tags([tag]).await.unwrap().removed, 1, "{tag}");
    }
}

#[tokio::test]
async fn a_namespace_with_an_empty_level_is_an_error() {
    let (cache, _) = rig();
    for name in ["a:", "a::b", ""] {
        let handle = cache.namespace(name);
        assert!(cache.invalidate_namespace(name).await.is_err(), "{name}");
        assert!(handle.invalidate_keys(["/k"]).await.is_err(), "{name}");
    }
    assert_eq!(cache.stats().invalidations, 0);
}
