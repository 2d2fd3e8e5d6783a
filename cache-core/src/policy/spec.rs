//! The declarative part of a policy: one optional field per setting.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::setting::{
    Authorization, CacheStatusRule, ClientDirectives, Coalesce, Cookies, Downstream, EtagRule,
    Mode, Namespace, OnInvalidationError, QueryRule, SetCookie, StatusHeader, Statuses, Ttl,
    UnknownPlaceholder, UnsafeInvalidates, VaryValues,
};
use super::span::Span;

/// Declares the settings once: the struct, how one laid over another wins field by field, and
/// their serde form, whose errors name the field.
macro_rules! settings {
    ($($name:ident: $type:ty),* $(,)?) => {
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Spec {
            $(pub(crate) $name: Option<$type>,)*
        }

        impl Spec {
            pub(crate) const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// These settings laid over `base`.
            pub(crate) fn over(&self, base: &Self) -> Self {
                Self { $($name: self.$name.clone().or_else(|| base.$name.clone()),)* }
            }
        }

        impl Serialize for Spec {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $(if let Some(value) = &self.$name {
                    map.serialize_entry(stringify!($name), value)?;
                })*
                map.end()
            }
        }

        impl<'de> Deserialize<'de> for Spec {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct SpecVisitor;

                impl<'de> Visitor<'de> for SpecVisitor {
                    type Value = Spec;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("a map of policy settings")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spec, A::Error> {
                        let mut spec = Spec::default();
                        while let Some(name) = map.next_key::<String>()? {
                            match name.as_str() {
                                $(stringify!($name) => {
                                    if spec.$name.is_some() {
                                        return Err(de::Error::duplicate_field(stringify!($name)));
                                    }
                                    spec.$name = Some(named(&name, map.next_value())?);
                                })*
                                _ => return Err(de::Error::unknown_field(&name, Spec::NAMES)),
                            }
                        }
                        Ok(spec)
                    }
                }

                deserializer.deserialize_map(SpecVisitor)
            }
        }
    };
}

settings! {
    mode: Mode,
    ttl: Ttl,
    ttl_by_status: BTreeMap<StatusText, Span>,
    time_zone: String,
    methods: Vec<String>,
    key_body_limit: usize,
    statuses: Statuses,
    query: QueryRule,
    vary: Vec<String>,
    vary_values: VaryValues,
    authorization: Authorization,
    cookies: Cookies,
    set_cookie: SetCookie,
    host_in_key: bool,
    key: Nullable<String>,
    tags: Vec<String>,
    unknown_placeholder: UnknownPlaceholder,
    namespace: Nullable<Namespace>,
    stale_while_revalidate: Span,
    stale_if_error: Span,
    keep: Span,
    coalesce: Coalesce,
    max_body: usize,
    max_fill: Span,
    client_directives: ClientDirectives,
    targeted_fields: Vec<String>,
    cache_groups: bool,
    unsafe_invalidates: UnsafeInvalidates,
    on_invalidation_error: OnInvalidationError,
    etag: EtagRule,
    downstream: Downstream,
    age: bool,
    status_header: Nullable<StatusHeader>,
    cache_status: CacheStatusRule,
}

fn named<T, E: de::Error>(name: &str, value: Result<T, E>) -> Result<T, E> {
    value.map_err(|error| E::custom(format_args!("policy field `{name}`: {error}")))
}

/// A setting that `null` switches off, which is another thing than leaving it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

/// A status code as a map key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StatusText(pub(crate) u16);

impl Serialize for StatusText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StatusText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(code @ 200..=999) => Ok(Self(code)),
            _ => Err(de::Error::custom(format_args!("{text:?} is not a final status code"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::policy::{Policy, Rules};

    /// A row of the table in the documentation: its columns, as the code spans in each.
    fn rows() -> impl Iterator<Item = Vec<Vec<&'static str>>> {
        let spans = |cell: &'static str| cell.split('`').skip(1).step_by(2).collect();
        include_str!("settings.md")
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(move |line| line.split('|').skip(1).map(spans).collect())
    }

    fn policy(name: &str, value: &str, mode: &str) -> Policy {
        let mut settings = BTreeMap::from([("mode", json!(mode))]);
        settings.insert(name, serde_json::from_str::<Value>(value).expect(value));
        serde_json::from_value(json!(settings)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn resolved(policy: &Policy) -> String {
        let rules = Rules::resolve(&Policy::new(), policy).unwrap();
        // A number of its own for each policy.
        format!("{:?}", Rules { memorable_keys: None, ..rules })
    }

    #[test]
    fn the_documented_settings_are_all_that_there_are_in_their_order() {
        let documented: Vec<&str> = rows().map(|row| row[0][0]).collect();
        assert_eq!(documented, Spec::NAMES);
    }

    #[test]
    fn each_documented_value_is_read_and_written_back() {
        for row in rows() {
            let name = row[0][0];
            assert!(!row[1].is_empty(), "{name}");
            for value in &row[1] {
                let value = serde_json::from_str::<Value>(value).expect(value);
                let read: Spec = serde_json::from_value(json!({ name: value })).unwrap();
                let written = serde_json::to_value(&read).unwrap();
                assert_eq!(read, serde_json::from_value(written).unwrap(), "{name}");
                let _ = policy(name, &value.to_string(), "http");
            }
        }
    }

    #[test]
    fn documented_defaults_are_what_is_in_force() {
        for (column, mode) in [(2, "ttl"), (3, "http")] {
            let default = resolved(&policy("mode", &json!(mode).to_string(), mode));
            for row in rows() {
                for value in &row[column] {
                    let said = resolved(&policy(row[0][0], value, mode));
                    assert_eq!(said, default, "{} {value}", row[0][0]);
                }
            }
        }
    }
}
