//! Lookup, flight and put for function results: the part of the driver that needs no HTTP.

use std::time::Duration;

use super::board::{MAX_FLIGHTS, MAX_LOOKUPS};
use super::cache::Cache;
use super::fill::{ask, give_up};
use super::flight::{Joined, Lead, Verdict};
use crate::entry::Entry;
use crate::key::Key;
use crate::policy::setting::Coalesce;
use crate::reason::Reason;
use crate::store::{Lookup, PutOutcome, Ticket};
use crate::tag::Tag;

/// One call's way through the flights of its key.
#[derive(Debug)]
pub(crate) struct Flight<'c> {
    cache: &'c Cache,
    key: Key,
    coalesce: Coalesce,
    generation: u64,
    flights: u32,
    lookups: u32,
    landed: Option<Entry>,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The result of the flight that was waited for.
    Landed(Entry),
    Entry(Entry, Option<Ticket>),
    Nothing(Option<Ticket>),
}

/// What joining gave.
#[derive(Debug)]
pub(crate) enum Right {
    /// Compute; store with this, if there is a ticket.
    Compute(Permit),
    /// Something may be there by now.
    LookAgain,
}

/// The right to store a result, and the duty to tell the followers.
#[derive(Debug)]
pub(crate) struct Permit {
    ticket: Result<Ticket, Reason>,
    lead: Option<Lead>,
}

impl<'c> Flight<'c> {
    pub(crate) const fn new(cache: &'c Cache, key: Key, coalesce: Coalesce) -> Self {
        Self { cache, key, coalesce, generation: 0, flights: 0, lookups: 0, landed: None }
    }

    /// Whether somebody computes this key right now.
    pub(crate) fn is_led(&self, key: &Key) -> bool {
        self.cache.inner.flights.contains(key)
    }

    /// The entry of the flight that just landed, or what is stored.
    pub(crate) async fn fetch(&mut self, hints: &[Tag]) -> Fetched {
        if let Some(entry) = self.landed.take() {
            return Fetched::Landed(entry);
        }
        let inner = &self.cache.inner;
        self.generation = inner.flights.generation(&self.key);
        let found = match inner.store.try_lookup(&self.key, hints) {
            Some(found) => Ok(found),
            None => ask(inner, "lookup", inner.store.lookup(&self.key, hints)).await,
        };
        match found {
            Ok(Lookup::Found(entry, ticket)) => Fetched::Entry(entry, ticket),
            Ok(Lookup::Miss(ticket)) => Fetched::Nothing(Some(ticket)),
            Err(_) => Fetched::Nothing(None),
        }
    }

    /// Leads, follows, or computes alone.
    pub(crate) async fn join(&mut self, ticket: Option<Ticket>, max_fill: Duration) -> Right {
        let inner = &self.cache.inner;
        let ticket = match ticket {
            Some(ticket) => Ok(ticket),
            None => ask(inner, "begin", inner.store.begin(&self.key)).await,
        };
        let ticket = ticket.map(|ticket| ticket.valid_for(max_fill));
        let alone = |ticket| Right::Compute(Permit { ticket, lead: None });
        let Coalesce::On { wait, max_followers } = self.coalesce else { return alone(ticket) };
        // What could not be stored a moment ago cannot be shared: waiting would gain nothing.
        let cool = inner.cool.contains(&self.key, || inner.clock.monotonic());
        if ticket.is_err() || self.flights == MAX_FLIGHTS || cool {
            return alone(ticket);
        }
        match inner.flights.join(self.key, max_followers, max_fill, inner.clock.monotonic()) {
            Joined::Full => alone(ticket),
            Joined::Lead(lead) => {
                let landed = inner.flights.generation(&self.key) != self.generation;
                if !landed || self.lookups == MAX_LOOKUPS {
                    return Right::Compute(Permit { ticket, lead: Some(lead) });
                }
                self.lookups += 1;
                lead.end(Verdict::LookAgain);
                Right::LookAgain
            }
            Joined::Follow(follower) => {
                self.flights += 1;
                match tokio::time::timeout(wait, follower.verdict()).await {
                    Ok(Verdict::Stored(entry)) => {
                        self.landed = Some(entry);
                        Right::LookAgain
                    }
                    // After a failure the next one leads: failures are not shared.
                    Ok(Verdict::LookAgain | Verdict::Failed) => Right::LookAgain,
                    Ok(Verdict::NotStored) | Err(_) => alone(ticket),
                }
            }
        }
    }

    /// Puts a result, and tells the followers.
    pub(crate) async fn finish(self, permit: Permit, entry: Result<Entry, Reason>) {
        let inner = &self.cache.inner;
        let Permit { ticket, lead } = permit;
        let (ticket, entry) = match (ticket, entry) {
            (Ok(ticket), Ok(entry)) => (ticket, entry),
            (Err(reason), _) | (_, Err(reason)) => return give_up(inner, &self.key, lead, reason),
        };
        if let Some(lead) = &lead {
            lead.close();
        }
        let put = ask(inner, "put", inner.store.put(ticket, entry.clone())).await;
        let verdict = match put {
            Ok(PutOutcome::Stored) => {
                inner.counters.stored.one();
                Verdict::Stored(entry)
            }
            Ok(PutOutcome::Superseded) => {
                inner.counters.not_stored.one();
                inner.counters.reason(Reason::Superseded);
                Verdict::LookAgain
            }
            Ok(PutOutcome::Refused(why)) => return give_up(inner, &self.key, lead, why.into()),
            Err(reason) => return give_up(inner, &self.key, lead, reason),
        };
        if let Some(lead) = lead {
            lead.end(verdict);
        }
    }
}
