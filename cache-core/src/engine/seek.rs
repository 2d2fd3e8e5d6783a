//! From a plan to a verdict on what is stored: which keys to look under, and what the findings
//! mean for this request. Pure: the callers do the looking.

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderName;

use crate::entry::{Content, Entry, StoredHead};
use crate::field::cache_control::CacheControl;
use crate::head::RequestHead;
use crate::key::canonical::{Canonical, Part};
use crate::key::vary::{Asked, Presented, VariantRecord, variant};
use crate::key::{Digest, Key};
use crate::policy::Rules;
use crate::policy::freshness::{self, Freshness, Use, usable};
use crate::policy::plan::Planned;
use crate::policy::setting::VaryValues;
use crate::reason::Reason;
use crate::store::{Lookup, Ticket};

/// What the findings mean.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// Serve this.
    Serve(Entry, Freshness),
    /// Serve this, and refresh it.
    ServeAndRefresh(Entry, Freshness, Miss),
    /// Ask the handler.
    Forward(Miss),
}

/// What is known when the handler must be asked.
#[derive(Debug)]
pub(crate) struct Miss {
    /// Why.
    pub(crate) reason: Reason,
    /// The key that was looked under last, and that a fill is for.
    pub(crate) key: Key,
    /// The right to fill it.
    pub(crate) ticket: Option<Ticket>,
    /// What to serve if the handler fails.
    pub(crate) fallback: Option<Entry>,
    /// What is stored under the key, though not to be served as it is: the handler may say that it
    /// still holds.
    pub(crate) stored: Option<Entry>,
    /// The same of a GET, where the request is a HEAD.
    pub(crate) stored_get: Option<Entry>,
    /// The record of nominated fields as it lies in the store, and how long it is kept.
    pub(crate) record: Option<(VariantRecord, SystemTime)>,
    /// The key is of the HEAD class.
    pub(crate) head_class: bool,
}

impl Miss {
    /// The store could not be asked.
    pub(crate) const fn unknown(reason: Reason, key: Key) -> Self {
        Self {
            reason,
            key,
            ticket: None,
            fallback: None,
            stored: None,
            stored_get: None,
            record: None,
            head_class: false,
        }
    }
}

/// What to do after a finding.
#[derive(Debug)]
pub(crate) enum Next {
    /// Look under this key too.
    Look(Key),
    /// That was all.
    Done(Resolved),
}

/// The state of a search.
#[derive(Debug)]
pub(crate) struct Seek {
    primary: Key,
    is_head: bool,
    /// Looking under the HEAD class now.
    head_class: bool,
    /// The nominated fields as this process recalls them, not yet seen in the store; none once that
    /// has turned out to be no use.
    recalled: Arc<[HeaderName]>,
    /// The record of nominated fields, once it is seen.
    record: Option<Entry>,
    /// Looked under last.
    looking: Key,
    fallback: Option<Entry>,
    stored: Option<Entry>,
    /// What a HEAD request found of a GET, and why it is not served.
    stored_get: Option<(Entry, Reason)>,
    values: VaryValues,
}

impl Seek {
    /// A search for a planned request. `names` are the nominated fields as last seen, if any.
    pub(crate) fn new(rules: &Rules, planned: &Planned, names: Arc<[HeaderName]>) -> Self {
        Self {
            primary: planned.key,
            is_head: planned.is_head,
            head_class: false,
            recalled: names,
            record: None,
            looking: planned.key,
            fallback: None,
            stored: None,
            stored_get: None,
            values: rules.vary_values,
        }
    }

    /// Where to look first.
    pub(crate) fn first(&mut self, head: &RequestHead<'_>) -> Key {
        self.next(head)
    }

    /// Takes what was found under the last key.
    pub(crate) fn step(
        &mut self,
        rules: &Rules,
        head: &RequestHead<'_>,
        found: Lookup,
        now: u64,
    ) -> Next {
        let looked_under = self.looking;
        self.stored = None;
        let (entry, ticket) = match found {
            Lookup::Found(entry, ticket) => (entry, ticket),
            Lookup::Miss(ticket) => {
                let reason =
                    if self.names().is_empty() { Reason::Absent } else { Reason::OtherVariant };
                return self.forward(head, looked_under, reason, Some(ticket));
            }
        };
        if let Content::Variants(record) = entry.content() {
            // A record under a variant's key is not ours; looking further would not end.
            if looked_under.variant().is_some() || record.names().is_empty() {
                return self.forward(head, looked_under, Reason::Absent, ticket);
            }
            self.record = Some(entry);
            return Next::Look(self.next(head));
        }
        let Some(stored) = entry.response() else {
            return self.forward(head, looked_under, Reason::Absent, ticket);
        };
        if !selected(stored, head, self.values) {
            return self.forward(head, looked_under, Reason::OtherVariant, ticket);
        }
        let (state, usage) = judged(rules, head, stored, now);
        match usage {
            Use::Serve => Next::Done(Resolved::Serve(entry, state)),
            // A refresh needs the record, which other names than the recalled ones may be in.
            Use::ServeAndRefresh if !self.recalled.is_empty() => {
                self.recalled = Arc::default();
                Next::Look(self.next(head))
            }
            Use::ServeAndRefresh => {
                self.stored = Some(entry.clone());
                let miss = self.miss(looked_under, Reason::Expired, ticket);
                Next::Done(Resolved::ServeAndRefresh(entry, state, miss))
            }
            Use::OnlyOnError => {
                self.fallback = Some(entry.clone());
                self.stored = Some(entry);
                self.forward(head, looked_under, Reason::Expired, ticket)
            }
            Use::NotForThisRequest => {
                self.stored = Some(entry);
                self.forward(head, looked_under, Reason::RequestDirective, ticket)
            }
            Use::None => {
                self.stored = Some(entry);
                self.forward(head, looked_under, Reason::Expired, ticket)
            }
        }
    }

    /// Nothing servable under this key. Names that were only recalled are given up: the record in
    /// the store decides. A HEAD request tries its own class, then the handler.
    fn forward(
        &mut self,
        head: &RequestHead<'_>,
        key: Key,
        reason: Reason,
        ticket: Option<Ticket>,
    ) -> Next {
        if !self.recalled.is_empty() {
            self.recalled = Arc::default();
            self.head_class = false;
            return Next::Look(self.next(head));
        }
        if self.is_head && !self.head_class {
            self.head_class = true;
            self.stored_get = self.stored.take().map(|stored| (stored, reason));
            return Next::Look(self.next(head));
        }
        Next::Done(Resolved::Forward(self.miss(key, reason, ticket)))
    }

    fn miss(&mut self, key: Key, reason: Reason, ticket: Option<Ticket>) -> Miss {
        let (stored_get, of_get) = self.stored_get.take().unzip();
        let reason = of_get.filter(|_| reason == Reason::Absent).unwrap_or(reason);
        Miss {
            reason,
            key,
            ticket,
            fallback: self.fallback.take(),
            stored: self.stored.take(),
            stored_get,
            record: self.record.take().and_then(|entry| {
                let record = variants(&entry)?.clone();
                Some((record, entry.keep_until()))
            }),
            head_class: self.head_class,
        }
    }

    /// The nominated fields, as far as they are known.
    fn names(&self) -> &[HeaderName] {
        let seen = self.record.as_ref().and_then(variants);
        seen.map_or(&self.recalled, VariantRecord::names)
    }

    fn next(&mut self, head: &RequestHead<'_>) -> Key {
        self.looking = variant_key(self.primary, self.names(), self.head_class, head, self.values);
        self.looking
    }
}

/// How old an entry is that is to be served to this request, whatever else may be found. `selects` says
/// whether the request presents the same values of nominated fields.
#[inline]
pub(crate) fn serves(
    rules: &Rules,
    head: &RequestHead<'_>,
    selects: impl FnOnce(&Presented) -> bool,
    found: &Lookup,
    now: u64,
) -> Option<Freshness> {
    let Lookup::Found(entry, _) = found else { return None };
    let stored = entry.response()?;
    if !stored.presented.is_empty() && !selects(&stored.presented) {
        return None;
    }
    let (state, usage) = judged(rules, head, stored, now);
    (usage == Use::Serve).then_some(state)
}

/// Whether the request presents the same values of the nominated fields, if there are any.
fn selected(stored: &StoredHead, head: &RequestHead<'_>, values: VaryValues) -> bool {
    stored.presented.is_empty() || stored.presented.matches(head, values)
}

/// The fields that tell the variants apart, if this is a record of them: where a search looks next is
/// the key of what the request presents for these.
pub(crate) fn nominated_in(found: &Lookup) -> Option<&[HeaderName]> {
    let Lookup::Found(record, _) = found else { return None };
    Some(variants(record)?.names()).filter(|names| !names.is_empty())
}

#[inline]
fn judged(
    rules: &Rules,
    head: &RequestHead<'_>,
    stored: &StoredHead,
    now: u64,
) -> (Freshness, Use) {
    let times = stored.times();
    let state = freshness::at(&times, now);
    let client = rules.honours_client().then(|| directives(head));
    (state, usable(&times, stored.must_validate(), &state, client.as_ref()))
}

/// Not with the rest, which most hits come through.
#[inline(never)]
fn directives(head: &RequestHead<'_>) -> CacheControl {
    CacheControl::of_request(head.headers())
}

fn variants(entry: &Entry) -> Option<&VariantRecord> {
    match entry.content() {
        Content::Variants(record) => Some(record),
        _ => None,
    }
}

/// The key of a request's variant. The HEAD class is told apart here, not in the primary key, so
/// that both classes share a shard.
pub(crate) fn variant_key(
    primary: Key,
    names: &[HeaderName],
    head_class: bool,
    request: &impl Asked,
    values: VaryValues,
) -> Key {
    match (names.is_empty(), head_class) {
        (true, false) => primary,
        (false, false) => primary.variant_of(variant(names, request, values)),
        (_, true) => primary.variant_of(head_variant(&variant(names, request, values))),
    }
}

fn head_variant(variant: &Digest) -> Digest {
    let mut canonical = Canonical::new();
    canonical.part(Part::Method, b"HEAD");
    canonical.part(Part::Nominated, variant.as_bytes());
    canonical.digest()
}
