//! Durations as text: `"60s"`, `"400ms"`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration that reads and writes itself as a number and a unit: `ms`, `s`, `m`, `h` or `d`; 0
/// may do without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper")]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let text = s;
        let problem = |what: &str| format!("{text:?} {what}, such as \"60s\" or \"400ms\"");
        if text.trim_start().starts_with('-') {
            return Err(format!("{text:?} is negative"));
        }
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().map_err(|_| problem("is not a duration"))?;
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            // Nothing needs no unit.
            "" if number == 0 => 0,
            _ => return Err(problem("needs a unit (ms, s, m, h or d)")),
        };
        let total = number.checked_mul(millis).ok_or_else(|| problem("is too long"))?;
        Ok(Self(Duration::from_millis(total)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1_000) {
            write!(f, "{}s", millis / 1_000)
        } else {
            write!(f, "{millis}ms")
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl serde::de::Visitor<'_> for Visitor {
            type Value = Span;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a duration such as \"60s\" or \"400ms\"")
            }

            fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Span, E> {
                v.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_errors() {
        assert_eq!("90s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("400ms".parse(), Ok(Span(Duration::from_millis(400))));
        assert_eq!("2h".parse::<Span>().unwrap().to_string(), "7200s");
        assert_eq!("0".parse::<Span>().unwrap().to_string(), "0s");
        for bad in ["", "60", "-5s", "1.5s", "s", "99999999999999999999s", "5 s", "5w"] {
            let error = bad.parse::<Span>().unwrap_err();
            assert!(error.contains(&format!("{bad:?}")), "{error}");
        }
    }
}
