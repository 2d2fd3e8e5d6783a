//! How long an entry is found. Most of these let time pass.

use std::time::{Duration, SystemTime};

use cache_core::clock::from_unix_millis;
use cache_core::store::Refusal;

use super::count_is;
use crate::case::Stop;
use crate::cx::{Cx, Draft, Name};

pub(super) async fn expiry(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let life = Duration::from_millis(1_200);
    fill_and_see(cx, &name, cx.entry(&name).body("short"), life).await?;
    cx.advance(life + Duration::from_millis(50)).await;
    p1.miss(&name).await?;
    cx.both().1.miss(&name).await?;
    Ok(())
}

/// A store that counts in whole seconds fails: rounding down loses the entry at once, rounding
/// up shows it too long.
pub(super) async fn sub_second_expiry(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let life = Duration::from_millis(400);
    fill_and_see(cx, &name, cx.entry(&name).body("short"), life).await?;
    cx.advance(life + Duration::from_millis(20)).await;
    p1.miss(&name).await?;
    Ok(())
}

pub(super) async fn keep_until_is_kept(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    p1.fill(&name, cx.entry(&name).kept_for(Duration::from_secs(60)).body("long")).await?;
    cx.advance(Duration::from_millis(1_100)).await;
    p1.hit(&name, "long").await?;
    p1.hit(&name, "long").await
}

pub(super) async fn overwriting_replaces_life(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (longer, shorter) = (cx.key("longer"), cx.key("shorter"));
    let (short, long) = (Duration::from_millis(150), Duration::from_secs(60));
    p1.fill(&longer, cx.entry(&longer).kept_for(short).body("short")).await?;
    p1.fill(&longer, cx.entry(&longer).kept_for(long).body("long")).await?;
    p1.fill(&shorter, cx.entry(&shorter).kept_for(long).body("long")).await?;
    p1.fill(&shorter, cx.entry(&shorter).kept_for(short).body("short")).await?;
    cx.advance(short + Duration::from_millis(20)).await;
    p1.hit(&longer, "long").await?;
    p1.miss(&shorter).await?;
    Ok(())
}

pub(super) async fn expired_put_replaces(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let past = [cx.now() - Duration::from_secs(1), SystemTime::UNIX_EPOCH];
    for (n, past) in past.into_iter().enumerate() {
        let name = cx.key(&format!("k{n}"));
        p1.fill(&name, cx.entry(&name).body("old")).await?;
        let ticket = p1.begin(&name).await?;
        p1.put(ticket, cx.entry(&name).kept_until(past).body("expired")).await?;
        p1.miss(&name).await?;
    }
    Ok(())
}

/// The end of the year 9999 is where HTTP dates end, and [`from_unix_millis`] too.
pub(super) async fn far_keep_until(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let entry = cx.entry(&name).kept_until(from_unix_millis(u64::MAX)).body("for ever");
    p1.fill(&name, entry.clone()).await?;
    p1.hit_same(&name, &entry.build()).await
}

pub(super) async fn freshness_is_not_the_stores(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let entry = cx.entry(&name).body("stale").stale_since(Duration::from_secs(60));
    p1.fill(&name, entry.clone()).await?;
    p1.hit_same(&name, &entry.build()).await
}

pub(super) async fn overdue_ticket_refused(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    p1.fill(&name, cx.entry(&name).body("old")).await?;
    let limit = Duration::from_millis(20);
    let begun = p1.begin(&name).await?.valid_for(limit);
    let missed = p1.miss(&cx.key("other")).await?.valid_for(limit);
    let patient = p1.begin(&name).await?.valid_for(Duration::from_secs(60));
    cx.advance(Duration::from_millis(50)).await;
    p1.refused(begun, cx.entry(&name).body("late"), Refusal::TooOld).await?;
    p1.hit(&name, "old").await?;
    p1.refused(missed, cx.entry(&cx.key("other")), Refusal::TooOld).await?;
    p1.miss(&cx.key("other")).await?;
    p1.stored(patient, cx.entry(&name).body("in time")).await?;
    p1.hit(&name, "in time").await
}

pub(super) async fn removed_count_leaves_out_the_expired(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let tag = cx.tag("t")?;
    let short = Duration::from_millis(100);
    for n in 0..10 {
        let name = cx.key(&format!("k{n}"));
        let entry = cx.entry(&name).tags([&tag]);
        p1.fill(&name, if n < 4 { entry.kept_for(short) } else { entry }).await?;
    }
    cx.advance(short + Duration::from_millis(50)).await;
    count_is(p1.invalidate([&tag]).await?, 6)
}

/// Fills and expects to find the entry at once, unless the machine was so slow that `life` went
/// by meanwhile.
async fn fill_and_see(cx: &Cx, name: &Name, draft: Draft, life: Duration) -> Result<(), Stop> {
    let end = cx.now() + life;
    cx.first().fill(name, draft.kept_until(end)).await?;
    let seen = cx.first().found(name).await;
    if cx.now() < end { seen.map(drop) } else { Ok(()) }
}
