//! The values that settings take, with their configuration-file spellings.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::span::Span;

/// Whose word decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Mode {
    /// The application's: response lifetimes and, by default, client directives are ignored.
    Ttl,
    /// The response's: a shared cache by RFC 9111, without a default lifetime.
    Http,
}

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

/// Which statuses may be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statuses {
    /// Any 2xx but 206: `"2xx"`.
    #[default]
    Successful,
    /// These.
    These(Vec<StatusCode>),
    /// Any final status but 206 and 304, as RFC 9111 §3 has it: `"rfc"`. Under [`Mode::Http`] only.
    Rfc,
}

impl Statuses {
    /// Whether a status is admitted. 206 and interim responses never are.
    #[must_use]
    pub fn admit(&self, status: StatusCode) -> bool {
        let listed = match self {
            Self::Successful => status.is_success(),
            Self::These(statuses) => statuses.contains(&status),
            Self::Rfc => status != StatusCode::NOT_MODIFIED,
        };
        listed && status != StatusCode::PARTIAL_CONTENT && !status.is_informational()
    }
}

impl Serialize for Statuses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Successful => serializer.serialize_str("2xx"),
            Self::Rfc => serializer.serialize_str("rfc"),
            Self::These(list) => serializer.collect_seq(list.iter().map(|status| status.as_u16())),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StatusesVisitor;

        impl<'de> Visitor<'de> for StatusesVisitor {
            type Value = Statuses;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("\"2xx\", \"rfc\" or a list of status codes")
            }

            fn visit_str<E: de::Error>(self, v: &str) -> Result<Statuses, E> {
                match v {
                    "2xx" => Ok(Statuses::Successful),
                    "rfc" => Ok(Statuses::Rfc),
                    _ => Err(E::invalid_value(de::Unexpected::Str(v), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Statuses, A::Error> {
                let mut list = Vec::new();
                while let Some(code) = seq.next_element::<u16>()? {
                    let status = StatusCode::from_u16(code).map_err(|_| {
                        de::Error::invalid_value(de::Unexpected::Unsigned(code.into()), &self)
                    })?;
                    list.push(status);
                }
                Ok(Statuses::These(list))
            }
        }

        deserializer.deserialize_any(StatusesVisitor)
    }
}

/// What a request's `Authorization` means to the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Authorization {
    /// Such requests go to the handler and are not stored.
    #[default]
    Bypass,
    /// It is part of the key: each client has its own entries.
    Key,
    /// It does not matter: the answer is the same for everybody.
    Public,
    /// The response says so: it is stored if it is `public`, `must-revalidate` or has `s-maxage`
    /// (RFC 9111 §3.5). Under [`Mode::Http`] only, and the default there.
    Rfc,
}

/// What a request's cookies mean to the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cookies {
    /// Such requests go to the handler and are not stored.
    #[default]
    Bypass,
    /// They do not matter, and are removed from what the handler sees.
    Ignore,
    /// These are part of the key; the handler sees only them.
    Key(Vec<String>),
    /// They are ordinary request fields: a response that depends on them says `Vary: Cookie` or is
    /// `private`. Under [`Mode::Http`] only. A handler that says neither shares what it made for
    /// one client with all.
    Rfc,
}

/// What becomes of a response with `Set-Cookie`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SetCookie {
    /// It is not stored.
    #[default]
    Refuse,
    /// It is stored without the field; the first client keeps its own.
    Strip,
    /// It is stored and **replayed to every client**.
    DangerReplay,
}

/// A namespace, and how it stands to the application's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = r#"null or {"name":"users","combine":"concat"}"#)]
#[non_exhaustive]
pub struct Namespace {
    /// Its name; `:` separates levels.
    pub name: String,
    /// Below the application's, or in its place.
    #[serde(default)]
    pub combine: Combine,
}

impl Namespace {
    /// A namespace below the application's own.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), combine: Combine::Concat }
    }

    /// The same in place of the application's own.
    #[must_use]
    pub const fn replacing(mut self) -> Self {
        self.combine = Combine::Replace;
        self
    }
}

/// How a route's namespace stands to the application's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Combine {
    /// `app:route`.
    #[default]
    Concat,
    /// `route`.
    Replace,
}

/// Whether concurrent requests for one key share one run of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coalesce {
    /// Each runs the handler.
    Off,
    /// One runs it, the others wait.
    On {
        /// For so long; then they run it too.
        wait: Duration,
        /// So many; further ones run it at once.
        max_followers: usize,
    },
}

impl Default for Coalesce {
    fn default() -> Self {
        Self::On { wait: Duration::from_secs(5), max_followers: 1024 }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoalesceForm {
    #[serde(default = "default_wait")]
    wait: Span,
    #[serde(default = "default_followers")]
    max_followers: usize,
}

const fn default_wait() -> Span {
    Span(Duration::from_secs(5))
}

const fn default_followers() -> usize {
    1024
}

impl Serialize for Coalesce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Off => serializer.serialize_bool(false),
            Self::On { wait, max_followers } => {
                CoalesceForm { wait: Span(wait), max_followers }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Coalesce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CoalesceVisitor;

        impl<'de> Visitor<'de> for CoalesceVisitor {
            type Value = Coalesce;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false or {\"wait\":\"5s\",\"max_followers\":1024}")
            }

            fn visit_bool<E: de::Error>(self, v: bool) -> Result<Coalesce, E> {
                Ok(if v { Coalesce::default() } else { Coalesce::Off })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Coalesce, A::Error> {
                let form = CoalesceForm::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Coalesce::On { wait: form.wait.0, max_followers: form.max_followers })
            }
        }

        deserializer.deserialize_any(CoalesceVisitor)
    }
}

/// Whether a request's own `Cache-Control` and `Pragma` are heeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientDirectives {
    /// They are not.
    #[default]
    Ignore,
    /// They are (RFC 9111 §5.2.1).
    Honour,
}

/// What a successful request with an unsafe method invalidates (RFC 9111 §4.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UnsafeInvalidates {
    /// Nothing of its own accord.
    #[default]
    None,
    /// Its target, and what `Location` and `Content-Location` name on the same origin.
    Uri,
}

/// When two requests present the same values for a field that a response's `Vary` names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum VaryValues {
    /// When the lines are the same, byte for byte.
    #[default]
    Exact,
    /// When they mean the same: several lines or one, space around commas, and the order and case
    /// of languages make no difference (RFC 9111 §4.1).
    Normalised,
}

/// What a client hears when the invalidation after a write fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum OnInvalidationError {
    /// The handler's answer, with a reason in `Cache-Status`.
    #[default]
    #[serde(rename = "pass")]
    Pass,
    /// 503.
    #[serde(rename = "503")]
    Unavailable,
}

/// The entity tag given to a response that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EtagRule {
    /// The SHA-256 of the body.
    #[default]
    Strong,
    /// The same, marked weak.
    Weak,
    /// None.
    Off,
}

/// The `Cache-Control` sent to clients where the handler set none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Downstream {
    /// None.
    #[default]
    Leave,
    /// `max-age` with the remaining life.
    MaxAgeRemaining,
    /// This text.
    Fixed(String),
    /// `no-store`.
    NoStore,
}

/// The field that says `HIT` or `MISS`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = r#"null or {"name":"X-Cache","hit":"HIT","miss":"MISS"}"#
)]
#[non_exhaustive]
pub struct StatusHeader {
    /// Its name.
    pub name: String,
    /// Its value on an answer from the store.
    pub hit: String,
    /// Its value on an answer that was stored.
    pub miss: String,
}

impl StatusHeader {
    /// A field of this name with these two values.
    #[must_use]
    pub fn new(name: impl Into<String>, hit: impl Into<String>, miss: impl Into<String>) -> Self {
        Self { name: name.into(), hit: hit.into(), miss: miss.into() }
    }
}

impl Default for StatusHeader {
    fn default() -> Self {
        Self::new("X-Cache", "HIT", "MISS")
    }
}

/// How much `Cache-Status` says (RFC 9211).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CacheStatusRule {
    /// The field is not sent.
    Off,
    /// What happened, and the reason where nothing was reused or stored.
    #[default]
    Plain,
    /// The same with the key's digest.
    Detail,
}
