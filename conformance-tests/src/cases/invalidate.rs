//! The order of invalidations and fills.

use std::time::Duration;

use cache_core::store::{Invalidated, Lookup, Selection};
use cache_core::tag::Tag;

use super::count_is;
use crate::case::{Stop, expect};
use crate::cx::{Cx, Name};
use crate::fixture::Fault;

pub(super) async fn fill_straddles_invalidation(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let hints = std::slice::from_ref(&tag);
    // Once with a tag that already has entries, once as a refill.
    p1.fill(&cx.key("other"), cx.entry(&cx.key("other")).tags([&tag])).await?;
    for _ in 0..2 {
        let ticket = p1.miss_hinting(&name, hints).await?;
        p2.invalidate([&tag]).await?;
        p1.superseded(ticket, cx.entry(&name).tags([&tag])).await?;
        p1.miss_hinting(&name, hints).await?;
        p2.miss_hinting(&name, hints).await?;
    }
    Ok(())
}

pub(super) async fn fill_straddles_invalidation_response_tag(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, known, tag) = (cx.key("k"), cx.tag("known")?, cx.tag("t")?);
    let ticket = p1.miss_hinting(&name, std::slice::from_ref(&known)).await?;
    p2.invalidate([&tag]).await?;
    p1.superseded(ticket, cx.entry(&name).tags([&known, &tag])).await?;
    p1.miss(&name).await?;
    p2.miss(&name).await?;
    Ok(())
}

pub(super) async fn fill_straddles_unrelated_invalidation(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag, unrelated) = (cx.key("k"), cx.tag("t")?, cx.tag("unrelated")?);
    p2.invalidate([&tag]).await?;
    let ticket = p1.miss(&name).await?;
    p2.invalidate([&unrelated]).await?;
    p1.stored(ticket, cx.entry(&name).tags([&tag])).await?;
    p2.invalidate([&unrelated]).await?;
    p1.hit(&name, "body").await?;
    p2.hit(&name, "body").await
}

pub(super) async fn fill_after_invalidation_hits(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    for round in ["one", "two", "three"] {
        p2.invalidate([&tag]).await?;
        let ticket = p1.miss(&name).await?;
        p1.stored(ticket, cx.entry(&name).tags([&tag]).body(round)).await?;
        p1.hit(&name, round).await?;
        p2.hit(&name, round).await?;
    }
    Ok(())
}

pub(super) async fn invalidate_key_straddles_fill(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.key_tag("k"));
    let ticket = p1.miss(&name).await?;
    p2.invalidate([&tag]).await?;
    p1.superseded(ticket, cx.entry(&name).tags([&tag])).await?;
    p1.miss(&name).await?;
    p2.miss(&name).await?;
    Ok(())
}

pub(super) async fn clear_straddles_fill(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (bare, tagged, tag) = (cx.key("bare"), cx.key("tagged"), cx.tag("t")?);
    let (one, two) = (p1.miss(&bare).await?, p1.miss(&tagged).await?);
    p2.clear().await?;
    p1.superseded(one, cx.entry(&bare)).await?;
    p1.superseded(two, cx.entry(&tagged).tags([&tag])).await?;
    for handle in [p1, p2] {
        handle.miss(&bare).await?;
        handle.miss(&tagged).await?;
    }
    Ok(())
}

pub(super) async fn clear_reaches_everything(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let tag = cx.tag("t")?;
    let names: Vec<Name> =
        (0..40).map(|n| cx.key(&format!("k{n}"))).chain([cx.variant("k0", "de")]).collect();
    for (n, name) in names.iter().enumerate() {
        let entry = cx.entry(name);
        p1.fill(name, if n % 2 == 0 { entry } else { entry.tags([&tag]) }).await?;
    }
    p2.clear().await?;
    for name in &names {
        p1.miss(name).await?;
        p2.miss(name).await?;
    }
    Ok(())
}

pub(super) async fn clear_then_fill_hits(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    for round in ["one", "two", "three"] {
        p2.clear().await?;
        let ticket = p1.miss(&name).await?;
        p1.stored(ticket, cx.entry(&name).tags([&tag]).body(round)).await?;
        p1.hit(&name, round).await?;
        p2.hit(&name, round).await?;
    }
    Ok(())
}

pub(super) async fn clear_then_tag(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("one")).await?;
    p2.clear().await?;
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("two")).await?;
    p1.hit(&name, "two").await?;
    p2.invalidate([&tag]).await?;
    p1.miss(&name).await?;
    p2.miss(&name).await?;
    Ok(())
}

pub(super) async fn stale_window_respects_marks(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let stale = cx.entry(&name).tags([&tag]).body("stale").stale_since(Duration::from_secs(9));
    p1.fill(&name, stale).await?;
    p1.hit(&name, "stale").await?;
    p2.hit(&name, "stale").await?;
    p2.invalidate([&tag]).await?;
    p1.miss(&name).await?;
    p2.miss(&name).await?;
    Ok(())
}

/// A store that forgets a mark together with the last entry under its tag lets the old fill in.
/// The other entry is a variant, so that it lies in the same shard.
pub(super) async fn mark_outlives_its_entries(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, other, tag) = (cx.key("k"), cx.variant("k", "other"), cx.tag("t")?);
    let ticket = p1.miss(&name).await?;
    p2.invalidate([&tag]).await?;
    p2.fill(&other, cx.entry(&other).tags([&tag])).await?;
    p2.fill(&other, cx.entry(&other)).await?;
    // Young tickets come and go; the old one is still out.
    p2.begin(&other).await?;
    p1.superseded(ticket, cx.entry(&name).tags([&tag])).await?;
    p1.miss(&name).await?;
    p2.miss(&name).await?;
    Ok(())
}

/// More distinct invalidations than a store would like to remember.
pub(super) async fn floor_trim(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (old, tag) = (cx.key("old"), cx.tag("t")?);
    let ticket = p1.miss(&old).await?;
    p2.invalidate([&tag]).await?;
    for call in 0..40 {
        let tags: Vec<Tag> =
            (0..100).map(|n| cx.tag(&format!("{call}.{n}"))).collect::<Result<_, _>>()?;
        p2.invalidate(&tags).await?;
    }
    p1.superseded(ticket, cx.entry(&old).tags([&tag])).await?;
    p1.miss(&old).await?;
    let young = cx.key("young");
    p1.fill(&young, cx.entry(&young).tags([&tag])).await?;
    p2.hit(&young, "body").await
}

/// Many keys, so that they lie in many shards.
pub(super) async fn acknowledgement(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let tag = cx.tag("t")?;
    let names: Vec<Name> = (0..64).map(|n| cx.key(&format!("k{n}"))).collect();
    for what in [Selection::Tags([tag.clone()].into_iter().collect()), Selection::All] {
        for name in &names {
            p1.fill(name, cx.entry(name).tags([&tag])).await?;
        }
        match &what {
            Selection::Tags(tags) => p1.invalidate(tags.iter()).await?,
            _ => p1.clear().await?,
        };
        for name in &names {
            p2.miss(name).await?;
            p1.miss(name).await?;
        }
    }
    Ok(())
}

/// An `Ok` while an entry's shard cannot be reached would be a lie: it shows when the shard is
/// back. Shards that can be reached are done at once.
pub(super) async fn failed_shard_is_an_error(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let tag = cx.tag("t")?;
    let names: Vec<Name> = (0..32).map(|n| cx.key(&format!("k{n}"))).collect();
    for name in &names {
        p1.fill(name, cx.entry(name).tags([&tag])).await?;
    }
    let cut = cx.key("k0");
    cx.inflict(Fault::Cut(*cut.key())).await?;
    let only = Selection::Tags([tag.clone()].into_iter().collect());
    let done = p1.store().invalidate(&only).await;
    p1.note(&format!("invalidate(t) = {done:?}"));
    for name in &names {
        let seen = p2.store().lookup(name.key(), &[]).await;
        p2.note(&format!("lookup({name}) = {seen:?}"));
        expect(!matches!(seen, Ok(Lookup::Found(..))), || {
            "expected a miss or an error".to_owned()
        })?;
    }
    cx.inflict(Fault::Mend).await?;
    if done.is_ok() {
        p2.miss(&cut).await?;
    }
    p1.invalidate([&tag]).await?;
    for name in &names {
        p1.miss(name).await?;
        p2.miss(name).await?;
    }
    Ok(())
}

/// Some entries are replaced under the same tag, some under another, some are never stored.
pub(super) async fn removed_count(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (tag, other) = (cx.tag("t")?, cx.tag("other")?);
    let name = |n: usize| cx.key(&format!("k{n}"));
    for n in 0..20 {
        p1.fill(&name(n), cx.entry(&name(n)).tags([&tag])).await?;
    }
    for n in 0..5 {
        p1.fill(&name(n), cx.entry(&name(n)).tags([&tag, &other])).await?;
    }
    for n in 5..8 {
        p1.fill(&name(n), cx.entry(&name(n)).tags([&other])).await?;
    }
    drop(p1.miss(&name(20)).await?);
    count_is(p1.invalidate([&tag]).await?, 17)?;
    count_is(p1.invalidate([&tag]).await?, 0)?;
    count_is(p1.invalidate([&tag, &other]).await?, 3)
}

pub(super) async fn removed_count_of_a_clear(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let tag = cx.tag("t")?;
    for n in 0..7 {
        let name = cx.key(&format!("k{n}"));
        let entry = cx.entry(&name);
        p1.fill(&name, if n < 3 { entry } else { entry.tags([&tag]) }).await?;
    }
    count_is(p1.clear().await?, 7)?;
    count_is(p1.clear().await?, 0)
}

pub(super) async fn small_selection_is_complete(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let tag = cx.tag("t")?;
    for n in 0..10 {
        let name = cx.key(&format!("k{n}"));
        p1.fill(&name, cx.entry(&name).tags([&tag])).await?;
    }
    let done = p1.invalidate([&tag]).await?;
    expect(done == Invalidated::new(10, true), || "expected 10, completely".to_owned())
}

/// What reclaims behind the return must look at what it takes.
pub(super) async fn reclaim_spares_fresh(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let tag = cx.tag("t")?;
    let names: Vec<Name> =
        (0..cx.promise().entries.min(200)).map(|n| cx.key(&format!("k{n}"))).collect();
    for name in &names {
        p1.fill(name, cx.entry(name).tags([&tag]).body("old")).await?;
    }
    p2.invalidate([&tag]).await?;
    for name in &names {
        p1.fill(name, cx.entry(name).tags([&tag]).body("fresh")).await?;
    }
    // Reclaiming goes by the real clock, not by the store's.
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        for name in &names {
            p1.hit(name, "fresh").await?;
        }
    }
    Ok(())
}
