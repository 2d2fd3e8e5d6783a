//! Races and cancellation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cache_core::clock::{Clock as _, SystemClock};
use cache_core::entry::Entry;
use cache_core::store::{Lookup, Selection};
use cache_core::tag::{Tag, Tags};
use tokio::sync::Barrier;

use crate::case::{Stop, expect};
use crate::cx::{Cx, Handle, Name, POLLS, joined, poll_times, together};

pub(super) async fn concurrent_put_and_invalidate(cx: &Cx) -> Result<(), Stop> {
    const PUTS: usize = 6;
    let (p1, p2) = cx.both();
    let tag = cx.tag("t")?;
    let names: Vec<Name> = (0..PUTS).map(|n| cx.key(&format!("k{n}"))).collect();
    for _ in 0..50 {
        let start = Arc::new(Barrier::new(PUTS + 1));
        let mut puts = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let handle = if n % 2 == 0 { p1.clone() } else { p2.clone() };
            let (ticket, entry) = (handle.begin(name).await?, cx.entry(name).tags([&tag]));
            let start = Arc::clone(&start);
            puts.push(tokio::spawn(async move {
                start.wait().await;
                handle.put(ticket, entry).await
            }));
        }
        start.wait().await;
        p2.invalidate([&tag]).await?;
        together(puts).await?;
        for name in &names {
            p1.miss(name).await?;
            p2.miss(name).await?;
        }
    }
    Ok(())
}

/// One handle fills over and over while another invalidates; the fills are young and stay. Then
/// a second invalidation must reach them, which it does not in a store that takes its index for
/// the truth and loses what is added between reading and dropping it.
pub(super) async fn orphan_window(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    for _ in 0..30 {
        p1.fill(&name, cx.entry(&name).tags([&tag])).await?;
        let over = Arc::new(AtomicBool::new(false));
        let filler = tokio::spawn(fill_until(
            p1.clone(),
            name.clone(),
            cx.entry(&name).tags([&tag]).build(),
            Arc::clone(&over),
        ));
        p2.invalidate([&tag]).await?;
        over.store(true, Ordering::SeqCst);
        joined(filler).await?;
        p2.invalidate([&tag]).await?;
        p1.miss(&name).await?;
        p2.miss(&name).await?;
    }
    Ok(())
}

async fn fill_until(
    handle: Handle,
    name: Name,
    entry: Entry,
    over: Arc<AtomicBool>,
) -> Result<(), Stop> {
    while !over.load(Ordering::SeqCst) {
        let ticket = handle.begin(&name).await?;
        handle.put_entry(&name, ticket, entry.clone()).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

pub(super) async fn concurrent_fills_are_stored(cx: &Cx) -> Result<(), Stop> {
    const FILLS: usize = 16;
    let (p1, p2) = cx.both();
    let name = cx.key("k");
    let start = Arc::new(Barrier::new(FILLS));
    let fills = (0..FILLS).map(|n| {
        let handle = if n % 2 == 0 { p1.clone() } else { p2.clone() };
        let (name, start) = (name.clone(), Arc::clone(&start));
        let entry = cx.entry(&name).body(format!("fill {n}"));
        tokio::spawn(async move {
            let ticket = handle.begin(&name).await?;
            start.wait().await;
            handle.stored(ticket, entry).await
        })
    });
    // Spawned all before the first is waited for: they wait for each other.
    together(fills.collect::<Vec<_>>()).await?;
    let (one, _) = p1.found(&name).await?;
    let (other, _) = p2.found(&name).await?;
    expect(one.body() == other.body() && one.body().starts_with(b"fill "), || {
        "expected both handles to find the same one of the fills".to_owned()
    })
}

/// Two entries take turns whose every part tells which one it is.
pub(super) async fn never_half_an_entry(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let name = cx.key("k");
    let mut looks = Vec::new();
    for look in [b'a', b'b'] {
        let tag = cx.tag(&char::from(look).to_string().repeat(8))?;
        let size = if look == b'a' { 16_384 } else { 4_096 };
        looks.push(cx.entry(&name).tags([&tag]).body(vec![look; size]).build());
    }
    let looks: Arc<[Entry]> = looks.into();
    let over = Arc::new(AtomicBool::new(false));
    let readers = [p1, p2, p1].map(|handle| {
        tokio::spawn(read_whole(
            handle.clone(),
            name.clone(),
            Arc::clone(&looks),
            Arc::clone(&over),
        ))
    });
    for (turn, look) in looks.iter().cycle().take(200).enumerate() {
        if turn % 10 == 0 {
            // Readers must come in between, however busy the machine.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ticket = p1.begin(&name).await?;
        p1.put_entry(&name, ticket, look.clone()).await?;
        tokio::task::yield_now().await;
    }
    over.store(true, Ordering::SeqCst);
    together(readers).await
}

async fn read_whole(
    handle: Handle,
    name: Name,
    looks: Arc<[Entry]>,
    over: Arc<AtomicBool>,
) -> Result<(), Stop> {
    while !over.load(Ordering::SeqCst) {
        if let Lookup::Found(entry, _) = handle.lookup(&name, &[]).await? {
            let whole = |look: &Entry| look.tags() == entry.tags() && look.body() == entry.body();
            expect(looks.iter().any(whole), || {
                "expected body and tags of the same entry".to_owned()
            })?;
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

pub(super) async fn lookups_never_go_back(cx: &Cx) -> Result<(), Stop> {
    const LAST: u64 = 200;
    let (p1, p2) = cx.both();
    let name = cx.key("k");
    let published = Arc::new(AtomicU64::new(0));
    let readers = [p1, p2, p1].map(|handle| {
        tokio::spawn(read_forward(handle.clone(), name.clone(), Arc::clone(&published), LAST))
    });
    for version in 1..=LAST {
        if version % 10 == 0 {
            // Readers must come in between, however busy the machine.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let ticket = p1.begin(&name).await?;
        let entry = cx.entry(&name).body(version.to_be_bytes().to_vec());
        p1.stored(ticket, entry).await?;
        published.store(version, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
    together(readers).await
}

async fn read_forward(
    handle: Handle,
    name: Name,
    published: Arc<AtomicU64>,
    last: u64,
) -> Result<(), Stop> {
    loop {
        let least = published.load(Ordering::SeqCst);
        if let Lookup::Found(entry, _) = handle.lookup(&name, &[]).await? {
            let seen = entry.body().first_chunk().copied().map_or(0, u64::from_be_bytes);
            expect(seen >= least, || format!("expected version {least} or newer, found {seen}"))?;
        }
        if least == last {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn drop_lookup_future(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (name, empty) = (cx.key("k"), cx.key("empty"));
    p1.fill(&name, cx.entry(&name)).await?;
    for polls in POLLS {
        for key in [name.key(), empty.key()] {
            drop(poll_times(polls, p1.store().lookup(key, &[])).await);
            drop(poll_times(polls, p1.store().begin(key)).await);
        }
        p1.note(&format!("(lookup and begin dropped after {polls} polls)"));
        p1.hit(&name, "body").await?;
        p1.miss(&empty).await?;
    }
    p1.fill(&empty, cx.entry(&empty)).await?;
    p1.hit(&empty, "body").await
}

pub(super) async fn drop_put_future(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let tag = cx.tag("t")?;
    for polls in POLLS {
        let (late, early) = (cx.key(&format!("late {polls}")), cx.key(&format!("early {polls}")));
        let (old, young) = (p1.miss(&late).await?, p1.begin(&early).await?);
        let too_late = cx.entry(&late).tags([&tag]).build();
        let in_time = cx.entry(&early).tags([&tag]).build();
        drop(poll_times(polls, p1.store().put(young, in_time)).await);
        p1.note(&format!("(put({early}) dropped after {polls} polls)"));
        p1.invalidate([&tag]).await?;
        drop(poll_times(polls, p1.store().put(old, too_late)).await);
        p1.note(&format!("(put({late}) dropped after {polls} polls)"));
        // What was dropped may still be on its way.
        for pause in [0, 5] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            p1.miss(&late).await?;
            p1.miss(&early).await?;
        }
    }
    Ok(())
}

/// A call that was polled at all has begun, so it must reach its end; one that was not may have
/// no effect. Half an effect is never the end.
pub(super) async fn drop_invalidate_future(cx: &Cx) -> Result<(), Stop> {
    for polls in POLLS {
        let (one, two) = (cx.key(&format!("one {polls}")), cx.key(&format!("two {polls}")));
        // Tags of its own: the one before may be on its way still to where it has nothing to
        // remove, and would rightly supersede a fill there.
        let first = cx.tag(&format!("first {polls}"))?;
        let second = cx.tag(&format!("second {polls}"))?;
        let p1 = cx.first();
        p1.fill(&one, cx.entry(&one).tags([&first])).await?;
        p1.fill(&two, cx.entry(&two).tags([&second])).await?;
        dropped_invalidation(p1, polls, [&first, &second]).await;
        let reached = settles(p1, [&one, &two], polls > 0).await?;
        expect(reached != Reached::Some, || "expected all of it to take effect".to_owned())?;
        expect(polls == 0 || reached == Reached::All, || {
            "expected the invalidation to run on".to_owned()
        })?;
    }
    Ok(())
}

async fn dropped_invalidation(handle: &Handle, polls: usize, tags: [&Tag; 2]) {
    let what = Selection::Tags(tags.into_iter().cloned().collect::<Tags>());
    drop(poll_times(polls, handle.store().invalidate(&what)).await);
    handle.note(&format!("(invalidate(first, second) dropped after {polls} polls)"));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reached {
    None,
    Some,
    All,
}

/// How long what must happen may take, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long what need not happen is given to show.
const GLANCE: Duration = Duration::from_millis(50);

/// Waits for a detached invalidation to take effect. One that has not begun need not.
async fn settles(handle: &Handle, names: [&Name; 2], has_begun: bool) -> Result<Reached, Stop> {
    let start = SystemClock.monotonic();
    loop {
        let mut misses = 0;
        for name in names {
            misses += usize::from(matches!(handle.lookup(name, &[]).await?, Lookup::Miss(_)));
        }
        let (reached, patience) = match misses {
            0 if has_begun => (Reached::None, PATIENCE),
            0 => (Reached::None, GLANCE),
            1 => (Reached::Some, PATIENCE),
            _ => return Ok(Reached::All),
        };
        if SystemClock.monotonic().saturating_sub(start) >= patience {
            return Ok(reached);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
