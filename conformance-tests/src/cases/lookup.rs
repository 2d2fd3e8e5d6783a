//! What a lookup may and may not answer.

use std::time::Duration;

use cache_core::clock::unix_millis;
use cache_core::store::{Guarantee, Lookup, PutOutcome};

use crate::case::{Stop, expect};
use crate::cx::Cx;
use crate::fixture::Fault;

pub(super) async fn own_key_only(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let tag = cx.tag("t")?;
    let (a, b) = (cx.key("a"), cx.key("b"));
    p1.fill(&a, cx.entry(&a).tags([&tag]).body("of a")).await?;
    p1.miss(&b).await?;
    p1.fill(&b, cx.entry(&b).tags([&tag]).body("of b")).await?;
    p1.hit(&a, "of a").await?;
    p1.hit(&b, "of b").await?;
    p1.miss(&cx.key("c")).await?;
    Ok(())
}

pub(super) async fn variants_are_separate(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (plain, de, fr) = (cx.key("k"), cx.variant("k", "de"), cx.variant("k", "fr"));
    p1.fill(&de, cx.entry(&de).body("deutsch")).await?;
    p1.miss(&plain).await?;
    p1.miss(&fr).await?;
    p1.fill(&fr, cx.entry(&fr).body("francais")).await?;
    p1.fill(&plain, cx.entry(&plain).body("record")).await?;
    p1.hit(&de, "deutsch").await?;
    p1.hit(&fr, "francais").await?;
    p1.hit(&plain, "record").await
}

pub(super) async fn miss_brings_a_ticket_for_its_key(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    for name in [cx.key("k"), cx.variant("k", "v")] {
        let missed = p1.miss(&name).await?;
        expect(missed.key() == name.key(), || "expected a ticket for the key".to_owned())?;
        let begun = p1.begin(&name).await?;
        expect(begun.key() == name.key(), || "expected a ticket for the key".to_owned())?;
    }
    Ok(())
}

pub(super) async fn stored_is_found(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    for n in 0..cx.promise().entries.min(100) {
        let name = cx.key(&format!("k{n}"));
        p1.fill(&name, cx.entry(&name).body(format!("body {n}"))).await?;
    }
    // Looked up afterwards, and twice: reading must not use an entry up.
    for n in (0..cx.promise().entries.min(100)).flat_map(|n| [n, n]) {
        p1.hit(&cx.key(&format!("k{n}")), &format!("body {n}")).await?;
    }
    Ok(())
}

pub(super) async fn hint_independence(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let (first, second, other) = (cx.tag("first")?, cx.tag("second")?, cx.tag("other")?);
    // The wrong hint is a tag that was invalidated: it must not count against the entry.
    p1.invalidate([&other]).await?;
    let hints = [
        vec![],
        vec![other.clone()],
        vec![first.clone()],
        vec![first.clone(), second.clone()],
        vec![other.clone(), second.clone(), first.clone(), first.clone()],
    ];
    p1.fill(&name, cx.entry(&name).tags([&first, &second]).body("old")).await?;
    p1.invalidate([&other]).await?;
    for hints in &hints {
        p1.hit_hinting(&name, hints, "old").await?;
    }
    p1.invalidate([&second]).await?;
    for hints in &hints {
        p1.miss_hinting(&name, hints).await?;
    }
    Ok(())
}

/// Every answer of `try_lookup`, and of `try_lookup_at`, is compared; a store that always waits passes
/// by giving none.
pub(super) async fn try_lookup_agrees_with_lookup(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let seen = |found| match found {
        Some(Lookup::Found(entry, _)) => Some(Some(entry.body().clone())),
        Some(_) => Some(None),
        None => None,
    };
    let agree = |expected: Option<&str>| {
        let (store, key) = (p1.store(), name.key());
        let found =
            [store.try_lookup(key, &[]), store.try_lookup_at(key, &[], unix_millis(cx.now()))];
        for (call, seen) in ["try_lookup", "try_lookup_at"].into_iter().zip(found.map(seen)) {
            p1.note(&format!("{call}({name}) = {seen:?}"));
            expect(seen.is_none_or(|seen| seen.as_deref() == expected.map(str::as_bytes)), || {
                format!("expected {expected:?}")
            })?;
        }
        Ok(())
    };
    agree(None)?;
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("old")).await?;
    agree(Some("old"))?;
    let early = p1.store().try_lookup(name.key(), &[]);
    p1.invalidate([&tag]).await?;
    agree(None)?;
    if let Some(Lookup::Found(_, Some(ticket))) = early {
        p1.superseded(ticket, cx.entry(&name).tags([&tag]).body("late")).await?;
    }
    if let Some(Lookup::Miss(ticket)) = p1.store().try_lookup(name.key(), &[]) {
        p1.stored(ticket, cx.entry(&name).tags([&tag]).body("new")).await?;
        agree(Some("new"))?;
    }
    Ok(())
}

pub(super) async fn second_handle_sees_everything(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    p2.miss(&name).await?;
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("of p1")).await?;
    p2.hit(&name, "of p1").await?;
    p2.fill(&name, cx.entry(&name).tags([&tag]).body("of p2")).await?;
    p1.hit(&name, "of p2").await?;
    p2.invalidate([&tag]).await?;
    p1.miss(&name).await?;
    p2.fill(&name, cx.entry(&name).body("again")).await?;
    p1.hit(&name, "again").await?;
    p1.clear().await?;
    p2.miss(&name).await?;
    Ok(())
}

pub(super) async fn found_brings_a_good_ticket(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    let put = |body: &'static str| cx.entry(&name).tags([&tag]).body(body);
    p1.fill(&name, put("old")).await?;
    if let (_, Some(ticket)) = p1.found(&name).await? {
        p1.stored(ticket, put("refreshed")).await?;
        p1.hit(&name, "refreshed").await?;
    }
    let (_, early) = p1.found(&name).await?;
    p1.invalidate([&tag]).await?;
    if let Some(ticket) = early {
        p1.superseded(ticket, put("late")).await?;
    }
    p1.miss(&name).await?;
    Ok(())
}

pub(super) async fn found_brings_a_ticket(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    p1.fill(&name, cx.entry(&name)).await?;
    let (_, ticket) = p1.found(&name).await?;
    expect(ticket.is_some(), || "expected a ticket with it".to_owned())
}

pub(super) async fn guarantee_is_stated(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (first, second) = (p1.store().guarantee(), p2.store().guarantee());
    p1.note(&format!("guarantee() = {first:?}"));
    p2.note(&format!("guarantee() = {second:?}"));
    expect(first == second, || "expected all handles to say the same".to_owned())?;
    expect(first != Guarantee::Bounded(Duration::ZERO), || {
        "expected a bound of zero to be called Linearizable".to_owned()
    })
}

pub(super) async fn ready_is_ok(cx: &Cx) -> Result<(), Stop> {
    for handle in [cx.both().0, cx.both().1] {
        let ready = handle.store().ready().await;
        handle.note(&format!("ready() = {ready:?}"));
        expect(ready.is_ok(), || "expected Ok".to_owned())?;
    }
    Ok(())
}

pub(super) async fn close_never_lies(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (kept, gone, tag) = (cx.key("kept"), cx.key("gone"), cx.tag("t")?);
    p1.fill(&kept, cx.entry(&kept).body("kept")).await?;
    let early = p1.miss(&gone).await?;
    p1.invalidate([&tag]).await?;
    p1.store().close().await;
    p1.note("close()");
    let late = p1.store().put(early, cx.entry(&gone).tags([&tag]).build()).await;
    expect(!matches!(late, Ok(PutOutcome::Stored)), || "expected no Stored".to_owned())?;
    for (name, body) in [(&kept, Some("kept")), (&gone, None)] {
        // An error is as good as a miss here.
        if let Ok(Lookup::Found(entry, _)) = p1.store().lookup(name.key(), &[]).await {
            expect(body.is_some_and(|body| entry.body() == body), || {
                format!("expected no invalid entry under {name}")
            })?;
        }
    }
    Ok(())
}

pub(super) async fn doubt_damaged_entry_is_a_miss(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("old")).await?;
    cx.inflict(Fault::DamageEntry(*name.key())).await?;
    p1.miss(&name).await?;
    p1.invalidate([&tag]).await?;
    p1.fill(&name, cx.entry(&name).body("new")).await?;
    p1.hit(&name, "new").await
}

pub(super) async fn doubt_lost_metadata_is_a_miss(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, other, tag) = (cx.key("k"), cx.key("o"), cx.tag("t")?);
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("old")).await?;
    let early = p1.miss(&other).await?;
    p1.invalidate([&tag]).await?;
    cx.inflict(Fault::LoseMetadata).await?;
    p1.miss(&name).await?;
    let late = p1.put(early, cx.entry(&other).tags([&tag])).await?;
    expect(late != PutOutcome::Stored, || "expected no Stored".to_owned())?;
    p1.miss(&other).await?;
    p1.fill(&other, cx.entry(&other).tags([&tag]).body("new")).await?;
    p1.hit(&other, "new").await
}
