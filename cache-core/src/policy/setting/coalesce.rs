//! `coalesce`: off, or on with bounds.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::policy::span::Span;

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
