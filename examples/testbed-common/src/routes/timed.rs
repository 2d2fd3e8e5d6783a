//! Routes where time matters.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use cache_core::clock::{Clock as _, SystemClock};
use http::{Response, StatusCode};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::query::value;
use crate::answer::{self, Object};
use crate::bed::{Bed, Input};
use crate::policies;

impl Bed {
    /// GET `/slow/{ms}` and `/nocoalesce/{ms}`.
    pub async fn slow(
        &self,
        route: &'static str,
        ms: &str,
        query: Option<&str>,
    ) -> Response<Bytes> {
        let Ok(delay) = ms.parse() else {
            return answer::error(StatusCode::BAD_REQUEST, "no number of milliseconds");
        };
        let run = self.run(route, &Input::path(ms).query(query));
        tokio::time::sleep(Duration::from_millis(delay)).await;
        Object::of(route, run).field("id", &value(query, "id")).ok()
    }

    /// GET `/ttl/{spec}`, with a policy made for it.
    #[must_use]
    pub fn ttl(&self, spec: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run("/ttl/{spec}", &Input::path(spec).query(query));
        let object = Object::of("/ttl/{spec}", run);
        match seconds(spec, SystemClock.now()) {
            None => object.field("ttl", &None::<u64>).ok(),
            Some(life) if life.subsec_nanos() == 0 => object.field("ttl", &life.as_secs()).ok(),
            Some(life) => object.field("ttl", &life.as_secs_f64()).ok(),
        }
    }

    /// GET `/swr/{id}` and `/sie/{id}`.
    #[must_use]
    pub fn origin(&self, route: &'static str, id: &str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run(route, &Input::path(id).query(query));
        let fails = self.origin_fails();
        let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
        Object::of(route, run).status(status)
    }
}

/// The life that a specification of `/ttl/{spec}` stands for; calendar ends to the next second.
fn seconds(spec: &str, now: SystemTime) -> Option<Duration> {
    let calendar = |zone: &str, days: &dyn Fn(&Zoned) -> i64| {
        let now = Timestamp::try_from(now).ok()?.to_zoned(TimeZone::get(zone).ok()?);
        let end = now.start_of_day().ok()?.checked_add(days(&now).days()).ok()?;
        let end = end.start_of_day().ok()?;
        let left =
            end.timestamp().as_millisecond().checked_sub(now.timestamp().as_millisecond())?;
        u64::try_from(left).ok().map(|left| Duration::from_secs(left.div_ceil(1000)))
    };
    match spec.split_once(':') {
        Some(("day", zone)) => calendar(zone, &|_| 1),
        Some(("week", zone)) => {
            calendar(zone, &|now| 8 - i64::from(now.weekday().to_monday_one_offset()))
        }
        Some(("fn", seconds)) => seconds.parse().ok().map(Duration::from_secs),
        _ => policies::fixed(spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_told() {
        // A Monday.
        let now = SystemTime::from("2024-01-15T22:59:58.500Z".parse::<Timestamp>().unwrap());
        let told = |spec| seconds(spec, now).map(|life| life.as_secs());
        assert_eq!(told("0"), Some(0));
        assert_eq!(seconds("400ms", now), Some(Duration::from_millis(400)));
        assert_eq!(told("fn:7"), Some(7));
        assert_eq!(told("fn:fail"), None);
        assert_eq!(told("day:Europe/Paris"), Some(2));
        assert_eq!(told("day:UTC"), Some(3602));
        assert_eq!(told("week:UTC"), Some(6 * 86_400 + 3602));
    }
}
