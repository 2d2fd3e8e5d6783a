//! What a run of the handler needs: the right to store its answer, the tags that follow from the
//! request, and what it may be asked to confirm.

use std::time::SystemTime;

use super::fill::ask;
use super::kept::Kept;
use super::route::{Route, Shared};
use super::run::Fill;
use super::seek::Miss;
use crate::entry::{Entry, StoredHead};
use crate::field::notes::Noted;
use crate::head::RequestHead;
use crate::policy::plan::{self, Planned};
use crate::policy::storable::Times;
use crate::reason::Reason;
use crate::store::{Lookup, Ticket};
use crate::wishes::Wishes;

impl Route {
    /// Everything that a run of the handler needs, a ticket above all.
    pub(super) async fn prepare(
        &self,
        planned: Planned,
        mut miss: Miss,
        head: &RequestHead<'_>,
        background: bool,
    ) -> Box<Fill> {
        let with_found = miss.ticket.is_some();
        let ticket = match (miss.ticket.take(), miss.reason) {
            (Some(ticket), _) => Ok(ticket),
            (None, Reason::StoreUnavailable | Reason::StoreTimeout | Reason::StoreError) => {
                Err(miss.reason)
            }
            (None, _) if of_part(head, background) => Err(Reason::Range),
            (None, _) => {
                let cache = &self.shared.cache;
                ask(cache, "begin", cache.store.begin(&miss.key)).await
            }
        };
        let mut fill = self.begin(planned, miss, ticket, head, background);
        let Fill { ticket, miss, .. } = &mut *fill;
        // A ticket that came with the entry is no newer than the finding.
        if ticket.is_ok()
            && !with_found
            && let Some(entry) = miss.stored.take()
        {
            miss.stored = self.still_stored(&entry, head).await;
        }
        if ticket.is_ok()
            && let Some(entry) = miss.stored_get.take()
        {
            miss.stored_get = self.still_stored(&entry, head).await;
        }
        fill
    }

    /// What of it is there without asking the store: all of it, if the miss brought the ticket and
    /// found nothing of a GET.
    pub(super) fn begin(
        &self,
        planned: Planned,
        miss: Miss,
        ticket: Result<Ticket, Reason>,
        head: &RequestHead<'_>,
        background: bool,
    ) -> Box<Fill> {
        let rules = &self.shared.rules;
        let reason = miss.reason;
        let (tags, ticket) = match plan::tags(rules, head, &planned) {
            Err(reason) => {
                self.complain_of(reason, head);
                (Vec::new(), Err(reason))
            }
            Ok(tags) if of_part(head, background) => (tags, Err(Reason::Range)),
            Ok(tags) => (tags, ticket.map(|ticket| ticket.valid_for(rules.max_fill))),
        };
        Box::new(Fill {
            planned,
            reason,
            ticket,
            tags,
            lead: None,
            miss,
            background,
            kept: Kept::of(head, rules.code.store_if.is_some()),
            wishes: Wishes::of(self.shared.cache.id),
            lifetime: Ok(None),
            // Told when it has answered, before anybody asks.
            times: Times { asked: None, answered: SystemTime::UNIX_EPOCH },
        })
    }

    /// What is stored in the entry's place, now that there is a ticket. If it was invalidated before
    /// that was issued, a handler that takes it for unchanged, as by a `Last-Modified` of the same
    /// second, must not bring it back.
    async fn still_stored(&self, entry: &Entry, head: &RequestHead<'_>) -> Option<Entry> {
        let Shared { cache, rules, .. } = &*self.shared;
        let found = match cache.store.try_lookup(&entry.key(), &[]) {
            Some(found) => found,
            None => ask(cache, "lookup", cache.store.lookup(&entry.key(), &[])).await.ok()?,
        };
        let Lookup::Found(entry, _) = found else { return None };
        let fits = |stored: &StoredHead| stored.presented.matches(head, rules.vary_values);
        entry.response().is_some_and(fits).then_some(entry)
    }
}

/// Whether what the handler will say is not to be stored because a part is asked for. It may answer in
/// parts; and a part of something large is not fetched whole, but where what is whole already is to be
/// refreshed.
fn of_part(head: &RequestHead<'_>, background: bool) -> bool {
    head.has(Noted::Range) && !background
}
