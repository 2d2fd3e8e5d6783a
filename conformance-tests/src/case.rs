//! What a case is.

use std::fmt;

use futures_util::future::LocalBoxFuture;

use crate::cx::Cx;

/// One checked behaviour of a store.
#[derive(Debug)]
#[non_exhaustive]
pub struct Case {
    /// Its name; unique, and stable from release to release.
    pub id: &'static str,
    /// The group (and module of tests) it belongs to.
    pub group: &'static str,
    /// What a failure means.
    pub kind: Kind,
    /// What the store must promise for the case to apply.
    pub needs: Needs,
    /// The words of the contract that it checks.
    pub clause: &'static str,
    pub(crate) run: Body,
}

/// The body of a case, erased. It borrows its surroundings, hence no plain `async fn` pointer.
pub(crate) struct Body(pub(crate) fn(&Cx) -> LocalBoxFuture<'_, Result<(), Stop>>);

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The store breaks the contract.
    Required,
    /// The same; the case lets time pass.
    Timed,
    /// The store is right, but could be better. Reported, never failing.
    Optimal,
}

/// What the store must promise for a case to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Needs {
    /// Nothing beyond being a store.
    Nothing,
    /// That an acknowledged invalidation is in force at once, everywhere; a store whose
    /// `guarantee()` is weaker skips the case.
    Order,
}

/// Why a case ended early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Something else was expected than what the last step showed.
    Failed(String),
    /// The fixture cannot set the scene.
    Skipped(String),
}

impl Stop {
    /// A failure, in a phrase such as `"expected a miss"`.
    pub(crate) fn failed(expected: impl Into<String>) -> Self {
        Self::Failed(expected.into())
    }

    pub(crate) fn skipped(reason: impl Into<String>) -> Self {
        Self::Skipped(reason.into())
    }
}

/// Fails with `expected` unless `holds`.
pub(crate) fn expect(holds: bool, expected: impl FnOnce() -> String) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(Stop::Failed(expected())) }
}
