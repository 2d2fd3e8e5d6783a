//! What a put does, and what its ticket permits.
//!
//! That a ticket permits one fill only (`ticket_reuse_impossible`) is checked by the compiler:
//!
//! ```compile_fail,E0382
//! # use cache_core::entry::Entry;
//! # use cache_core::store::{Store, Ticket};
//! async fn twice(store: &dyn Store, ticket: Ticket, entry: Entry) {
//!     let _ = store.put(ticket, entry.clone()).await;
//!     let _ = store.put(ticket, entry).await;
//! }
//! ```
//!
//! ```compile_fail,E0599
//! # use cache_core::store::Ticket;
//! fn twice(ticket: Ticket) -> (Ticket, Ticket) {
//!     (ticket.clone(), ticket)
//! }
//! ```

use std::time::Duration;

use cache_core::store::{PutOutcome, Refusal, Ticket};

use crate::case::{Stop, expect};
use crate::cx::{Cx, Draft};

pub(super) async fn overwriting_replaces_body_and_tags(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let (one, two) = (cx.tag("one")?, cx.tag("two")?);
    p1.fill(&name, cx.entry(&name).tags([&one]).body("one")).await?;
    let replacement = cx.entry(&name).tags([&two]).body("two");
    p1.fill(&name, replacement.clone()).await?;
    p1.hit_same(&name, &replacement.build()).await
}

pub(super) async fn last_put_wins(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let name = cx.key("k");
    let (first, second) = (p1.miss(&name).await?, p2.miss(&name).await?);
    p1.stored(first, cx.entry(&name).body("first")).await?;
    p2.stored(second, cx.entry(&name).body("second")).await?;
    p1.hit(&name, "second").await?;
    p2.hit(&name, "second").await
}

pub(super) async fn second_fill_wins(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let old = p1.miss(&name).await?;
    p2.invalidate([&tag]).await?;
    p2.fill(&name, cx.entry(&name).tags([&tag]).body("new")).await?;
    p1.superseded(old, cx.entry(&name).tags([&tag]).body("old")).await?;
    // The rule allows to lose the new entry here, not to show the old one; I2 forbids the loss.
    p1.hit(&name, "new").await?;
    p2.hit(&name, "new").await
}

pub(super) async fn begin_reads_the_clock_inside_the_call(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let put = |body: &'static str| cx.entry(&name).tags([&tag]).body(body);
    p2.invalidate([&tag]).await?;
    let young = p1.begin(&name).await?;
    p1.stored(young, put("young")).await?;
    p2.hit(&name, "young").await?;
    let old = p1.begin(&name).await?;
    p2.invalidate([&tag]).await?;
    p1.superseded(old, put("old")).await?;
    p2.miss(&name).await?;
    Ok(())
}

pub(super) async fn begin_before_refresh(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let stale = cx.entry(&name).tags([&tag]).body("stale").stale_since(Duration::from_secs(9));
    p1.fill(&name, stale).await?;
    p1.hit(&name, "stale").await?;
    let refresh = p1.begin(&name).await?;
    p2.invalidate([&tag]).await?;
    p1.superseded(refresh, cx.entry(&name).tags([&tag]).body("refreshed")).await?;
    p1.miss(&name).await?;
    p2.miss(&name).await?;
    Ok(())
}

pub(super) async fn ticket_of_another_key_refused(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, other) = (cx.key("k"), cx.key("other"));
    p1.fill(&other, cx.entry(&other).body("other")).await?;
    let ticket = p1.miss(&name).await?;
    p1.refused(ticket, cx.entry(&other).body("forged"), Refusal::KeyMismatch).await?;
    p1.hit(&other, "other").await?;
    p1.miss(&name).await?;
    // A ticket says which variant, too.
    let (de, fr) = (cx.variant("k", "de"), cx.variant("k", "fr"));
    let ticket = p1.miss(&de).await?;
    p1.refused(ticket, cx.entry(&fr).body("forged"), Refusal::KeyMismatch).await?;
    p1.miss(&de).await?;
    p1.miss(&fr).await?;
    Ok(())
}

/// Every verdict of `try_put` is compared; a store that always waits passes by giving none.
pub(super) async fn try_put_agrees_with_put(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, other, tag) = (cx.key("k"), cx.key("other"), cx.tag("t")?);
    let draft = |body: &'static str| cx.entry(&name).tags([&tag]).body(body);
    let put = |ticket: Ticket, draft: Draft, expected: PutOutcome| {
        let outcome = p1.store().try_put(ticket, draft.build()).ok();
        p1.note(&format!("try_put = {outcome:?}"));
        expect(outcome.is_none_or(|outcome| outcome == expected), || {
            format!("expected {expected:?}")
        })?;
        Ok(outcome.is_some())
    };
    let old = p1.miss(&name).await?;
    p2.invalidate([&tag]).await?;
    put(old, draft("old"), PutOutcome::Superseded)?;
    p2.miss(&name).await?;
    if put(p1.miss(&name).await?, draft("young"), PutOutcome::Stored)? {
        p1.hit(&name, "young").await?;
        p2.hit(&name, "young").await?;
    }
    let forged = PutOutcome::Refused(Refusal::KeyMismatch);
    put(p1.miss(&other).await?, draft("forged"), forged)?;
    p1.miss(&other).await?;
    Ok(())
}

pub(super) async fn ticket_serves_a_variant(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (primary, variant, tag) = (cx.key("k"), cx.variant("k", "de"), cx.tag("t")?);
    let put = |body: &'static str| cx.entry(&variant).tags([&tag]).body(body);
    let young = p1.miss(&primary).await?.for_variant(*variant.key());
    p1.stored(young, put("young")).await?;
    p2.hit(&variant, "young").await?;
    let old = p1.miss(&primary).await?.for_variant(*variant.key());
    p2.invalidate([&tag]).await?;
    p1.superseded(old, put("old")).await?;
    p2.miss(&variant).await?;
    Ok(())
}

pub(super) async fn dropped_tickets_do_no_harm(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let old = p1.miss(&name).await?;
    for _ in 0..1_000 {
        drop(p1.begin(&name).await?);
    }
    p1.invalidate([&tag]).await?;
    let young = p1.begin(&name).await?;
    for _ in 0..1_000 {
        drop(p1.begin(&name).await?);
    }
    p1.superseded(old, cx.entry(&name).tags([&tag]).body("old")).await?;
    p1.stored(young, cx.entry(&name).tags([&tag]).body("young")).await?;
    p1.hit(&name, "young").await
}
