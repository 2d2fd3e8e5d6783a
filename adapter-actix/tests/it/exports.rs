//! An application needs nothing of ours but the adapter and a store: what the API takes and gives
//! has a name there.

use std::sync::Arc;

use adapter_actix::clock::{Clock, ManualClock};
use adapter_actix::policy::setting::{QueryRule, UnknownPlaceholder};
use adapter_actix::tag::{MAX_TAG_BYTES, TagError};
use adapter_actix::{
    Cache, InvalidateError, Policy, Reason, ResponseCache, Stats, StoreError, StoreErrorKind,
    Wishes,
};
use cache_memory::MemoryStore;

/// What a handler may hand on.
fn label(wishes: &Wishes) -> Result<(), TagError> {
    wishes.tag("user:7")
}

#[expect(clippy::needless_pass_by_value, reason = "as an extractor gives it")]
fn handler(response: ResponseCache) -> Result<(), TagError> {
    label(&response)
}

fn is_full(error: &StoreError) -> bool {
    error.kind() == StoreErrorKind::Full
}

fn expired(stats: &Stats) -> u64 {
    stats.reasons.get(Reason::Expired.as_str()).copied().unwrap_or(0)
}

#[actix_web::test]
async fn what_the_api_takes_and_gives_is_named_by_the_adapter_alone() {
    let policy = Policy::new()
        .query(QueryRule::Only(vec!["page".to_owned()]))
        .unknown_placeholder(UnknownPlaceholder::Literal);
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::default());
    let built = Cache::builder(MemoryStore::new()).policy(policy).clock(clock).build().unwrap();
    let cache = Cache::from(built);
    let _ = handler;

    let long = "x".repeat(MAX_TAG_BYTES + 1);
    let refused = match cache.invalidate_tags([long]).await.unwrap_err() {
        InvalidateError::Tag(error) => matches!(error, TagError::TooLong { .. }),
        InvalidateError::Store(error) => is_full(&error),
        other => panic!("{other}"),
    };
    assert!(refused);
    assert_eq!(expired(&cache.stats()), 0);
}
