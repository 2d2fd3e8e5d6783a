//! What an operator is told once of a route.

use std::sync::atomic::Ordering;

use super::route::Route;
use crate::head::RequestHead;
use crate::reason::Reason;
use crate::tag::template::{Template, UnknownPlaceholder};

impl Route {
    /// One error in the log per route: why nothing can be stored, and which placeholder the request
    /// has no value for.
    pub(super) fn complain_of(&self, reason: Reason, head: &RequestHead<'_>) {
        if self.shared.complained.swap(true, Ordering::Relaxed) {
            return;
        }
        let value = |name: &str| head.placeholder(name);
        let unknown =
            |template: &Template| template.expand_tag(value, UnknownPlaceholder::Reject).err();
        match self.shared.rules.tags.iter().find_map(unknown) {
            Some(error) if reason == Reason::UnknownPlaceholder => {
                tracing::error!(%reason, %error, "the route's responses cannot be stored");
            }
            _ => tracing::error!(%reason, "the route's responses cannot be stored"),
        }
    }
}
