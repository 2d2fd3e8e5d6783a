//! Whether a stored response is fresh, and how old it is (RFC 9111 §4.2).

use std::time::{Duration, SystemTime};

use crate::clock::unix_millis;
use crate::entry::{Life, Times};
use crate::field::cache_control::CacheControl;

/// A stored response's age at an instant, in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    age: u64,
    remaining: u64,
    staleness: u64,
}

impl Freshness {
    /// Its current age (§4.2.3).
    #[must_use]
    pub const fn age(&self) -> Duration {
        Duration::from_millis(self.age)
    }

    /// How much of its life is left.
    #[must_use]
    pub const fn remaining(&self) -> Duration {
        Duration::from_millis(self.remaining)
    }

    /// How long it has been stale; zero while it is fresh.
    #[must_use]
    pub const fn staleness(&self) -> Duration {
        Duration::from_millis(self.staleness)
    }

    /// Whether it is within its life.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.remaining > 0
    }

    /// The age in whole seconds, as `Age` has it.
    pub(crate) const fn age_in_seconds(&self) -> u64 {
        self.age / 1000
    }

    /// What is left in whole seconds, rounded so that it and the age add up to the life; negative
    /// once it is stale.
    pub(crate) fn seconds_left(&self) -> i64 {
        let signed = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
        if self.is_fresh() {
            signed(self.remaining.div_ceil(1000))
        } else {
            -signed(self.staleness / 1000)
        }
    }
}

/// The age of a response with this life at `now`. A clock that went back counts as standing still.
#[must_use]
pub fn freshness(life: &Life, now: SystemTime) -> Freshness {
    at(&Times::from(*life), unix_millis(now))
}

/// The age of a response with this life as it was received.
pub(crate) fn at_receipt(life: &Life) -> Freshness {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    aged(millis(life.initial_age), millis(life.fresh_for))
}

/// The age of what has these times, at `now` in milliseconds since 1970.
#[inline]
pub(crate) fn at(times: &Times, now: u64) -> Freshness {
    let resident = now.saturating_sub(times.stored_at);
    aged(times.initial_age.saturating_add(resident), times.fresh_for)
}

#[inline]
const fn aged(age: u64, fresh_for: u64) -> Freshness {
    Freshness {
        age,
        remaining: fresh_for.saturating_sub(age),
        staleness: age.saturating_sub(fresh_for),
    }
}

/// When a store may forget a response with this life, which is of use for `keep` after it.
#[must_use]
pub fn keep_until(life: &Life, keep: Duration) -> SystemTime {
    let stale = life.stale_while_revalidate.max(life.stale_if_error).max(keep);
    let keep = life.fresh_for.saturating_sub(life.initial_age).saturating_add(stale);
    // A life beyond what the platform's clock can express never ends.
    life.stored_at.checked_add(keep).unwrap_or_else(|| crate::clock::from_unix_millis(u64::MAX))
}

/// What a stored response may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Serve it.
    Serve,
    /// Serve it, and fetch a new one behind.
    ServeAndRefresh,
    /// Fetch a new one; serve this if that fails.
    OnlyOnError,
    /// The request's own directives ask for a newer one.
    NotForThisRequest,
    /// Nothing.
    None,
}

/// Decides by age and, where they are heeded, by the request's directives (§5.2.1).
#[inline]
pub(crate) fn usable(
    times: &Times,
    must_validate: bool,
    state: &Freshness,
    client: Option<&CacheControl>,
) -> Use {
    if let Some(client) = client {
        let too_old = client.max_age.is_some_and(|limit| state.age() > limit);
        let too_short = client.min_fresh.is_some_and(|wanted| state.remaining() < wanted);
        if client.no_cache || too_old || too_short {
            return Use::NotForThisRequest;
        }
        let bears = |limit| !must_validate && state.staleness() <= limit;
        if !state.is_fresh() && client.max_stale.is_some_and(bears) {
            return Use::Serve;
        }
    }
    if state.is_fresh() {
        Use::Serve
    } else if state.staleness < times.stale_while_revalidate {
        Use::ServeAndRefresh
    } else if state.staleness < times.stale_if_error {
        Use::OnlyOnError
    } else {
        Use::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn used(life: &Life, state: &Freshness, client: Option<&CacheControl>) -> Use {
        usable(&Times::from(*life), life.must_validate, state, client)
    }

    #[test]
    fn age_counts_from_the_age_at_receipt() {
        let start = SystemTime::UNIX_EPOCH + S(1000);
        let life = Life { initial_age: S(5), ..Life::new(start, S(10)) };
        let state = freshness(&life, start + S(3));
        assert_eq!((state.age(), state.remaining(), state.staleness()), (S(8), S(2), S(0)));
        assert!(!freshness(&life, start + S(5)).is_fresh());
        assert_eq!(freshness(&life, start - S(9)).age(), S(5));
    }

    #[test]
    fn windows_follow_each_other() {
        let start = SystemTime::UNIX_EPOCH + S(1000);
        let life = Life {
            stale_while_revalidate: S(10),
            stale_if_error: S(20),
            ..Life::new(start, S(10))
        };
        let at = |seconds| used(&life, &freshness(&life, start + S(seconds)), None);
        assert_eq!(at(9), Use::Serve);
        assert_eq!(at(10), Use::ServeAndRefresh);
        assert_eq!(at(20), Use::OnlyOnError);
        assert_eq!(at(30), Use::None);
        assert_eq!(keep_until(&life, Duration::ZERO), start + S(30));
        assert_eq!(keep_until(&life, S(50)), start + S(60));
    }

    #[test]
    fn client_directives_narrow_and_widen() {
        let start = SystemTime::UNIX_EPOCH + S(1000);
        let life = Life::new(start, S(10));
        let ask = |seconds, client: CacheControl| {
            used(&life, &freshness(&life, start + S(seconds)), Some(&client))
        };
        let directives = CacheControl::default;
        assert_eq!(ask(5, CacheControl { no_cache: true, ..directives() }), Use::NotForThisRequest);
        assert_eq!(
            ask(5, CacheControl { max_age: Some(S(4)), ..directives() }),
            Use::NotForThisRequest
        );
        assert_eq!(
            ask(5, CacheControl { min_fresh: Some(S(6)), ..directives() }),
            Use::NotForThisRequest
        );
        assert_eq!(ask(15, CacheControl { max_stale: Some(S(5)), ..directives() }), Use::Serve);
        assert_eq!(ask(16, CacheControl { max_stale: Some(S(5)), ..directives() }), Use::None);
        let strict = Life { must_validate: true, ..life };
        let any = CacheControl { max_stale: Some(Duration::MAX), ..directives() };
        assert_eq!(used(&strict, &freshness(&strict, start + S(15)), Some(&any)), Use::None);
    }

    #[test]
    fn an_endless_life_does_not_overflow() {
        let life = Life::new(SystemTime::UNIX_EPOCH + S(1), Duration::MAX);
        assert!(keep_until(&life, Duration::ZERO) > SystemTime::UNIX_EPOCH + S(1_000_000));
        assert!(freshness(&life, SystemTime::UNIX_EPOCH + S(9)).is_fresh());
    }
}
