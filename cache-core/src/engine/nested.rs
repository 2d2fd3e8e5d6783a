//! A route inside the fill of another one.
//!
//! It does not cache, but what it says still holds: the outer route hears of its tags and its life,
//! and stores nothing that it would not store itself, nor anything that the inner route's cache
//! could not invalidate.

use http::StatusCode;

use super::kept::Kept;
use super::route::{Route, Shared};
use super::serve::{Changes, Origin, Served};
use super::spawn::{Lifeline, Spawn};
use super::tee::Drain;
use crate::head::RequestHead;
use crate::policy::ResponseHead;
use crate::policy::plan::{self, Validators};
use crate::policy::rules::KeySource;
use crate::policy::storable::{Times, storable};
use crate::reason::Reason;
use crate::wishes::Wishes;

impl Route {
    /// Inside the fill of another route, which may store what the handler makes of all that it sees.
    pub(super) async fn nested<O, S>(
        &self,
        outer: &Wishes,
        origin: O,
        life: &Lifeline,
    ) -> Result<Served<O, S>, O::Error>
    where
        O: Origin,
        S: Spawn<Drain<O::Body>>,
    {
        let Shared { cache, rules, .. } = &*self.shared;
        self.confide(outer, &origin.head()).await;
        let kept = Box::new(Kept::of(&origin.head(), rules.code.store_if.is_some()));
        let fields = plan::changed_fields(rules, &kept, false, Validators::default());
        let changes = Changes { fields, wishes: None };
        let asked = Some(cache.clock.now());
        let reason = if outer.are_of(cache.id) { Reason::Nested } else { Reason::OtherCache };
        let served = self.bypass(origin, reason, changes, life).await?;
        let response = ResponseHead::new(served.response.status(), served.response.headers());
        let times = Times { asked, answered: cache.clock.now() };
        // A 304 confirms a response that was judged when it was stored.
        if response.status() != StatusCode::NOT_MODIFIED
            && storable(rules, &kept, &response, &outer.take(), None, times).is_err()
        {
            outer.refuse();
        }
        Ok(served)
    }

    /// A route inside another's fill does not cache: one answer, stored twice under two policies,
    /// could not be invalidated by the tags of both. It tells the outer route what it would have
    /// done: its tags and its life; and that nothing is to be stored where it would not, or where
    /// the answer depends on what the outer key cannot know.
    async fn confide(&self, outer: &Wishes, head: &RequestHead<'_>) {
        let Shared { cache, rules, .. } = &*self.shared;
        // An invalidation by the inner route's cache, which knows the tags, would not reach what
        // another one keeps.
        if !outer.are_of(cache.id) {
            return outer.refuse();
        }
        // The outer route would serve its copy without asking the guards, to whomever; and what a
        // key function or a condition has read of the request is anybody's guess. `vary`,
        // `authorization` and `cookies` reach the outer route through `Vary`.
        let by_code = matches!(rules.key, KeySource::Function(_)) || rules.code.condition.is_some();
        if head.is_guarded() || by_code {
            return outer.refuse();
        }
        let tags = self.admit(head).and_then(|()| {
            let planned = self.derive(head, None, None)?;
            plan::tags(rules, head, &planned)
        });
        let now = cache.clock.now();
        let lifetime = match self.lifetime(head).await {
            Ok(Some(lifetime)) => lifetime.from(now).map(Some),
            Ok(None) => match &rules.lifetime {
                // The response is to say it.
                _ if rules.is_http() => Some(None),
                Some(lifetime) => lifetime.from(now).map(Some),
                None => None,
            },
            Err(_) => None,
        };
        match (tags, lifetime) {
            (Ok(tags), Some(lifetime)) => outer.confide(tags, lifetime, rules.cache_groups),
            _ => outer.refuse(),
        }
    }
}
