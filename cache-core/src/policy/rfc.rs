//! What a response says of its own storing and life: a shared cache by RFC 9111.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{self, HeaderMap};

use super::ResponseHead;
use super::rules::Rules;
use super::setting::Authorization;
use super::storable::{SetBy, SetLifetime, Times};
use crate::entry::Life;
use crate::field::cache_control::CacheControl;
use crate::field::{age, conditional, targeted};
use crate::reason::Reason;

/// The longest life that a response gets by heuristics: a tenth of the time since it was last
/// modified, but no more than this (RFC 9111 §4.2.2).
pub(crate) const MAX_HEURISTIC: Duration = Duration::from_secs(24 * 3600);

/// A `Date` is cut to whole seconds, and servers write the same one for a second: a response that
/// looks younger than this was made just now.
const GRAIN: Duration = Duration::from_secs(2);

/// Whether the response may be stored at all (§3), and the directives that say so.
pub(crate) fn permitted(
    rules: &Rules,
    is_authorized: bool,
    response: &ResponseHead<'_>,
) -> Result<Says, Reason> {
    let Says { directives: says, is_targeted } = Says::of(rules, response.headers());
    let understood = says.must_understand && is_understood(response.status());
    if says.must_understand && !understood {
        return Err(Reason::Status);
    }
    if says.no_store && !understood {
        return Err(Reason::NoStore);
    }
    if says.private_all {
        return Err(Reason::Private);
    }
    let by_rfc = rules.authorization == Authorization::Rfc;
    if by_rfc && is_authorized && !says.shares_authorized() {
        return Err(Reason::Authorization);
    }
    Ok(Says { directives: says, is_targeted })
}

/// The directives that speak to this cache.
#[derive(Clone, Debug)]
pub(crate) struct Says {
    pub(crate) directives: CacheControl,
    /// By a field of their own, which makes `Expires` another's (RFC 9213 §2.2).
    is_targeted: bool,
}

impl Says {
    fn of(rules: &Rules, headers: &HeaderMap) -> Self {
        match targeted::of(headers, &rules.targeted_fields) {
            Some(directives) => Self { directives, is_targeted: true },
            None => Self { directives: CacheControl::of(headers), is_targeted: false },
        }
    }
}

/// The statuses whose meaning for a cache is known here: those of RFC 9110 §15 (§5.2.2.3).
const fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=205 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505
    )
}

/// Statuses that may be given a life by heuristics (RFC 9110 §15.1).
const fn is_heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

/// How long the response may be reused, and how.
///
/// `keep` is how long a stale one would be kept: where there is no use for a stale one, a response
/// without a life is not stored.
pub(crate) fn life(
    rules: &Rules,
    response: &ResponseHead<'_>,
    says: &Says,
    set: Option<SetLifetime>,
    keep: Duration,
    times: Times,
) -> Result<Life, Reason> {
    let headers = response.headers();
    let Says { directives: says, is_targeted } = says;
    let explicit = explicit(headers, says, *is_targeted, times.answered);
    let initial_age = age_at_receipt(headers, times);
    let may_assume = is_heuristically_cacheable(response.status()) || says.public;
    // The handler's own wish goes before what the response says, a default behind it.
    let set = set.filter(|set| match set.by {
        SetBy::Handler => true,
        SetBy::Status => explicit.is_none(),
        SetBy::Default => explicit.is_none() && may_assume,
    });
    let fresh_for = match (set, explicit) {
        (Some(SetLifetime { ttl: Duration::ZERO, .. }), _) => return Err(Reason::ZeroTtl),
        (Some(SetLifetime { ttl, .. }), _) => Some(ttl.saturating_add(initial_age)),
        (None, Some(explicit)) => Some(explicit),
        (None, None) if may_assume => heuristic(headers, times.answered),
        // Not to be stored, not even to be validated (§3).
        (None, None) if says.no_cache_all => return Err(Reason::NoCache),
        (None, None) => return Err(Reason::NoLifetime),
    };
    let forbids_stale = says.forbids_stale();
    // The policy's windows begin where a life ends, and are none of their own.
    let window = |said: Option<Duration>, set| match said {
        _ if forbids_stale => Duration::ZERO,
        Some(said) => said,
        None => fresh_for.map_or(Duration::ZERO, |_| set),
    };
    let life = Life {
        initial_age,
        stale_while_revalidate: window(says.stale_while_revalidate, rules.stale_while_revalidate),
        stale_if_error: window(says.stale_if_error, rules.stale_if_error),
        must_validate: forbids_stale,
        // Validated each time.
        ..Life::new(times.answered, fresh_for.filter(|_| !says.no_cache_all).unwrap_or_default())
    };
    let left = life.fresh_for.saturating_sub(initial_age);
    let stale = life.stale_while_revalidate.max(life.stale_if_error).max(keep);
    if left < Duration::from_millis(1) && stale.is_zero() {
        return Err(match () {
            () if says.no_cache_all => Reason::NoCache,
            () if explicit.is_none() && set.is_none() => Reason::NoLifetime,
            () => Reason::ZeroTtl,
        });
    }
    Ok(life)
}

/// `s-maxage`, `max-age`, `Expires` (§4.2.1). An `Expires` that is no date has passed (§5.3).
fn explicit(
    headers: &HeaderMap,
    says: &CacheControl,
    is_targeted: bool,
    now: SystemTime,
) -> Option<Duration> {
    let expires = || {
        headers.contains_key(header::EXPIRES).then(|| {
            let date = conditional::date(headers, &header::DATE).unwrap_or(now);
            let expires = conditional::date(headers, &header::EXPIRES);
            expires.and_then(|at| at.duration_since(date).ok()).unwrap_or_default()
        })
    };
    says.s_maxage.or(says.max_age).or_else(|| if is_targeted { None } else { expires() })
}

/// A tenth of the time since the last change (§4.2.2).
fn heuristic(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let modified = conditional::date(headers, &header::LAST_MODIFIED)?;
    let date = conditional::date(headers, &header::DATE).unwrap_or(now);
    Some((date.duration_since(modified).ok()? / 10).min(MAX_HEURISTIC))
}

/// The corrected initial age (§4.2.3): what the response states and the time it was on its way, or
/// how old it looks by its `Date`, whichever is more.
fn age_at_receipt(headers: &HeaderMap, times: Times) -> Duration {
    let delay = times.asked.and_then(|asked| times.answered.duration_since(asked).ok());
    let corrected = age::stated(headers).saturating_add(delay.unwrap_or_default());
    let date = conditional::date(headers, &header::DATE);
    let apparent = date.and_then(|date| times.answered.duration_since(date).ok());
    let apparent = Duration::from_secs(apparent.unwrap_or_default().as_secs());
    corrected.max(if apparent < GRAIN { Duration::ZERO } else { apparent })
}
