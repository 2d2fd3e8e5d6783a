//! A test that cannot fail is none: each mutant must fail exactly its cases.

use cache_core::engine::mutant::Mutant;

use super::cases;

async fn failing(mutant: Option<Mutant>) -> Vec<&'static str> {
    let mut failing = Vec::new();
    for (name, case) in cases::ALL {
        if case(mutant).await.is_err() {
            failing.push(*name);
        }
    }
    failing
}

#[tokio::test]
async fn followers_served_without_a_verdict_are_noticed() {
    let failing = failing(Some(Mutant::NoVerdict)).await;
    let expected = [
        "joiner_after_invalidation_is_not_served",
        "a_failed_put_releases_the_followers",
        "a_stale_answer_respects_invalidations",
    ];
    assert_eq!(failing, expected);
}

#[tokio::test]
async fn a_flight_closed_after_the_put_is_noticed() {
    assert_eq!(failing(Some(Mutant::ClosedAfterPut)).await, ["joiner_after_the_put_is_not_served"]);
}

#[tokio::test]
async fn a_follower_served_another_variant_is_noticed() {
    assert_eq!(
        failing(Some(Mutant::AnyVariant)).await,
        ["joiner_with_another_variant_is_not_served"]
    );
}
