//! What a suite is given for each case: a fresh store and what belongs to it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use cache_core::clock::{Clock, SystemClock};
use cache_core::key::Key;
use cache_core::store::Store;

/// A fresh, empty store and the means to play with it. One is made for every case and dropped
/// after it, so a server or a temporary folder can live in it as a guard.
///
/// Only [`store`](Self::store) is required. Nobody has to implement this trait: a store, an `Arc`
/// of one, and a (guard, store) pair are fixtures by [`IntoFixture`].
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// A handle of the store.
    fn store(&self) -> Arc<dyn Store>;

    /// Another handle of the same store, as a second process would hold it. By default the same
    /// `Arc`, which is right for a store that lives in one process.
    async fn second(&self) -> Arc<dyn Store> {
        self.store()
    }

    /// The wall clock that the store goes by.
    fn now(&self) -> SystemTime {
        SystemClock.now()
    }

    /// Lets time pass for the store. By default really, by sleeping.
    async fn advance(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    /// How much the store holds without forgetting; no case expects to find more.
    fn promise(&self) -> Promise {
        Promise::default()
    }

    /// Does harm to the store from outside. Says whether it did; a case that cannot have its
    /// fault is skipped.
    async fn inflict(&self, fault: Fault) -> bool {
        let _ = fault;
        false
    }
}

/// How much a store holds without forgetting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Promise {
    /// So many entries of at most 1 KiB beside each other.
    pub entries: usize,
    /// A body of so many bytes, alone.
    pub body: usize,
}

impl Default for Promise {
    /// 1 000 small entries; a body of 1 MiB.
    fn default() -> Self {
        Self { entries: 1_000, body: 1 << 20 }
    }
}

impl Promise {
    /// Promises room for this many small entries.
    #[must_use]
    pub const fn with_entries(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// Promises room for a body of this many bytes.
    #[must_use]
    pub const fn with_body(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }
}

/// Harm done to a store from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// What is stored under this key becomes unreadable.
    DamageEntry(Key),
    /// The clock and the marks are lost, the entries are not.
    LoseMetadata,
    /// A part of the store, the keys given among it, can no longer be reached.
    Cut(Key),
    /// What was cut can be reached again.
    Mend,
}

/// What the `fresh` of a suite may return. `Form` is inferred and says which kind it is.
pub trait IntoFixture<Form> {
    /// The fixture.
    fn into_fixture(self) -> Box<dyn Fixture>;
}

/// Tells the implementations of [`IntoFixture`] apart; never named by users.
pub mod form {
    /// A store.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Bare;
    /// An `Arc` of a store.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Shared;
    /// An `Arc` of some store or other.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Erased;
    /// A guard, and a store that lives no longer than it.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Guarded;
    /// A [`Fixture`](super::Fixture) of the user's own.
    #[derive(Debug)]
    #[non_exhaustive]
    pub struct Own;
}

impl<S: Store> IntoFixture<form::Bare> for S {
    fn into_fixture(self) -> Box<dyn Fixture> {
        Box::new(Plain { store: Arc::new(self), _guard: () })
    }
}

impl<S: Store> IntoFixture<form::Shared> for Arc<S> {
    fn into_fixture(self) -> Box<dyn Fixture> {
        Box::new(Plain { store: self, _guard: () })
    }
}

impl IntoFixture<form::Erased> for Arc<dyn Store> {
    fn into_fixture(self) -> Box<dyn Fixture> {
        Box::new(Plain { store: self, _guard: () })
    }
}

impl<G: Send + Sync + 'static, S: Store> IntoFixture<form::Guarded> for (G, S) {
    fn into_fixture(self) -> Box<dyn Fixture> {
        let (guard, store) = self;
        Box::new(Plain { store: Arc::new(store), _guard: guard })
    }
}

impl<F: Fixture> IntoFixture<form::Own> for F {
    fn into_fixture(self) -> Box<dyn Fixture> {
        Box::new(self)
    }
}

/// A store and nothing else. Fields drop in order: the store before its guard.
struct Plain<G> {
    store: Arc<dyn Store>,
    _guard: G,
}

impl<G: Send + Sync + 'static> Fixture for Plain<G> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }
}
