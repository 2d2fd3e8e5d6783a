//! What the suite asks, and which of it still stands.

use std::collections::BTreeSet;

use serde::Deserialize;

/// How much a test asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// What every cache must do.
    Required,
    /// What a good cache does.
    Optimal,
    /// A question without a right answer.
    Check,
}

/// One test.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Test {
    pub(crate) id: String,
    pub(crate) group: String,
    pub(crate) group_name: String,
    pub(crate) kind: Kind,
    pub(crate) depends_on: Vec<String>,
    browser_only: bool,
}

/// The suite's tests in its order, without those for browsers.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    pub(crate) tests: Vec<Test>,
    superseded: BTreeSet<String>,
}

impl Catalogue {
    /// The catalogue from what `catalogue.mjs` printed, and the list of what no longer stands.
    pub(crate) fn read(printed: &str, superseded: &str) -> Result<Self, String> {
        let mut tests: Vec<Test> =
            serde_json::from_str(printed).map_err(|error| format!("the catalogue: {error}"))?;
        tests.retain(|test| !test.browser_only);
        let lines = superseded.lines().map(str::trim);
        let superseded: BTreeSet<String> = lines
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        for name in &superseded {
            let known = tests.iter().any(|test| names(name, test));
            if !known {
                return Err(format!("the suite has no {name:?}, which is listed as superseded"));
            }
        }
        Ok(Self { tests, superseded })
    }

    /// Whether the demand has not been withdrawn.
    pub(crate) fn stands(&self, test: &Test) -> bool {
        !self.superseded.iter().any(|name| names(name, test))
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Test> {
        self.tests.iter().find(|test| test.id == id)
    }
}

/// A line of the list: a test, or `category:` and a group.
fn names(line: &str, test: &Test) -> bool {
    match line.strip_prefix("category:") {
        Some(group) => group.trim() == test.group,
        None => line == test.id,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Four tests: two required, the second depending on the first; one optimal; one withdrawn.
    pub(crate) fn small() -> Catalogue {
        let test = |id: &str, group: &str, kind: &str, depends_on: &str| {
            format!(
                r#"{{"id":"{id}","group":"{group}","group_name":"Group {group}","kind":"{kind}",
                "depends_on":[{depends_on}],"browser_only":false}}"#
            )
        };
        let printed = format!(
            "[{},{},{},{}]",
            test("first", "g", "required", ""),
            test("second", "g", "required", "\"first\""),
            test("third", "h", "optimal", ""),
            test("old", "s", "required", ""),
        );
        Catalogue::read(&printed, "# gone\ncategory: s\n").unwrap()
    }

    #[test]
    fn groups_and_tests_are_superseded_by_name() {
        let catalogue = small();
        let standing: Vec<_> =
            catalogue.tests.iter().filter(|test| catalogue.stands(test)).map(|t| &*t.id).collect();
        assert_eq!(standing, ["first", "second", "third"]);
    }

    #[test]
    fn a_superseded_name_that_the_suite_lacks_is_refused() {
        assert!(Catalogue::read("[]", "gone").unwrap_err().contains("gone"));
    }
}
