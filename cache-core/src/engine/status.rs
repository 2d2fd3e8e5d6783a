//! What a response says about the cache: `Cache-Status` (RFC 9211) and the `HIT`/`MISS` field.

use std::fmt::Write as _;

use http::StatusCode;
use http::header::{CACHE_CONTROL, EXPIRES, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use super::cache::Inner;
use super::written;
use crate::entry::{Entry, Standing, Varying};
use crate::key::Key;
use crate::policy::Rules;
use crate::policy::freshness::Freshness;
use crate::policy::rules::DownstreamValue;
use crate::policy::setting::CacheStatusRule;
use crate::reason::{Forwarded, Reason};

pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// How a response came about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Story {
    /// From the store.
    Hit { ttl: Seconds, why_stale: Option<&'static str> },
    /// From the run of another request.
    Collapsed { ttl: Seconds },
    /// From the handler; stored, or to be stored at the end of the body.
    Stored { fwd: Forwarded, status: StatusCode, ttl: Seconds },
    /// From the handler; not stored.
    NotStored { fwd: Forwarded, status: StatusCode, reason: Reason },
    /// From the handler, past the cache.
    Bypassed { fwd: Forwarded, reason: Reason },
    /// From the cache itself, for want of a stored response.
    OnlyIfCached,
}

/// Whole seconds of life left; negative for a stale response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(i64);

impl From<&Freshness> for Seconds {
    fn from(state: &Freshness) -> Self {
        Self(state.seconds_left())
    }
}

/// The values of the fields that the cache itself writes into an answer.
pub(crate) type Own = [Option<HeaderValue>; 3];

/// The values of the fields that say of a stored response how it is served, in the order of
/// [`Rules::own_fields`].
pub(crate) fn of_hit(
    rules: &Rules,
    cache: &Inner,
    entry: &Entry,
    state: &Freshness,
    story: Story,
) -> Own {
    let hit = rules.status_header.as_ref().map(|field| field.hit.clone());
    let [age, status] = varying_of_hit(rules, cache, entry, state, story);
    [age, status, hit]
}

/// What those of them follow from that are not always the same in the answers that lie ready; `None`
/// where it is more than that.
#[inline]
pub(crate) fn said(rules: &Rules, state: &Freshness, story: Story) -> Option<Standing> {
    match (rules.cache_status, story) {
        (CacheStatusRule::Plain | CacheStatusRule::Off, Story::Hit { ttl, why_stale: None }) => {
            Some(Standing { age: state.age_in_seconds(), seconds_left: ttl.0 })
        }
        _ => None,
    }
}

/// Their values.
pub(crate) fn varying_of_hit(
    rules: &Rules,
    cache: &Inner,
    entry: &Entry,
    state: &Freshness,
    story: Story,
) -> Varying {
    let age = state.age_in_seconds();
    if let (CacheStatusRule::Plain, Story::Hit { ttl, why_stale: None }) =
        (rules.cache_status, story)
        && rules.age
        && ttl.0 >= 0
    {
        let write = || member(&cache.name, None, story);
        let (age, status) = written::hit(cache.id, age, ttl.0.unsigned_abs(), write);
        return [Some(age), Some(status)];
    }
    let status = match rules.cache_status {
        CacheStatusRule::Off => None,
        CacheStatusRule::Plain => Some(member(&cache.name, None, story)),
        CacheStatusRule::Detail => Some(member(&cache.name, Some(&entry.key()), story)),
    };
    [rules.age.then(|| HeaderValue::from(age)), status]
}

/// Whether a field of ours stays beside what others have said in it.
pub(crate) fn adds(name: &HeaderName) -> bool {
    *name == CACHE_STATUS
}

/// Writes both fields.
pub(crate) fn tell(
    rules: &Rules,
    cache: &Inner,
    key: Option<&Key>,
    story: Story,
    headers: &mut HeaderMap,
) {
    if let Some(field) = &rules.status_header {
        match story {
            Story::Hit { .. } | Story::Collapsed { .. } => {
                headers.insert(field.name.clone(), field.hit.clone());
            }
            Story::Stored { .. } => {
                headers.insert(field.name.clone(), field.miss.clone());
            }
            Story::NotStored { .. } | Story::Bypassed { .. } | Story::OnlyIfCached => {}
        }
    }
    let key = key.filter(|_| rules.cache_status == CacheStatusRule::Detail);
    let value = match (rules.cache_status, story) {
        (CacheStatusRule::Off, _) => return,
        (CacheStatusRule::Plain, Story::Stored { fwd, status, ttl }) => {
            let stored = written::Stored { fwd, status, seconds: ttl.0 };
            written::stored(cache.id, stored, || member(&cache.name, None, story))
        }
        _ => member(&cache.name, key, story),
    };
    headers.append(CACHE_STATUS, value);
}

/// Adds our member after those of caches nearer to the origin.
pub(crate) fn append(name: &str, key: Option<&Key>, story: Story, headers: &mut HeaderMap) {
    headers.append(CACHE_STATUS, member(name, key, story));
}

fn member(name: &str, key: Option<&Key>, story: Story) -> HeaderValue {
    let mut text = String::with_capacity(64);
    text.push_str(name);
    // Writing into a string cannot fail.
    let _ = match story {
        Story::Hit { ttl, why_stale: None } => write!(text, "; hit; ttl={}", ttl.0),
        Story::Hit { ttl, why_stale: Some(why) } => {
            write!(text, "; hit; ttl={}; detail={why}", ttl.0)
        }
        Story::Collapsed { ttl } => write!(text, "; fwd=uri-miss; collapsed; ttl={}", ttl.0),
        Story::Stored { fwd, status, ttl } => {
            let (fwd, status) = (fwd.as_str(), status.as_u16());
            write!(text, "; fwd={fwd}; fwd-status={status}; stored; ttl={}", ttl.0)
        }
        Story::NotStored { fwd, status, reason } => {
            let (fwd, status) = (fwd.as_str(), status.as_u16());
            write!(text, "; fwd={fwd}; fwd-status={status}; detail={reason}")
        }
        Story::Bypassed { fwd, reason } => write!(text, "; fwd={}; detail={reason}", fwd.as_str()),
        Story::OnlyIfCached => write!(text, "; detail=only-if-cached"),
    };
    if let Some(key) = key {
        let _ = write!(text, "; key=\"{key}\"");
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
        // The name was checked when the cache was built; nothing else comes from outside.
        .unwrap_or_else(|_| HeaderValue::from_static("cache"))
}

/// Writes the downstream `Cache-Control` where the response has none.
///
/// Only what is or will be in the store may be called reusable, and nothing that sets a cookie, or
/// whose life the handler states itself by `Expires`; `no-store` may be said of anything. What guards
/// have let through is its client's alone: no other cache asks them, nor do they say `Vary`.
pub(crate) fn downstream(rules: &Rules, story: Story, is_guarded: bool, headers: &mut HeaderMap) {
    if rules.leaves_downstream() {
        return;
    }
    if headers.contains_key(CACHE_CONTROL) {
        return;
    }
    let ttl = match story {
        Story::Hit { ttl, .. } | Story::Collapsed { ttl } | Story::Stored { ttl, .. } => Some(ttl),
        Story::NotStored { .. } | Story::Bypassed { .. } | Story::OnlyIfCached => None,
    };
    let ttl = ttl.filter(|_| !headers.contains_key(SET_COOKIE) && !headers.contains_key(EXPIRES));
    let value = match (&rules.downstream, ttl) {
        (DownstreamValue::NoStore, _) => HeaderValue::from_static("no-store"),
        (DownstreamValue::Fixed(value), Some(_)) => value.clone(),
        (DownstreamValue::MaxAgeRemaining, Some(ttl)) => {
            let whose = if is_guarded { "private, " } else { "" };
            HeaderValue::from_str(&format!("{whose}max-age={}", ttl.0.max(0)))
                .unwrap_or_else(|_| HeaderValue::from_static("max-age=0"))
        }
        _ => return,
    };
    headers.insert(CACHE_CONTROL, value);
}
