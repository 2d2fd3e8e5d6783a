//! Which entries an invalidation reaches, and which not.

use cache_core::entry::Content;
use cache_core::key::Digest;
use cache_core::store::{Invalidated, Lookup};
use cache_core::tag::{MAX_TAG_BYTES, MAX_TAGS, Tag};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::count_is;
use crate::case::{Stop, expect};
use crate::cx::{Cx, Name, response, tag};

/// Calls under way at a time, where there are thousands.
const ABREAST: usize = 32;

pub(super) async fn validity(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let name = cx.key("k");
    let tags = [cx.tag("t")?, cx.namespace_tag("n")?, cx.key_tag("k"), cx.uri_tag("u")];
    let filled = || p1.fill(&name, cx.entry(&name).tags(&tags));
    for tag in &tags {
        filled().await?;
        p1.hit(&name, "body").await?;
        p1.invalidate([tag]).await?;
        p1.miss(&name).await?;
    }
    filled().await?;
    p1.clear().await?;
    p1.miss(&name).await?;
    filled().await?;
    p1.hit(&name, "body").await
}

pub(super) async fn two_tags_one_invalidated(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (first, second) = (cx.tag("first")?, cx.tag("second")?);
    for (n, invalidated) in [&first, &second].into_iter().enumerate() {
        let name = cx.key(&format!("k{n}"));
        p1.fill(&name, cx.entry(&name).tags([&first, &second])).await?;
        p2.invalidate([invalidated]).await?;
        p1.miss(&name).await?;
        p2.miss(&name).await?;
    }
    Ok(())
}

pub(super) async fn last_of_32_tags(cx: &Cx) -> Result<(), Stop> {
    last_of(cx, 32).await
}

pub(super) async fn most_tags_allowed(cx: &Cx) -> Result<(), Stop> {
    last_of(cx, MAX_TAGS).await
}

async fn last_of(cx: &Cx, count: usize) -> Result<(), Stop> {
    let p1 = cx.first();
    let tags = numbered(cx, count)?;
    let name = cx.key("k");
    // First and last of the sorted list, and one between.
    for tag in [tags.first(), tags.get(count / 2), tags.last()].into_iter().flatten() {
        p1.fill(&name, cx.entry(&name).tags(&tags)).await?;
        p1.hit(&name, "body").await?;
        p1.invalidate([tag]).await?;
        p1.miss(&name).await?;
    }
    Ok(())
}

pub(super) async fn undeclared_tag_checked(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let name = cx.key("k");
    let (declared, discovered) = (cx.tag("declared")?, cx.tag("discovered")?);
    let hints = std::slice::from_ref(&declared);
    p1.fill(&name, cx.entry(&name).tags([&declared]).body("one")).await?;
    p1.fill(&name, cx.entry(&name).tags([&declared, &discovered]).body("two")).await?;
    p1.hit_hinting(&name, hints, "two").await?;
    p2.invalidate([&discovered]).await?;
    p1.miss_hinting(&name, hints).await?;
    p2.miss_hinting(&name, hints).await?;
    Ok(())
}

pub(super) async fn retag_drops_old_tag(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let name = cx.key("k");
    let (old, new) = (cx.tag("old")?, cx.tag("new")?);
    p1.fill(&name, cx.entry(&name).tags([&old]).body("one")).await?;
    p1.fill(&name, cx.entry(&name).tags([&new]).body("two")).await?;
    p2.invalidate([&old]).await?;
    p1.hit(&name, "two").await?;
    p2.hit(&name, "two").await?;
    p2.invalidate([&new]).await?;
    p1.miss(&name).await?;
    Ok(())
}

pub(super) async fn untagged_is_left_alone(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (bare, tagged) = (cx.key("bare"), cx.key("tagged"));
    let (tag, other) = (cx.tag("t")?, cx.tag("other")?);
    p1.fill(&bare, cx.entry(&bare)).await?;
    p1.fill(&tagged, cx.entry(&tagged).tags([&tag])).await?;
    p1.invalidate([&other]).await?;
    p1.hit(&tagged, "body").await?;
    p1.invalidate([&tag]).await?;
    p1.miss(&tagged).await?;
    p1.hit(&bare, "body").await
}

pub(super) async fn same_tag_twice(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let (name, tag) = (cx.key("k"), cx.tag("t")?);
    p1.fill(&name, cx.entry(&name).tags([&tag])).await?;
    p1.invalidate([&tag, &tag]).await?;
    let again = p2.invalidate([&tag]).await?;
    expect(again.removed == 0, || "expected nothing left to remove".to_owned())?;
    p1.miss(&name).await?;
    p1.fill(&name, cx.entry(&name).tags([&tag]).body("new")).await?;
    p2.hit(&name, "new").await
}

pub(super) async fn many_tags_one_call(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let tags = numbered(cx, MAX_TAGS)?;
    let spared = cx.tag("spared")?;
    let names: Vec<Name> = (0..tags.len()).map(|n| cx.key(&format!("k{n}"))).collect();
    for (name, tag) in names.iter().zip(&tags) {
        p1.fill(name, cx.entry(name).tags([tag])).await?;
    }
    let (both, bystander) = (cx.key("both"), cx.key("bystander"));
    p1.fill(&both, cx.entry(&both).tags(tags.iter().take(2))).await?;
    p1.fill(&bystander, cx.entry(&bystander).tags([&spared])).await?;
    let done = p2.invalidate(&tags).await?;
    count_is(done, tags.len() as u64 + 1)?;
    for name in names.iter().chain([&both]) {
        p1.miss(name).await?;
    }
    p1.hit(&bystander, "body").await
}

pub(super) async fn empty_tag_list(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (bare, tagged, tag) = (cx.key("bare"), cx.key("tagged"), cx.tag("t")?);
    p1.fill(&bare, cx.entry(&bare)).await?;
    p1.fill(&tagged, cx.entry(&tagged).tags([&tag])).await?;
    let under_way = p1.miss(&cx.key("under way")).await?;
    let done = p1.invalidate(std::iter::empty::<Tag>()).await?;
    expect(done == Invalidated::new(0, true), || {
        "expected that nothing was removed, completely".to_owned()
    })?;
    p1.hit(&bare, "body").await?;
    p1.hit(&tagged, "body").await?;
    p1.stored(under_way, cx.entry(&cx.key("under way")).tags([&tag])).await
}

/// Texts that are something else to some store: patterns, separators, its own bookkeeping.
pub(super) async fn tag_bytes(cx: &Cx) -> Result<(), Stop> {
    let longest = "l".repeat(MAX_TAG_BYTES);
    let texts = [
        "a", "A", "a ", " a", "a:b", "n:a", "t:a", "k:a", "\0", "a\0b", "\x01", "\r\n", "*", "a*",
        "?", "[a-z]", "{a}", "}", "#c", "#e", "#f", "#i", "$", "\"", "\\", "é", "e\u{301}", "猫",
        &longest,
    ];
    let user = texts.iter().map(|text| tag(Tag::new(text)));
    let reserved = ["a", "a:b", "t:a", "*"].map(|text| tag(Tag::namespace(text)));
    let mut tags = user.chain(reserved).collect::<Result<Vec<_>, _>>()?;
    tags.extend([Tag::key(None, "a"), Tag::key(Some("a"), ""), Tag::uri(&Digest::of(b"a"))]);
    each_reaches_only_its_own(cx, &tags).await
}

async fn each_reaches_only_its_own(cx: &Cx, tags: &[Tag]) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let names: Vec<Name> = (0..tags.len()).map(|n| cx.key(&format!("of tag {n}"))).collect();
    for (name, tag) in names.iter().zip(tags) {
        p1.fill(name, cx.entry(name).tags([tag])).await?;
    }
    for (name, tag) in names.iter().zip(tags) {
        p1.hit(name, "body").await?;
        p2.invalidate([tag]).await?;
        p1.miss(name).await?;
        p1.fill(name, cx.entry(name).tags([tag])).await?;
    }
    for name in &names {
        p1.hit(name, "body").await?;
    }
    Ok(())
}

pub(super) async fn key_tag_reaches_all_variants(cx: &Cx) -> Result<(), Stop> {
    let (p1, p2) = cx.both();
    let variants = [cx.key("k"), cx.variant("k", "de"), cx.variant("k", "fr")];
    let (tag, other_tag, other) = (cx.key_tag("k"), cx.key_tag("other"), cx.key("other"));
    for name in &variants {
        p1.fill(name, cx.entry(name).tags([&tag])).await?;
    }
    p1.fill(&other, cx.entry(&other).tags([&other_tag])).await?;
    let done = p2.invalidate([&tag]).await?;
    count_is(done, variants.len() as u64)?;
    for name in &variants {
        p1.miss(name).await?;
    }
    p1.hit(&other, "body").await
}

pub(super) async fn namespace_levels(cx: &Cx) -> Result<(), Stop> {
    let p1 = cx.first();
    let (outer, inner, sibling) =
        (cx.namespace_tag("app")?, cx.namespace_tag("app:users")?, cx.namespace_tag("app:posts")?);
    let (user, post) = (cx.key("user"), cx.key("post"));
    p1.fill(&user, cx.entry(&user).tags([&outer, &inner])).await?;
    p1.fill(&post, cx.entry(&post).tags([&outer, &sibling])).await?;
    p1.invalidate([&inner]).await?;
    p1.miss(&user).await?;
    p1.hit(&post, "body").await?;
    p1.fill(&user, cx.entry(&user).tags([&outer, &inner])).await?;
    p1.invalidate([&outer]).await?;
    p1.miss(&user).await?;
    p1.miss(&post).await?;
    Ok(())
}

/// On the bare store: so many steps would take longer to note than to do.
pub(super) async fn ten_thousand_keys_of_one_tag(cx: &Cx) -> Result<(), Stop> {
    const COUNT: u64 = 10_000;
    let (p1, p2) = cx.both();
    let tag = cx.tag("t")?;
    let names = cx.keys(COUNT);
    let content = Content::Response(response(cx.now()));
    let fill = async |name: &Name| {
        let entry = cx.entry(name).tags([&tag]).content(content.clone()).build();
        // Beyond its promise the store may have no room; then there is nothing to find either.
        let put = async { p1.store().put(p1.store().begin(name.key()).await?, entry).await };
        expect(put.await.is_ok(), || format!("expected no error from filling {name}"))
    };
    abreast(&names, fill).await?;
    p1.note("(10 000 keys filled)");
    let done = p2.invalidate([&tag]).await?;
    expect(done.removed <= COUNT, || format!("expected at most {COUNT}"))?;
    if cx.promise().entries as u64 >= COUNT {
        count_is(done, COUNT)?;
    }
    let is_miss = async |name: &Name| {
        let seen = p1.store().lookup(name.key(), &[]).await;
        expect(matches!(seen, Ok(Lookup::Miss(_))), || format!("expected {name} to be a miss"))
    };
    abreast(&names, is_miss).await
}

/// Many at a time, so that what takes long is the store's work and not the way to it.
async fn abreast(
    names: &[Name],
    each: impl AsyncFn(&Name) -> Result<(), Stop>,
) -> Result<(), Stop> {
    stream::iter(names).map(Ok).try_for_each_concurrent(ABREAST, |name| each(name)).await
}

fn numbered(cx: &Cx, count: usize) -> Result<Vec<Tag>, Stop> {
    (0..count).map(|n| cx.tag(&format!("t{n:04}"))).collect()
}
