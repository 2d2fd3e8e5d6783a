//! Tests of the history checker: the right store is safe and useful, broken ones are caught.

use std::sync::Arc;
use std::time::Duration;

use cache_core::clock::SystemClock;
use cache_core::store::Store;
use conformance_tests::history::{self, Config, Rule, Verdict};

use crate::reference::{Bug, Reclaim, Reference};

/// The handles of three processes.
fn handles(reclaim: Reclaim, bug: Option<Bug>) -> Vec<Arc<dyn Store>> {
    let store = Reference::new(Arc::new(SystemClock), reclaim, bug);
    let others = [store.second_handle(), store.second_handle()];
    let mut handles: Vec<Arc<dyn Store>> = vec![Arc::new(store)];
    for other in others {
        handles.push(Arc::new(other));
    }
    handles
}

async fn verdict(config: Config, reclaim: Reclaim, bug: Option<Bug>) -> Verdict {
    history::run(handles(reclaim, bug), config).await.check()
}

fn config(seed: u64, bug: Option<Bug>) -> Config {
    let config = Config::new(seed).with_duration(Duration::from_millis(500));
    match bug {
        // Shows only while no entry has the tag.
        Some(Bug::MarkDroppedWithLastEntry) => config.with_keys(4).with_tags(6),
        _ => config,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_store_is_safe_and_useful() {
    for (seed, reclaim) in [(1, Reclaim::Inline), (2, Reclaim::Never), (3, Reclaim::Inline)] {
        let config = Config::new(seed).with_duration(Duration::from_secs(1));
        let verdict = verdict(config, reclaim, None).await;
        verdict.assert_safe();
        verdict.assert_useful();
        assert_eq!(verdict.meters.unexplained_share(), 0.0, "{verdict}");
        assert!(verdict.meters.hit_ratio() > 0.2, "{verdict}");
        assert!(verdict.meters.superseded > 0, "{verdict}");
    }
}

/// Fixed seeds; a run ends the search as soon as one shows the violation.
async fn caught(bug: Bug, rule: Rule) {
    let reclaim = if bug.needs_lazy() { Reclaim::Never } else { Reclaim::Inline };
    let mut shown = false;
    for seed in 1..=10 {
        let verdict = verdict(config(seed, Some(bug)), reclaim, Some(bug)).await;
        shown |= verdict.violations.iter().any(|violation| violation.rule == rule);
        if shown {
            break;
        }
    }
    assert!(shown, "{bug:?} breaks {rule:?}, yet no seed shows it");
}

macro_rules! caught {
    ($($bug:ident: $($rule:ident)+,)+) => {
        #[expect(non_snake_case, reason = "named as the bugs are")]
        mod caught {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $bug() {
                    $(super::caught(super::Bug::$bug, super::Rule::$rule).await;)+
                }
            )+
        }
    };
}

caught! {
    StampTakenAtPut: Interval Version,
    StampRereadAfterVerdict: Interval Version Superseded,
    MarkWithoutAdvance: Interval Version,
    UnhintedTagsSkipped: Interval Version,
    MarkDroppedWithLastEntry: Interval Version,
    IndexIsTruth: Interval Version,
    OrphanedByInvalidation: Interval Version,
    AcknowledgedBeforeDone: Interval Version,
    CopiesFedByPush: Interval Version Replaced,
    CheckedAfterWriting: Interval,
    WrittenInParts: Foreign,
    KeyIgnored: Foreign,
    FirstPutWins: Replaced,
}

/// Safe by missing.
async fn useless(bug: Bug) {
    let verdict = verdict(config(1, Some(bug)), Reclaim::Inline, Some(bug)).await;
    verdict.assert_safe();
    assert!(!verdict.is_useful(), "{bug:?}: {verdict}");
}

#[tokio::test(flavor = "multi_thread")]
async fn safe_by_missing_is_metered() {
    for bug in [Bug::NothingKept, Bug::MarkMustBeBelow, Bug::MarksAreGlobal, Bug::ReclaimByName] {
        useless(bug).await;
    }
}

#[test]
fn a_history_survives_serde() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config::new(9).with_duration(Duration::from_millis(50));
    let history = runtime.block_on(history::run(handles(Reclaim::Inline, None), config));
    let json = serde_json::to_string(&history).unwrap();
    let read: history::History = serde_json::from_str(&json).unwrap();
    assert_eq!(read.events, history.events);
    assert_eq!(read.check().meters, history.check().meters);
}
