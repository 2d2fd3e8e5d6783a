//! Functions that write: each failure says whether the function has run.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use cache_core::function::WriteFailure;
use cache_core::{Invalidation, Policy, When};

use crate::engine::rig::Rig;

fn user() -> Invalidation {
    Invalidation::new().tag("user:{0}")
}

fn failed(rig: &Rig) -> (u64, Option<u64>) {
    let stats = rig.cache.stats();
    (stats.invalidation_errors, stats.reasons.get("invalidation-failed").copied())
}

#[tokio::test]
async fn arguments_that_lack_a_placeholder_keep_the_function_from_running() {
    let rig = Rig::new(Policy::new(), None);
    for when in [When::AfterSuccess, When::Before, When::Both] {
        let write = rig.cache.write_function(user().when(when)).unwrap();
        let mut has_run = false;
        let done = write
            .call(&(), async || {
                has_run = true;
                Ok::<_, String>(())
            })
            .await;
        let Err(WriteFailure::Arguments(cause)) = done else { panic!("{when:?}: {done:?}") };
        assert!(cause.to_string().contains("{0}"), "{cause}");
        assert!(!has_run, "{when:?}");
    }
    assert_eq!(failed(&rig), (3, Some(3)));
}

#[tokio::test]
async fn arguments_that_cannot_be_written_keep_the_function_from_running() {
    let rig = Rig::new(Policy::new(), None);
    let write = rig.cache.write_function(Invalidation::new().tag("all")).unwrap();
    // JSON has no name that is a pair.
    let arguments = BTreeMap::from([((1, 2), 3)]);
    let done = write.call(&arguments, async || Err::<(), _>("has run")).await;
    assert!(matches!(done, Err(WriteFailure::Arguments(_))), "{done:?}");
    assert_eq!(failed(&rig), (1, Some(1)));
}

#[tokio::test]
async fn a_failed_invalidation_says_on_which_side_of_the_function_it_was() {
    let rig = Rig::new(Policy::new(), None);
    rig.store.fail_invalidations.store(true, Ordering::SeqCst);
    for (when, runs) in [(When::AfterSuccess, 1), (When::Before, 0), (When::Both, 0)] {
        let write = rig.cache.write_function(user().when(when)).unwrap();
        let mut ran = 0;
        let done = write
            .call(&(7,), async || {
                ran += 1;
                Ok::<_, String>(())
            })
            .await;
        let told = match done {
            Err(WriteFailure::Before(_)) => 0,
            Err(WriteFailure::Invalidation(_)) => 1,
            other => panic!("{when:?}: {other:?}"),
        };
        assert_eq!((told, ran), (runs, runs), "{when:?}");
    }
    assert_eq!(failed(&rig), (3, Some(3)));
}

#[tokio::test]
async fn a_failed_invalidation_after_one_before_says_that_the_function_has_run() {
    let rig = Rig::new(Policy::new(), None);
    let write = rig.cache.write_function(user().when(When::Both)).unwrap();
    let done = write
        .call(&(7,), async || {
            rig.store.fail_invalidations.store(true, Ordering::SeqCst);
            Ok::<_, String>(())
        })
        .await;
    assert!(matches!(done, Err(WriteFailure::Invalidation(_))), "{done:?}");
}

#[tokio::test]
async fn the_functions_own_error_invalidates_nothing() {
    let rig = Rig::new(Policy::new(), None);
    let write = rig.cache.write_function(user()).unwrap();
    let done = write.call(&(7,), async || Err::<(), _>("no such user")).await;
    assert!(matches!(done, Err(WriteFailure::Function("no such user"))), "{done:?}");
    assert_eq!(rig.cache.stats().invalidations, 0);
}
