//! Deliberate faults, for the tests of the tests. Nothing here is compiled into a build without
//! the feature `mutants`, and with it nothing changes until a cache is built with a mutant.

/// A fault of the flights that the engine's tests must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mutant {
    /// Followers are given the response before the store's verdict.
    NoVerdict,
    /// The flight stays open to new followers until the put has returned.
    ClosedAfterPut,
    /// Followers are given the response whatever their nominated fields say.
    AnyVariant,
}
