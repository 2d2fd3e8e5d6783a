//! How long a response lives: fixed times and calendar ends.

use std::time::{Duration, SystemTime};

use jiff::civil::Weekday as JiffDay;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

use super::error::PolicyError;
use super::setting::{Ttl, Weekday};

/// A [`Ttl`] with its time zone looked up.
#[derive(Clone, Debug)]
pub(crate) enum Lifetime {
    For(Duration),
    EndOfDay(TimeZone),
    EndOfWeek(TimeZone, JiffDay),
}

impl Lifetime {
    /// Looks the zone up in the compiled-in database; `fallback` fills a missing one.
    pub(crate) fn resolve(ttl: &Ttl, fallback: Option<&str>) -> Result<Self, PolicyError> {
        Ok(match ttl {
            Ttl::For(duration) => Self::For(*duration),
            Ttl::EndOfDay { zone } => Self::EndOfDay(find(zone.as_deref().or(fallback))?),
            Ttl::EndOfWeek { zone, first_day } => {
                Self::EndOfWeek(find(zone.as_deref().or(fallback))?, day(*first_day))
            }
        })
    }

    /// The life of a response received at `now`: never zero for a calendar end.
    pub(crate) fn from(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::For(duration) => Some(*duration),
            Self::EndOfDay(zone) => until_midnight(now, zone, |_| 1),
            Self::EndOfWeek(zone, first) => {
                until_midnight(now, zone, |today| 7 - i64::from(today.weekday().since(*first)))
            }
        }
    }
}

/// The time until the start of the day that is so many days after today.
fn until_midnight(
    now: SystemTime,
    zone: &TimeZone,
    days: impl Fn(&Zoned) -> i64,
) -> Option<Duration> {
    let today = Timestamp::try_from(now).ok()?.to_zoned(zone.clone());
    // Midnight may not exist on a day of change; the start of that day does.
    let end = today.date().checked_add(days(&today).days()).ok()?.to_zoned(zone.clone()).ok()?;
    let end = end.start_of_day().ok()?;
    SystemTime::from(end.timestamp()).duration_since(now).ok().filter(|life| !life.is_zero())
}

fn find(zone: Option<&str>) -> Result<TimeZone, PolicyError> {
    let Some(name) = zone else {
        return Err(PolicyError::new(
            "ttl",
            "end of day or week",
            "needs a time zone here or in `time_zone`",
        ));
    };
    TimeZone::get(name)
        .map_err(|_| PolicyError::new("time_zone", name, "is not a time zone such as Europe/Paris"))
}

const fn day(day: Weekday) -> JiffDay {
    match day {
        Weekday::Monday => JiffDay::Monday,
        Weekday::Tuesday => JiffDay::Tuesday,
        Weekday::Wednesday => JiffDay::Wednesday,
        Weekday::Thursday => JiffDay::Thursday,
        Weekday::Friday => JiffDay::Friday,
        Weekday::Saturday => JiffDay::Saturday,
        Weekday::Sunday => JiffDay::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(ttl: &Ttl, at: &str) -> u64 {
        let now = SystemTime::from(at.parse::<Timestamp>().unwrap());
        Lifetime::resolve(ttl, Some("Europe/Paris")).unwrap().from(now).unwrap().as_secs()
    }

    #[test]
    fn days_end_at_local_midnight_across_clock_changes() {
        let day = Ttl::EndOfDay { zone: None };
        assert_eq!(life(&day, "2024-01-15T22:59:59Z"), 1);
        assert_eq!(life(&day, "2024-01-15T23:00:00Z"), 86_400);
        // The day of the spring change has 23 hours, that of the autumn change 25.
        assert_eq!(life(&day, "2024-03-30T23:00:00Z"), 23 * 3600);
        assert_eq!(life(&day, "2024-10-26T22:00:00Z"), 25 * 3600);
    }

    #[test]
    fn weeks_end_before_their_first_day() {
        let week = |first_day| Ttl::EndOfWeek { zone: Some("UTC".into()), first_day };
        // 2024-01-15 is a Monday.
        assert_eq!(life(&week(Weekday::Monday), "2024-01-15T00:00:00Z"), 7 * 86_400);
        assert_eq!(life(&week(Weekday::Monday), "2024-01-21T23:59:59Z"), 1);
        assert_eq!(life(&week(Weekday::Sunday), "2024-01-20T23:00:00Z"), 3600);
    }

    #[test]
    fn a_missing_or_unknown_zone_is_named() {
        let day = Ttl::EndOfDay { zone: None };
        assert!(Lifetime::resolve(&day, None).unwrap_err().to_string().contains("time_zone"));
        let mars = Lifetime::resolve(&day, Some("Mars/Base")).unwrap_err().to_string();
        assert!(mars.contains("Mars/Base"), "{mars}");
    }
}
