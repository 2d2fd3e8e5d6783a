//! What a request that misses does about the flight for its key.

use super::flight::{Follower, Joined, Lead, Verdict};
use super::route::{Route, Shared};
use super::run::Fill;
use crate::entry::Entry;
use crate::policy::setting::Coalesce;
use crate::reason::Reason;

impl Route {
    /// Leads, follows or flies alone.
    pub(super) async fn join(&self, fill: &Fill, generation: u64, tries: &mut Tries) -> Flown {
        let follower = match self.board(fill, generation, tries) {
            Boarded::Run(lead, reason) => return Flown::Run(lead, reason),
            Boarded::LookAgain => return Flown::LookAgain,
            Boarded::Follow(follower) => follower,
        };
        let Coalesce::On { wait, .. } = self.shared.rules.coalesce else {
            return Flown::Run(None, None);
        };
        match tokio::time::timeout(wait, follower.verdict()).await {
            Ok(Verdict::Stored(entry)) => Flown::Landed(entry),
            Ok(Verdict::LookAgain) => Flown::LookAgain,
            Ok(Verdict::NotStored | Verdict::Failed) => {
                Flown::Run(None, Some(Reason::FlightFailed))
            }
            Err(_) => Flown::Run(None, Some(Reason::FlightTimeout)),
        }
    }

    /// The first step of that, without waiting.
    pub(super) fn board(&self, fill: &Fill, generation: u64, tries: &mut Tries) -> Boarded {
        let Shared { cache, rules, .. } = &*self.shared;
        let Coalesce::On { max_followers, .. } = rules.coalesce else {
            return Boarded::Run(None, None);
        };
        // Without a ticket nothing can be stored, hence nothing shared.
        let alone = fill.ticket.is_err()
            || tries.flights == MAX_FLIGHTS
            || fill.reason == Reason::RequestDirective;
        if alone || cache.cool.contains(&fill.miss.key, || cache.clock.monotonic()) {
            return Boarded::Run(None, None);
        }
        let now = cache.clock.monotonic();
        match cache.flights.join(fill.miss.key, max_followers, rules.max_fill, now) {
            Joined::Lead(lead) => {
                let landed = cache.flights.generation(&fill.planned.key) != generation;
                if !landed || tries.lookups == MAX_LOOKUPS {
                    return Boarded::Run(Some(lead), None);
                }
                // A flight landed since the lookup: the answer may be there by now.
                tries.lookups += 1;
                lead.end(Verdict::LookAgain);
                Boarded::LookAgain
            }
            Joined::Full => Boarded::Run(None, Some(Reason::FlightFull)),
            Joined::Follow(follower) => {
                tries.flights += 1;
                Boarded::Follow(follower)
            }
        }
    }
}

/// How many flights a request may follow before it runs alone.
pub(crate) const MAX_FLIGHTS: u32 = 2;

/// How often a request looks up anew because a flight has landed since; then it leads all the same.
pub(crate) const MAX_LOOKUPS: u32 = 3;

/// What a request has tried so far.
#[derive(Debug, Default)]
pub(super) struct Tries {
    flights: u32,
    lookups: u32,
}

/// What a request does about the flight for its key.
#[derive(Debug)]
pub(super) enum Boarded {
    /// Runs the handler, leading or alone; the reason replaces that of the miss.
    Run(Option<Lead>, Option<Reason>),
    /// Something may be stored by now.
    LookAgain,
    /// Waits.
    Follow(Follower),
}

/// What came of joining.
#[derive(Debug)]
pub(super) enum Flown {
    /// Run the handler, leading or alone; the reason replaces that of the miss.
    Run(Option<Lead>, Option<Reason>),
    /// Something may be stored by now.
    LookAgain,
    /// The leader's response is stored.
    Landed(Entry),
}
