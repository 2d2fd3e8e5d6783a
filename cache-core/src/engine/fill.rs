//! Storing a response: what is recorded while its body passes, and the put at the end.

use std::future::Future;
use std::pin::Pin;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use super::budget::Reserved;
use super::cache::Inner;
use super::flight::{Lead, Verdict};
use super::recall::Known;
use super::route::{Kept, Route, Shared};
use super::seek::variant_key;
use crate::entry::{Content, Entry, StoredHead};
use crate::field::entity_tag;
use crate::key::Key;
use crate::key::vary::{Presented, VariantRecord};
use crate::policy::freshness::keep_until;
use crate::policy::plan::{Planned, all_tags};
use crate::policy::setting::EtagRule;
use crate::policy::storable::{Storable, content_length, contradicts_length};
use crate::reason::Reason;
use crate::store::{PutOutcome, StoreError, Ticket};
use crate::tag::{Tag, TagKind, Tags};
use crate::wishes::Wishes;

/// A put under way. It says whether the response is stored.
pub(crate) type Putting = Pin<Box<dyn Future<Output = Result<(), Reason>> + Send>>;

/// A response that is being stored: everything but its body, and the body so far.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) route: Route,
    pub(crate) kept: Box<Kept>,
    pub(crate) planned: Planned,
    pub(crate) ticket: Ticket,
    pub(crate) lead: Option<Lead>,
    pub(crate) record: Option<(VariantRecord, SystemTime)>,
    pub(crate) storable: Storable,
    pub(crate) status: StatusCode,
    /// As they will be stored.
    pub(crate) headers: HeaderMap,
    pub(crate) tags: Vec<Tag>,
    pub(crate) wishes: Wishes,
    /// How long the body says it is.
    pub(crate) announced: Option<u64>,
    pub(crate) body: Recorded,
}

/// A body so far.
#[derive(Debug)]
pub(crate) enum Recorded {
    /// All of it.
    Whole(Bytes),
    /// A copy of what has passed: a slice would keep the buffer that it was cut from.
    Copied(Vec<u8>, Reserved),
}

/// A complete entry that only needs to be put.
#[derive(Debug)]
pub(crate) struct Sealed {
    route: Route,
    planned: Planned,
    /// Until it is put.
    ticket: Option<Ticket>,
    lead: Option<Lead>,
    record: Option<(VariantRecord, SystemTime)>,
    pub(crate) entry: Entry,
}

impl Recording {
    /// Takes a copy of a chunk.
    ///
    /// An error says why recording must end; [`abandon`](Self::abandon) is then due.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        let Shared { cache, rules, .. } = &*self.route.shared;
        if self.ticket.is_overdue(cache.clock.monotonic()) {
            return Err(Reason::TooOld);
        }
        if let Recorded::Copied(copy, reserved) = &mut self.body {
            if copy.len().saturating_add(chunk.len()) > rules.max_body {
                return Err(Reason::TooLarge);
            }
            if !reserved.more(chunk.len()) {
                return Err(Reason::Capacity);
            }
            copy.extend_from_slice(chunk);
        }
        Ok(())
    }

    /// Whether the head announced just as many bytes as have been recorded: a client takes that for
    /// the end.
    pub(crate) fn is_complete(&self) -> bool {
        match &self.body {
            Recorded::Whole(_) => true,
            Recorded::Copied(copy, _) => content_length(&self.headers) == Some(copy.len() as u64),
        }
    }

    /// Ends without storing.
    pub(crate) fn abandon(self, reason: Reason) {
        give_up(&self.route.shared.cache, self.ticket.key(), self.lead, reason);
    }

    /// Makes the entry. On an error the flight has been told.
    pub(crate) fn seal(mut self: Box<Self>) -> Result<Box<Sealed>, Reason> {
        match self.entry() {
            Ok(entry) => Ok(Box::new(Sealed {
                route: self.route,
                planned: self.planned,
                ticket: Some(self.ticket),
                lead: self.lead,
                record: self.record,
                entry,
            })),
            Err(reason) => {
                self.abandon(reason);
                Err(reason)
            }
        }
    }

    fn entry(&mut self) -> Result<Entry, Reason> {
        let rules = &self.route.shared.rules;
        let body = match std::mem::replace(&mut self.body, Recorded::Whole(Bytes::new())) {
            Recorded::Whole(body) => body,
            Recorded::Copied(mut copy, _) => {
                copy.shrink_to_fit();
                Bytes::from(copy)
            }
        };
        let shortened = self.kept.method != Method::HEAD
            && self.announced.is_some_and(|announced| announced != body.len() as u64);
        if shortened || contradicts_length(&self.kept.method, &self.headers, body.len()) {
            return Err(Reason::BodyFailed);
        }
        // A handler may go on adding tags while its body streams.
        let wishes = self.wishes.take();
        if wishes.refuse || wishes.failed {
            return Err(if wishes.refuse { Reason::Handler } else { Reason::Tags });
        }
        let tags = all_tags(std::mem::take(&mut self.tags), &wishes.tags)?;
        let known = self.record.as_ref().map(|(record, _)| record.clone()).unwrap_or_default();
        let names = known.union(&self.storable.nominated).ok_or(Reason::Vary)?;
        let mut headers = std::mem::take(&mut self.headers);
        let has_content = !self.planned.is_head;
        let etag_is_ours =
            has_content && rules.etag != EtagRule::Off && !headers.contains_key(header::ETAG);
        if etag_is_ours {
            let weak = rules.etag == EtagRule::Weak;
            headers.insert(header::ETAG, entity_tag::generate(&body, weak));
        }
        // What is stored whole is served in parts (RFC 9110 §14.3).
        let divisible = self.kept.method == Method::GET && self.status == StatusCode::OK;
        if divisible && !headers.contains_key(header::ACCEPT_RANGES) {
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        let request = self.kept.head();
        let key = variant_key(
            self.planned.key,
            &names,
            self.planned.is_head,
            &request,
            rules.vary_values,
        );
        let life = self.storable.life;
        let presented = Presented::take(&names, request.headers());
        let mut head = StoredHead::new(self.status, headers, life, presented);
        head.etag_is_ours = etag_is_ours;
        let keep = keep_until(&life, self.storable.keep);
        Ok(Entry::new(key, tags, keep, Content::Response(head), body))
    }
}

impl Sealed {
    /// Closes the flight, puts the entry, and ends the flight with the verdict.
    pub(crate) fn put(mut self: Box<Self>) -> Putting {
        #[cfg(feature = "mutants")]
        let broken = self.break_flight();
        #[cfg(not(feature = "mutants"))]
        let broken = false;
        if let Some(lead) = self.lead.as_ref().filter(|_| !broken) {
            lead.close();
        }
        Box::pin(async move {
            let lead = self.lead.take();
            let limit = self.route.shared.cache.store_timeout;
            let stored = match tokio::time::timeout(limit, self.store()).await {
                Ok(stored) => stored,
                Err(_) => Err(Reason::StoreTimeout),
            };
            let Self { route, planned, entry, .. } = *self;
            let cache = &route.shared.cache;
            match stored {
                Ok(()) => {
                    cache.counters.stored.one();
                    if entry.response().is_some_and(|stored| stored.life().is_over_at_once()) {
                        // Each request validates it for itself: waiting gains nothing.
                        cache.cool.add(&entry.key(), cache.clock.monotonic());
                    }
                    cache.recall.set(planned.key.primary(), known(&entry));
                    if let Some(lead) = lead {
                        lead.end(Verdict::Stored(entry));
                    }
                }
                Err(reason @ (Reason::Superseded | Reason::TooOld)) => {
                    cache.counters.not_stored.one();
                    cache.counters.reason(reason);
                    if let Some(lead) = lead {
                        lead.end(Verdict::LookAgain);
                    }
                }
                Err(reason) => give_up(cache, &entry.key(), lead, reason),
            }
            stored
        })
    }

    /// Whether the flight is left open, by one mutant or the other.
    #[cfg(feature = "mutants")]
    fn break_flight(&mut self) -> bool {
        use super::mutant::Mutant;
        let mutant = self.route.shared.cache.mutant;
        if mutant == Some(Mutant::NoVerdict)
            && let Some(lead) = self.lead.take()
        {
            lead.end(Verdict::Stored(self.entry.clone()));
        }
        mutant == Some(Mutant::ClosedAfterPut)
    }

    async fn store(&mut self) -> Result<(), Reason> {
        let cache = &self.route.shared.cache;
        if self.entry.response().is_some_and(|stored| !stored.presented.is_empty()) {
            let primary = Key::new(*self.planned.key.primary());
            Box::pin(self.ensure_record(cache, primary)).await?;
        }
        let Some(ticket) = self.ticket.take() else { return Err(Reason::Superseded) };
        let ticket = ticket.for_variant(self.entry.key());
        put(cache, ticket, self.entry.clone()).await
    }

    /// Sees to it that the record of nominated fields leads to this variant.
    async fn ensure_record(&self, cache: &Inner, primary: Key) -> Result<(), Reason> {
        let Some(stored) = self.entry.response() else { return Ok(()) };
        let key = self.entry.key();
        let Some(variant) = key.variant() else { return Ok(()) };
        let names: Vec<_> = stored.presented.names().cloned().collect();
        let needed = self.entry.keep_until();
        let (record, until) = match &self.record {
            Some((record, until)) => (record.clone(), *until),
            None => (VariantRecord::default(), SystemTime::UNIX_EPOCH),
        };
        let (next, dropped) = match record.with(&names, *variant) {
            None if until >= needed => return Ok(()),
            None => (record, None),
            Some(changed) => changed,
        };
        let reserved = |tag: &&Tag| !matches!(tag.kind(), TagKind::User | TagKind::Group);
        let tags: Tags = self.entry.tags().iter().filter(reserved).cloned().collect();
        // Kept for twice as long as its newest variant, so that most fills find it good.
        let life = needed.duration_since(stored.life().stored_at).unwrap_or_default();
        let keep = needed.checked_add(life).unwrap_or(needed).max(until);
        let entry = Entry::new(primary, tags, keep, Content::Variants(next), Bytes::new());
        let ticket = ask(cache, "begin", cache.store.begin(&primary)).await?;
        put(cache, ticket, entry).await?;
        if let Some(dropped) = dropped {
            // The oldest variant makes room, so that variants stay bounded.
            forget(cache, primary.variant_of(dropped)).await?;
        }
        Ok(())
    }
}

/// Replaces what is stored under a key with nothing.
pub(crate) async fn forget(cache: &Inner, key: Key) -> Result<(), Reason> {
    let ticket = ask(cache, "begin", cache.store.begin(&key)).await?;
    let nothing = Content::Variants(VariantRecord::default());
    let past = SystemTime::UNIX_EPOCH;
    let entry = Entry::new(key, Tags::default(), past, nothing, Bytes::new());
    put(cache, ticket, entry).await
}

async fn put(cache: &Inner, ticket: Ticket, entry: Entry) -> Result<(), Reason> {
    match ask(cache, "put", cache.store.put(ticket, entry)).await? {
        PutOutcome::Stored => Ok(()),
        PutOutcome::Superseded => Err(Reason::Superseded),
        PutOutcome::Refused(why) => Err(why.into()),
    }
}

pub(crate) async fn ask<T>(
    cache: &Inner,
    call: &'static str,
    answer: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Reason> {
    cache.ask(call, answer).await.map_err(|error| Reason::from(error.kind()))
}

/// What this process remembers of an entry it found or stored.
pub(crate) fn known(entry: &Entry) -> Known {
    let names = entry.response().map(|stored| stored.presented.names().cloned().collect());
    Known { names: names.unwrap_or_default(), tags: entry.tags().clone() }
}

/// Whether that is what this process remembers already.
pub(crate) fn is_known(entry: &Entry, known: &Known) -> bool {
    let names = entry.response().into_iter().flat_map(|stored| stored.presented.names());
    *entry.tags() == known.tags && names.eq(known.names.iter())
}

/// A response is not stored: count it, stop coalescing for a while, release the followers.
pub(crate) fn give_up(cache: &Inner, key: &Key, lead: Option<Lead>, reason: Reason) {
    cache.counters.not_stored.one();
    cache.counters.reason(reason);
    cache.cool.add(key, cache.clock.monotonic());
    if let Some(lead) = lead {
        lead.end(Verdict::NotStored);
    }
}

pub(crate) fn joined(mut chunks: Vec<Bytes>) -> Bytes {
    match chunks.len() {
        0 => Bytes::new(),
        1 => chunks.remove(0),
        _ => {
            let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
            for chunk in &chunks {
                whole.extend_from_slice(chunk);
            }
            whole.freeze()
        }
    }
}
