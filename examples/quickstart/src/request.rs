//! What requests may say.

use serde::Deserialize;

/// A city's id in a path.
///
/// The tag `city:{id}` is made of the path's text, so an id has one spelling: `/cities/007` does
/// not exist beside `/cities/7`, or a write to 7 would not reach its answer.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CityId(pub(crate) i64);

impl TryFrom<String> for CityId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.parse() {
            Ok(id) if i64::to_string(&id) == text => Ok(Self(id)),
            _ => Err("a city's id is a plain number"),
        }
    }
}

/// The query of a search.
#[derive(Deserialize)]
pub(crate) struct SearchQuery {
    pub(crate) country: Option<CountryCode>,
    #[serde(default)]
    pub(crate) min_population: u32,
    #[serde(default)]
    pub(crate) limit: Limit,
}

/// Two letters, in the case in which the database and the tags have them.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct CountryCode(pub(crate) String);

impl TryFrom<String> for CountryCode {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            Ok(Self(text.to_ascii_uppercase()))
        } else {
            Err("a country has two letters, such as FR")
        }
    }
}

/// How many cities a search lists at most.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct Limit(pub(crate) u32);

impl Default for Limit {
    fn default() -> Self {
        Self(20)
    }
}

impl TryFrom<u32> for Limit {
    type Error = &'static str;

    fn try_from(limit: u32) -> Result<Self, Self::Error> {
        if (1..=100).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err("a limit is between 1 and 100")
        }
    }
}

/// The query of a write.
#[derive(Deserialize)]
pub(crate) struct Update {
    pub(crate) population: u32,
}
