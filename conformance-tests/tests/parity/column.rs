//! The columns: two adapters, two stores.

use std::fmt;

use conformance_tests::http::{Needs, Scenario, ServerBinary};

use crate::redis;

pub(crate) const COLUMNS: [Column; 4] = [
    Column { framework: "axum", store: Store::Memory },
    Column { framework: "axum", store: Store::Redis },
    Column { framework: "actix", store: Store::Memory },
    Column { framework: "actix", store: Store::Redis },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Column {
    pub(crate) framework: &'static str,
    pub(crate) store: Store,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Store {
    Memory,
    Redis,
}

impl Column {
    /// The testbed over the store that the tests of this column share.
    pub(crate) fn binary(self) -> ServerBinary {
        match self.store {
            Store::Memory => self.testbed().arg("--store=memory"),
            // Patient, since the machine may be busy with other tests.
            Store::Redis => self.over(&redis::shared()).arg("--store-timeout=5s"),
        }
    }

    /// Whether a scenario can be had here: there are no two processes over one memory.
    pub(crate) fn has(self, scenario: &Scenario) -> bool {
        self.store == Store::Redis || scenario.needs != Needs::OneStore
    }

    /// The other framework's.
    pub(crate) fn across(self) -> Self {
        let framework = if self.framework == "axum" { "actix" } else { "axum" };
        Self { framework, ..self }
    }

    /// The testbed over another Redis.
    pub(crate) fn over(self, url: &str) -> ServerBinary {
        self.testbed().arg(format!("--store={url}")).shared_store()
    }

    fn testbed(self) -> ServerBinary {
        let program = std::env::current_exe().unwrap();
        ServerBinary::new(program).arg("serve").arg(self.framework)
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = match self.store {
            Store::Memory => "memory",
            Store::Redis => "redis",
        };
        write!(f, "{}_{store}", self.framework)
    }
}
