//! Routes that read the query.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::answer::{self, Object};
use crate::bed::{Bed, Input};

/// The query of `/q`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Search {
    /// Required.
    pub a: String,
    /// `db` where it is left out.
    #[serde(default = "default_b")]
    pub b: String,
    /// 5 where it is left out.
    #[serde(default = "default_n")]
    pub n: i64,
    /// Any number of them, in order.
    #[serde(default)]
    pub tag: Vec<String>,
}

fn default_b() -> String {
    "db".to_owned()
}

const fn default_n() -> i64 {
    5
}

/// The query is none of the declared type.
#[derive(Debug, thiserror::Error)]
#[error("the query is not what the route declares: {0}")]
pub struct BadQuery(#[from] serde_html_form::de::Error);

impl Search {
    /// Reads a query.
    ///
    /// # Errors
    ///
    /// No `a`, or an `n` that is no integer.
    pub fn parse(query: Option<&str>) -> Result<Self, BadQuery> {
        Ok(serde_html_form::from_str(query.unwrap_or_default())?)
    }

    /// The key of a search: each in one spelling, with what it left out.
    #[must_use]
    pub fn key(&self) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix("/q?".to_owned(), 3);
        query.append_pair("a", &self.a).append_pair("b", &self.b);
        query.append_pair("n", &self.n.to_string());
        query.extend_pairs(self.tag.iter().map(|tag| ("tag", tag)));
        query.finish()
    }
}

/// The first value of a name in a query.
#[must_use]
pub fn value(query: Option<&str>, name: &str) -> Option<String> {
    list(query, name).into_iter().next()
}

/// All values of a name in a query.
#[must_use]
pub fn list(query: Option<&str>, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

impl Bed {
    /// GET `/q`.
    #[must_use]
    pub fn q(&self, query: Option<&str>) -> Response<Bytes> {
        let search = match Search::parse(query) {
            Ok(search) => search,
            Err(error) => return answer::error(StatusCode::BAD_REQUEST, error),
        };
        let run = self.run("/q", &Input::path(search.key()));
        Object::of("/q", run)
            .field("a", &search.a)
            .field("b", &search.b)
            .field("n", &search.n)
            .field("tag", &search.tag)
            .ok()
    }

    /// GET `/rawq` and its like.
    #[must_use]
    pub fn rawq(&self, route: &'static str, query: Option<&str>) -> Response<Bytes> {
        let run = self.run(route, &Input::default().query(query));
        Object::of(route, run).field("raw", &query).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_has_one_spelling() {
        let key = |query| Search::parse(Some(query)).map(|search| search.key()).ok();
        assert_eq!(key("a=1").unwrap(), "/q?a=1&b=db&n=5");
        assert_eq!(key("x=9&n=5&a=%31"), key("a=1&b=db"));
        assert_eq!(key("a=1&tag=y&tag=x").unwrap(), "/q?a=1&b=db&n=5&tag=y&tag=x");
        assert_eq!(key("b=1"), None);
        assert_eq!(key("a=1&n=five"), None);
    }
}
