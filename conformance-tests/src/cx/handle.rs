//! A handle of the store whose every step leaves a trace, and the expectations of cases.

use std::borrow::Borrow;
use std::fmt::Write as _;
use std::sync::Arc;

use cache_core::entry::Entry;
use cache_core::store::{
    Invalidated, Lookup, PutOutcome, Refusal, Selection, Store, StoreError, Ticket,
};
use cache_core::tag::{Tag, Tags};

use super::trail::Trail;
use super::{Draft, Name, same};
use crate::case::Stop;

/// A handle of the store. Cheap to clone; tasks of a case get clones.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    label: &'static str,
    store: Arc<dyn Store>,
    trail: Arc<Trail>,
}

impl Handle {
    pub(super) const fn new(label: &'static str, store: Arc<dyn Store>, trail: Arc<Trail>) -> Self {
        Self { label, store, trail }
    }

    /// The store, for steps without a trace.
    pub(crate) fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Notes a step that the case does on the bare store.
    pub(crate) fn note(&self, step: &str) {
        self.trail.step(format!("{}.{step}", self.label));
    }

    /// Looks `name` up.
    pub(crate) async fn lookup(&self, name: &Name, hints: &[Tag]) -> Result<Lookup, Stop> {
        let result = self.store.lookup(name.key(), hints).await;
        self.note(&format!("lookup({name}) = {}", outcome(&result, describe)));
        result.map_err(stop)
    }

    /// Looks `name` up and expects a miss.
    pub(crate) async fn miss(&self, name: &Name) -> Result<Ticket, Stop> {
        self.miss_hinting(name, &[]).await
    }

    /// The same, with hints.
    pub(crate) async fn miss_hinting(&self, name: &Name, hints: &[Tag]) -> Result<Ticket, Stop> {
        match self.lookup(name, hints).await? {
            Lookup::Miss(ticket) => Ok(ticket),
            _ => Err(Stop::failed("expected a miss")),
        }
    }

    /// Looks `name` up and expects an entry.
    pub(crate) async fn found(&self, name: &Name) -> Result<(Entry, Option<Ticket>), Stop> {
        match self.lookup(name, &[]).await? {
            Lookup::Found(entry, ticket) => Ok((entry, ticket)),
            _ => Err(Stop::failed("expected the entry")),
        }
    }

    /// Looks `name` up and expects an entry with this body.
    pub(crate) async fn hit(&self, name: &Name, body: &str) -> Result<(), Stop> {
        self.hit_hinting(name, &[], body).await
    }

    /// The same, with hints.
    pub(crate) async fn hit_hinting(
        &self,
        name: &Name,
        hints: &[Tag],
        body: &str,
    ) -> Result<(), Stop> {
        match self.lookup(name, hints).await? {
            Lookup::Found(entry, _) if entry.body() == body && entry.is_under(name.key()) => Ok(()),
            _ => Err(Stop::failed(format!("expected the entry with body {body:?}"))),
        }
    }

    /// Looks `name` up and expects exactly what was put.
    pub(crate) async fn hit_same(&self, name: &Name, put: &Entry) -> Result<(), Stop> {
        let (entry, _) = self.found(name).await?;
        same(&entry, put)
    }

    /// Takes a ticket without a lookup.
    pub(crate) async fn begin(&self, name: &Name) -> Result<Ticket, Stop> {
        let result = self.store.begin(name.key()).await;
        self.note(&format!("begin({name}) = {}", outcome(&result, |_| "a ticket".to_owned())));
        result.map_err(stop)
    }

    /// Puts, whatever the outcome.
    pub(crate) async fn put(&self, ticket: Ticket, draft: Draft) -> Result<PutOutcome, Stop> {
        let name = draft.name().clone();
        self.put_entry(&name, ticket, draft.build()).await
    }

    /// The same with a finished entry.
    pub(crate) async fn put_entry(
        &self,
        name: &Name,
        ticket: Ticket,
        entry: Entry,
    ) -> Result<PutOutcome, Stop> {
        let what = show(&entry);
        let result = self.store.put(ticket, entry).await;
        self.note(&format!("put({name}, {what}) = {}", outcome(&result, |put| format!("{put:?}"))));
        result.map_err(stop)
    }

    /// Puts and expects `Stored`.
    pub(crate) async fn stored(&self, ticket: Ticket, draft: Draft) -> Result<(), Stop> {
        self.put_expecting(ticket, draft, PutOutcome::Stored).await
    }

    /// Puts and expects `Superseded`.
    pub(crate) async fn superseded(&self, ticket: Ticket, draft: Draft) -> Result<(), Stop> {
        self.put_expecting(ticket, draft, PutOutcome::Superseded).await
    }

    /// Puts and expects `Refused(why)`.
    pub(crate) async fn refused(
        &self,
        ticket: Ticket,
        draft: Draft,
        why: Refusal,
    ) -> Result<(), Stop> {
        self.put_expecting(ticket, draft, PutOutcome::Refused(why)).await
    }

    async fn put_expecting(
        &self,
        ticket: Ticket,
        draft: Draft,
        expected: PutOutcome,
    ) -> Result<(), Stop> {
        if self.put(ticket, draft).await? == expected {
            Ok(())
        } else {
            Err(Stop::failed(format!("expected {expected:?}")))
        }
    }

    /// Fills `name` as the engine does: by the ticket of a lookup, or of `begin` if a hit brought
    /// none. Expects `Stored`.
    pub(crate) async fn fill(&self, name: &Name, draft: Draft) -> Result<(), Stop> {
        let ticket = match self.lookup(name, &[]).await? {
            Lookup::Miss(ticket) | Lookup::Found(_, Some(ticket)) => ticket,
            _ => self.begin(name).await?,
        };
        self.stored(ticket, draft).await
    }

    /// Invalidates tags.
    pub(crate) async fn invalidate(
        &self,
        tags: impl IntoIterator<Item = impl Borrow<Tag>>,
    ) -> Result<Invalidated, Stop> {
        let tags: Tags = tags.into_iter().map(|tag| tag.borrow().clone()).collect();
        let what = tags.first().map_or_else(|| "nothing".to_owned(), short);
        let more =
            if tags.len() > 1 { format!(" and {} more", tags.len() - 1) } else { String::new() };
        self.select(&Selection::Tags(tags), &format!("invalidate({what}{more})")).await
    }

    /// Invalidates everything.
    pub(crate) async fn clear(&self) -> Result<Invalidated, Stop> {
        self.select(&Selection::All, "clear()").await
    }

    async fn select(&self, what: &Selection, step: &str) -> Result<Invalidated, Stop> {
        let result = self.store.invalidate(what).await;
        let text = outcome(&result, |done| {
            format!("Ok(removed {}, complete {})", done.removed, done.complete)
        });
        self.note(&format!("{step} = {text}"));
        result.map_err(stop)
    }
}

/// A lookup's answer in a few words.
pub(crate) fn describe(lookup: &Lookup) -> String {
    match lookup {
        Lookup::Found(entry, _) => show(entry),
        Lookup::Miss(_) => "miss".to_owned(),
        _ => "something else".to_owned(),
    }
}

fn show(entry: &Entry) -> String {
    let mut text = String::new();
    let start = entry.body().slice(..entry.body().len().min(16));
    let dots = if entry.body().len() > start.len() { ".." } else { "" };
    // Writing to a string cannot fail.
    let _ = write!(text, "\"{}{dots}\"", start.escape_ascii());
    if let Some(tag) = entry.tags().first() {
        let more = entry.tags().len() - 1;
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        let _ = write!(text, " [{}{more}]", short(tag));
    }
    text
}

/// A tag without the prefix of the case.
fn short(tag: &Tag) -> String {
    let text = tag.as_str();
    let text = text.rsplit_once('/').map_or(text, |(_, label)| label);
    text.chars().take(24).flat_map(char::escape_debug).collect()
}

fn outcome<T>(result: &Result<T, StoreError>, show: impl FnOnce(&T) -> String) -> String {
    match result {
        Ok(value) => show(value),
        Err(error) => format!("Err({error})"),
    }
}

fn stop(_: StoreError) -> Stop {
    Stop::failed("expected no error")
}
