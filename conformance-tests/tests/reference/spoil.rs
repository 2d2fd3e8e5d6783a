//! Mutants that do not give back what was put.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::clock::unix_millis;
use cache_core::entry::{Content, Entry, StoredHead};

use super::Bug;

/// The entry as a store with this bug keeps it.
pub(crate) fn spoil(entry: Entry, bug: Option<Bug>) -> Entry {
    match bug {
        Some(Bug::PanicsOnManyTags) => {
            assert!(entry.tags().len() < 100, "no room for so many tags");
            entry
        }
        Some(Bug::EmptyBodyIsNothing) if entry.body().is_empty() => {
            let (key, tags) = (entry.key(), entry.tags().into());
            let expired = SystemTime::UNIX_EPOCH;
            Entry::new(key, tags, expired, entry.content().clone(), Bytes::new())
        }
        Some(Bug::BodyCut) => {
            with_body(&entry, entry.body().slice(..entry.body().len().min(65_536)))
        }
        Some(Bug::BodyIsText) => {
            let text = String::from_utf8_lossy(entry.body()).into_owned();
            with_body(&entry, text.into())
        }
        Some(Bug::FieldsMerged) => with_head(&entry, |head| {
            let mut merged = http::HeaderMap::new();
            for (name, last) in &head.headers.to_map() {
                merged.insert(name, last.clone());
            }
            head.headers = merged.into();
        }),
        Some(Bug::LifeInSeconds) => with_head(&entry, |head| {
            let mut life = head.life();
            let seconds = unix_millis(life.stored_at) / 1_000;
            life.stored_at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            life.fresh_for = Duration::from_secs(life.fresh_for.as_secs());
            *head = head.clone().with_life(life);
        }),
        Some(Bug::OnlyResponses) if entry.response().is_none() => {
            let expired = SystemTime::UNIX_EPOCH;
            let (tags, body) = (entry.tags().into(), entry.body().clone());
            Entry::new(entry.key(), tags, expired, entry.content().clone(), body)
        }
        _ => entry,
    }
}

fn with_body(entry: &Entry, body: Bytes) -> Entry {
    let (tags, content) = (entry.tags().into(), entry.content().clone());
    Entry::new(entry.key(), tags, entry.keep_until(), content, body)
}

fn with_head(entry: &Entry, change: impl FnOnce(&mut StoredHead)) -> Entry {
    let mut content = entry.content().clone();
    if let Content::Response(head) = &mut content {
        change(head);
    }
    Entry::new(entry.key(), entry.tags().into(), entry.keep_until(), content, entry.body().clone())
}
