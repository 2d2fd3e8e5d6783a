//! `statuses`: a rule, or a list.

use std::fmt;

use http::StatusCode;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Which statuses may be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statuses {
    /// Any 2xx but 206: `"2xx"`.
    #[default]
    Successful,
    /// These.
    These(Vec<StatusCode>),
    /// Any final status but 206 and 304, as RFC 9111 §3 has it: `"rfc"`. Under [`Mode::Http`](super::Mode::Http) only.
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
