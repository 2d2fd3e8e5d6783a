//! Storing a response: what is recorded while its body passes, and the put at the end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};

use super::budget::Reserved;
use super::cache::Inner;
use super::flight::{Lead, Verdict};
use super::nominated;
use super::recall::Known;
use super::route::{Route, Shared};
use super::run::Fill;
use super::seek::variant_key;
use crate::entry::{Content, Entry, StoredHead};
use crate::field::entity_tag;
use crate::field::said::Stated;
use crate::key::Key;
use crate::key::vary::{MAX_NOMINATED, Presented, VariantRecord};
use crate::policy::Rules;
use crate::policy::freshness::keep_until;
use crate::policy::plan::{Planned, all_tags};
use crate::policy::setting::EtagRule;
use crate::policy::storable::{LateFields, Storable, StoredForm};
use crate::reason::Reason;
use crate::store::{PutOutcome, StoreError, Ticket};
use crate::tag::{Tag, TagKind, Tags};

/// A put that is done, or under way. It says whether the response is stored.
pub(crate) enum Putting {
    Done(Result<(), Reason>),
    Waiting(Pin<Box<dyn Future<Output = Result<(), Reason>> + Send>>),
}

impl Future for Putting {
    type Output = Result<(), Reason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Reason>> {
        match &mut *self {
            Self::Done(stored) => Poll::Ready(*stored),
            Self::Waiting(putting) => putting.as_mut().poll(cx),
        }
    }
}

/// A response that is being stored: everything but its body, and the body so far.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) route: Route,
    /// With the ticket, until the entry is put.
    pub(crate) fill: Box<Fill>,
    pub(crate) storable: Storable,
    pub(crate) status: StatusCode,
    /// Its fields as they will be stored.
    pub(crate) form: StoredForm,
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
    /// With the ticket, until the entry is put.
    fill: Box<Fill>,
    pub(crate) entry: Entry,
    /// The entity tag that the cache has given it.
    pub(crate) etag: Option<HeaderValue>,
}

impl Recording {
    /// Takes a copy of a chunk.
    ///
    /// An error says why recording must end; [`abandon`](Self::abandon) is then due.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Reason> {
        let Shared { cache, rules, .. } = &*self.route.shared;
        if self.fill.ticket.as_ref().is_ok_and(|it| it.is_overdue(cache.clock.monotonic())) {
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
            Recorded::Copied(copy, _) => self.form.length == Stated::Length(copy.len() as u64),
        }
    }

    /// Ends without storing.
    pub(crate) fn abandon(self, reason: Reason) {
        let Fill { miss, lead, .. } = *self.fill;
        give_up(&self.route.shared.cache, &miss.key, lead, reason);
    }

    /// Makes the entry. On an error the flight has been told.
    pub(crate) fn seal(mut self) -> Result<Sealed, Reason> {
        match self.entry() {
            Ok((entry, etag)) => Ok(Sealed { route: self.route, fill: self.fill, entry, etag }),
            Err(reason) => {
                self.abandon(reason);
                Err(reason)
            }
        }
    }

    fn entry(&mut self) -> Result<(Entry, Option<HeaderValue>), Reason> {
        let rules = &self.route.shared.rules;
        let fill = &mut *self.fill;
        let kept = &fill.kept;
        let body = match std::mem::replace(&mut self.body, Recorded::Whole(Bytes::new())) {
            Recorded::Whole(body) => body,
            Recorded::Copied(mut copy, _) => {
                copy.shrink_to_fit();
                Bytes::from(copy)
            }
        };
        let length = body.len() as u64;
        let contradicted = ![Stated::Nothing, Stated::Length(length)].contains(&self.form.length)
            || self.announced.is_some_and(|announced| announced != length);
        if kept.method != Method::HEAD && contradicted {
            return Err(Reason::BodyFailed);
        }
        // A handler may go on adding tags while its body streams.
        let wishes = fill.wishes.take();
        if wishes.refuse || wishes.failed {
            return Err(if wishes.refuse { Reason::Handler } else { Reason::Tags });
        }
        let tags = all_tags(std::mem::take(&mut fill.tags), &wishes.tags)?;
        let nominated = std::mem::take(&mut self.storable.nominated);
        let names = match &fill.miss.record {
            Some((record, _)) => record.union(&nominated),
            None => Some(nominated).filter(|names| names.len() <= MAX_NOMINATED),
        };
        let names = names.ok_or(Reason::Vary)?;
        let mut fields = std::mem::take(&mut self.form.fields);
        let weak = rules.etag == EtagRule::Weak;
        let etag = makes_etag(rules, fill.planned.is_head, self.form.has_etag)
            .then(|| entity_tag::generate(&body, weak));
        if let Some(etag) = &etag {
            fields.add(&header::ETAG, etag);
        }
        // What is stored whole is served in parts (RFC 9110 §14.3).
        let divisible = kept.method == Method::GET && self.status == StatusCode::OK;
        if divisible && !self.form.has_accept_ranges {
            fields.add(&header::ACCEPT_RANGES, &HeaderValue::from_static("bytes"));
        }
        let (planned, lines) = (&fill.planned, kept.lines());
        let key = variant_key(planned.key, &names, planned.is_head, lines, rules.vary_values);
        let life = self.storable.life;
        let presented = Presented::take(&names, lines);
        let mut head = StoredHead::packed(self.status, fields.finish(), life, presented);
        head.etag_is_ours = etag.is_some();
        let keep = keep_until(&life, self.storable.keep);
        Ok((Entry::tagged(key, tags, keep, Content::Response(head), body), etag))
    }
}

/// Whether the cache gives the response an entity tag.
fn makes_etag(rules: &Rules, is_head: bool, has_one: bool) -> bool {
    !is_head && rules.etag != EtagRule::Off && !has_one
}

/// The bytes of the fields that a response may get at the end of its body: number, length and value.
pub(crate) fn room_for_late_fields(rules: &Rules, planned: &Planned) -> LateFields {
    let etag = match rules.etag {
        _ if !makes_etag(rules, planned.is_head, false) => 0,
        EtagRule::Weak => 2 + entity_tag::LONGEST,
        _ => 2 + entity_tag::LONGEST - "W/".len(),
    };
    LateFields { etag, accept_ranges: 2 + "bytes".len() }
}

impl Sealed {
    /// Closes the flight, puts the entry, and ends the flight with the verdict: at once, if the
    /// store does not wait.
    pub(crate) fn put(mut self) -> Putting {
        #[cfg(feature = "mutants")]
        let broken = self.break_flight();
        #[cfg(not(feature = "mutants"))]
        let broken = false;
        if let Some(lead) = self.fill.lead.as_ref().filter(|_| !broken) {
            lead.close();
        }
        match self.try_put() {
            Some(stored) => {
                self.tell(stored);
                Putting::Done(stored)
            }
            None => Putting::Waiting(Box::pin(self.put_slowly())),
        }
    }

    fn try_put(&mut self) -> Option<Result<(), Reason>> {
        if self.has_variants() {
            return None;
        }
        let Ok(ticket) = self.take_ticket() else { return Some(Err(Reason::Superseded)) };
        match self.route.shared.cache.store.try_put(ticket, self.entry.clone()) {
            Ok(outcome) => Some(verdict(outcome)),
            Err((ticket, _)) => {
                self.fill.ticket = Ok(ticket);
                None
            }
        }
    }

    async fn put_slowly(mut self) -> Result<(), Reason> {
        let limit = self.route.shared.cache.store_timeout;
        let stored = match tokio::time::timeout(limit, self.store()).await {
            Ok(stored) => stored,
            Err(_) => Err(Reason::StoreTimeout),
        };
        if stored.is_ok() {
            let primary = self.fill.planned.key;
            self.route.shared.cache.recall.set(primary.primary(), known(&self.entry));
        }
        self.tell(stored);
        stored
    }

    /// Counts what has become of the entry, and tells the flight.
    fn tell(self, stored: Result<(), Reason>) {
        let Self { route, fill, entry, .. } = self;
        let cache = &route.shared.cache;
        match stored {
            Ok(()) => {
                cache.counters.stored.one();
                if entry.response().is_some_and(|stored| stored.times().are_over_at_once()) {
                    // Each request validates it for itself: waiting gains nothing.
                    cache.cool.add(&entry.key(), cache.clock.monotonic());
                }
                if let Some(lead) = fill.lead {
                    lead.end(Verdict::Stored(entry));
                }
            }
            Err(reason @ (Reason::Superseded | Reason::TooOld)) => {
                cache.counters.not_stored.one();
                cache.counters.reason(reason);
                if let Some(lead) = fill.lead {
                    lead.end(Verdict::LookAgain);
                }
            }
            Err(reason) => give_up(cache, &entry.key(), fill.lead, reason),
        }
    }

    /// Whether the flight is left open, by one mutant or the other.
    #[cfg(feature = "mutants")]
    fn break_flight(&mut self) -> bool {
        use super::mutant::Mutant;
        let mutant = self.route.shared.cache.mutant;
        if mutant == Some(Mutant::NoVerdict)
            && let Some(lead) = self.fill.lead.take()
        {
            lead.end(Verdict::Stored(self.entry.clone()));
        }
        mutant == Some(Mutant::ClosedAfterPut)
    }

    fn has_variants(&self) -> bool {
        self.entry.response().is_some_and(|stored| !stored.presented.is_empty())
    }

    fn take_ticket(&mut self) -> Result<Ticket, Reason> {
        let ticket = std::mem::replace(&mut self.fill.ticket, Err(Reason::Superseded));
        Ok(ticket.map_err(|_| Reason::Superseded)?.for_variant(self.entry.key()))
    }

    async fn store(&mut self) -> Result<(), Reason> {
        let cache = &self.route.shared.cache;
        if self.has_variants() {
            let primary = Key::new(*self.fill.planned.key.primary());
            Box::pin(self.ensure_record(cache, primary)).await?;
        }
        let ticket = self.take_ticket()?;
        put(&self.route.shared.cache, ticket, self.entry.clone()).await
    }

    /// Sees to it that the record of nominated fields leads to this variant.
    async fn ensure_record(&self, cache: &Inner, primary: Key) -> Result<(), Reason> {
        let Some(stored) = self.entry.response() else { return Ok(()) };
        let key = self.entry.key();
        let Some(variant) = key.variant() else { return Ok(()) };
        let names: Vec<_> = stored.presented.names().cloned().collect();
        let needed = self.entry.keep_until();
        let (record, until) = match &self.fill.miss.record {
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
        let stored = put(cache, ticket, entry).await;
        nominated::was_put(&primary);
        stored?;
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
    verdict(ask(cache, "put", cache.store.put(ticket, entry)).await?)
}

fn verdict(outcome: PutOutcome) -> Result<(), Reason> {
    match outcome {
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
    Known { names: names.unwrap_or_default(), tags: entry.tags().into() }
}

/// Whether that is what this process remembers already.
pub(crate) fn is_known(entry: &Entry, known: &Known) -> bool {
    let names = entry.response().into_iter().flat_map(|stored| stored.presented.names());
    *entry.tags() == *known.tags && names.eq(known.names.iter())
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
