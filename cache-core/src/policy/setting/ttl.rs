//! `ttl`: a duration, or the end of a day or week.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::span::Span;

/// How long a response lives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ttl {
    /// A fixed time. Zero: not stored.
    For(Duration),
    /// Until the next midnight in a time zone.
    EndOfDay {
        /// An IANA name; the policy's `time_zone` where absent.
        zone: Option<String>,
    },
    /// Until midnight at the end of the week in a time zone.
    EndOfWeek {
        /// An IANA name; the policy's `time_zone` where absent.
        zone: Option<String>,
        /// The first day of a week.
        first_day: Weekday,
    },
}

/// A day of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
#[expect(clippy::exhaustive_enums, reason = "a week is complete")]
pub enum Weekday {
    #[default]
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
struct WeekForm {
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    first_day: Weekday,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum CalendarForm {
    EndOfDay(Option<String>),
    EndOfWeek(WeekForm),
}

impl Serialize for Ttl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::For(duration) => Span(*duration).serialize(serializer),
            Self::EndOfDay { zone } => CalendarForm::EndOfDay(zone.clone()).serialize(serializer),
            Self::EndOfWeek { zone, first_day } => {
                CalendarForm::EndOfWeek(WeekForm { zone: zone.clone(), first_day: *first_day })
                    .serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TtlVisitor;

        impl<'de> Visitor<'de> for TtlVisitor {
            type Value = Ttl;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a duration such as \"60s\", {\"end_of_day\":…} or {\"end_of_week\":…}",
                )
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<Ttl, E> {
                v.parse::<Span>().map(|span| Ttl::For(span.0)).map_err(E::custom)
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Ttl, A::Error> {
                let form = CalendarForm::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(match form {
                    CalendarForm::EndOfDay(zone) => Ttl::EndOfDay { zone },
                    CalendarForm::EndOfWeek(WeekForm { zone, first_day }) => {
                        Ttl::EndOfWeek { zone, first_day }
                    }
                })
            }
        }

        deserializer.deserialize_any(TtlVisitor)
    }
}
