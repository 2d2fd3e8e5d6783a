//! What an operator is told once of a route, or of a function.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use super::route::Route;
use crate::head::RequestHead;
use crate::policy::Rules;
use crate::policy::rules::KeySource;
use crate::reason::Reason;
use crate::tag::template::UnknownName;

impl Route {
    /// One error in the log per route: why nothing can be stored, and which placeholder the request
    /// has no value for.
    pub(super) fn complain_of(&self, reason: Reason, head: &RequestHead<'_>) {
        if self.shared.complained.swap(true, Ordering::Relaxed) {
            return;
        }
        let error = unknown(&self.shared.rules, reason, |name| head.placeholder(name));
        let error = error.map(tracing::field::display);
        tracing::error!(%reason, error, "the route's responses cannot be stored");
    }
}

/// The placeholder without a value, in the key or in a tag, if that is the reason.
pub(crate) fn unknown<'v>(
    rules: &Rules,
    reason: Reason,
    value: impl Fn(&str) -> Option<Cow<'v, str>>,
) -> Option<UnknownName> {
    if reason != Reason::UnknownPlaceholder {
        return None;
    }
    let of_key = match &rules.key {
        KeySource::Template(key) => key.expand(&value).err(),
        KeySource::Target | KeySource::Function(_) => None,
    };
    let of_tag = || {
        let mut tags = rules.tags.iter();
        tags.find_map(|tag| tag.expand_tag(&value, rules.unknown_placeholder).err())
    };
    of_key.or_else(of_tag)
}
