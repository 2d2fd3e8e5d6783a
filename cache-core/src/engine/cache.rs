//! The handle that applications hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::budget::Budget;
use super::cool::Cool;
use super::flight::Flights;
use super::recall::Recall;
use super::targets::TargetBudget;
use super::written::CacheId;
use crate::clock::{Clock, SystemClock};
use crate::function::Codec;
use crate::policy::{Policy, PolicyError, Rules};
use crate::reason::Reason;
use crate::stats::{Counters, Stats};
use crate::store::{Guarantee, Invalidated, Selection, Store, StoreError, StoreErrorKind};
use crate::tag::{Tag, TagError, Tags};

/// A cache: a store, the application's policy and the state that its routes share.
///
/// Its routes need a tokio runtime with its timer enabled, as every server has.
///
/// Cloning gives another handle of the same cache. Several independent caches may live in one
/// process; nothing is global.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) name: String,
    pub(crate) id: CacheId,
    pub(crate) store_timeout: Duration,
    pub(crate) codec: Codec,
    pub(crate) enabled: AtomicBool,
    pub(crate) flights: Arc<Flights>,
    pub(crate) cool: Cool,
    pub(crate) recall: Recall,
    pub(crate) targets: TargetBudget,
    pub(crate) counters: Counters,
    pub(crate) detached: Arc<Semaphore>,
    pub(crate) recording: Budget,
    #[cfg(feature = "mutants")]
    pub(crate) mutant: Option<super::mutant::Mutant>,
}

impl Cache {
    /// A cache over `store` with all defaults.
    #[must_use]
    pub fn new(store: impl Store) -> Self {
        let builder = Self::builder(store);
        let namespace = None;
        builder.finish(namespace)
    }

    /// A cache over `store`, to be configured.
    pub fn builder(store: impl Store) -> CacheBuilder {
        CacheBuilder {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            policy: Policy::new(),
            name: "response-cache".to_owned(),
            store_timeout: Duration::from_millis(250),
            codec: Codec::default(),
            max_detached: 1024,
            max_recording: 256 << 20,
            enabled: true,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// Invalidates every response that carries any of these tags, in every process that shares
    /// the store. Once this has returned, no request that starts later is answered with a
    /// response whose computation began before the call. Commit first, then invalidate.
    ///
    /// # Errors
    ///
    /// A name that is no tag, or the store's failure; then nothing is promised, and retrying is
    /// right. A store that takes longer than [`store_timeout`](CacheBuilder::store_timeout) (default
    /// 250 ms) has failed (`invalidate: timed-out`), and goes on detached: it may still come into
    /// force, and what the store would have said of its shards is not known.
    ///
    /// # Cancellation
    ///
    /// The work goes on; a dropped future only means that it was not acknowledged.
    pub async fn invalidate_tags<S: AsRef<str>>(
        &self,
        tags: impl IntoIterator<Item = S>,
    ) -> Result<Invalidated, InvalidateError> {
        self.invalidate(Selection::Tags(Tags::user(tags)?)).await
    }

    /// Invalidates the responses with these key names: the text of a custom key, or the path of a
    /// target with those query parameters that the route's `query` setting lets select, in any
    /// order, percent-encoded or not. All methods and variants are meant. Keys inside a namespace are reached
    /// through [`namespace`](Self::namespace).
    ///
    /// # Errors
    ///
    /// As for [`invalidate_tags`](Self::invalidate_tags).
    ///
    /// # Cancellation
    ///
    /// As for [`invalidate_tags`](Self::invalidate_tags).
    pub async fn invalidate_keys<S: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = S>,
    ) -> Result<Invalidated, InvalidateError> {
        let scopes = scopes(self.inner.namespace.as_deref(), None);
        self.invalidate(Selection::Tags(key_tags(&scopes, keys))).await
    }

    /// Invalidates everything in a namespace, and in those below it.
    ///
    /// # Errors
    ///
    /// As for [`invalidate_tags`](Self::invalidate_tags); a name with an empty level is none.
    ///
    /// # Cancellation
    ///
    /// As for [`invalidate_tags`](Self::invalidate_tags).
    pub async fn invalidate_namespace(&self, name: &str) -> Result<Invalidated, InvalidateError> {
        self.namespace(name).clear().await
    }

    /// Invalidates everything in the store (under its prefix).
    ///
    /// # Errors
    ///
    /// The store's failure, as for [`invalidate_tags`](Self::invalidate_tags).
    ///
    /// # Cancellation
    ///
    /// As for [`invalidate_tags`](Self::invalidate_tags).
    pub async fn clear(&self) -> Result<Invalidated, InvalidateError> {
        self.invalidate(Selection::All).await
    }

    /// A handle of one namespace: as a route names it, below the application's or in its place.
    #[must_use]
    pub fn namespace(&self, name: impl Into<String>) -> NamespaceHandle {
        NamespaceHandle { cache: self.clone(), name: name.into() }
    }

    /// Switches the cache on or off. While it is off, requests go to the handlers and nothing is
    /// stored; invalidations still work.
    pub fn set_enabled(&self, enabled: bool) {
        self.inner.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Whether the cache is on.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.inner.enabled.load(Ordering::Relaxed)
    }

    /// What the cache has done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.counters.snapshot()
    }

    /// What an acknowledged invalidation is worth, by the store's own account.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        self.inner.store.guarantee()
    }

    /// Whether the store can be used now; for a start that should fail fast.
    ///
    /// # Errors
    ///
    /// Why it cannot.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ask("ready", self.inner.store.ready()).await
    }

    /// Ends the store's background work and closes its connections. Routes then answer by their
    /// handlers.
    pub async fn close(&self) {
        self.set_enabled(false);
        self.inner.store.close().await;
    }

    pub(crate) async fn invalidate(&self, what: Selection) -> Result<Invalidated, InvalidateError> {
        let counters = &self.inner.counters;
        match self.inner.ask("invalidate", self.inner.store.invalidate(&what)).await {
            Ok(done) => {
                counters.invalidations.one();
                counters.removed.add(done.removed);
                tracing::debug!(removed = done.removed, complete = done.complete, "invalidated");
                Ok(done)
            }
            Err(error) => {
                counters.invalidation_errors.one();
                counters.reason(Reason::InvalidationFailed);
                tracing::error!(%error, "invalidation failed");
                Err(error.into())
            }
        }
    }
}

impl Inner {
    /// A store call under the time limit, its failure counted and logged.
    pub(crate) async fn ask<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answer = match tokio::time::timeout(self.store_timeout, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut, call)),
        };
        if let Err(error) = &answer {
            self.counters.store_errors.one();
            tracing::warn!(call, %error, "the store failed");
        }
        answer
    }
}

/// Configures a [`Cache`].
#[derive(Clone, Debug)]
#[must_use]
pub struct CacheBuilder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    policy: Policy,
    name: String,
    store_timeout: Duration,
    codec: Codec,
    max_detached: usize,
    max_recording: usize,
    enabled: bool,
    #[cfg(feature = "mutants")]
    mutant: Option<super::mutant::Mutant>,
}

impl CacheBuilder {
    /// The application's policy: defaults for every route.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How this cache calls itself in `Cache-Status`: a token. Default `response-cache`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The longest that one call of the store may take, an invalidation's included, and one run of a
    /// [`key_async_fn`](Policy::key_async_fn) or [`ttl_fn`](Policy::ttl_fn). Default 250 ms.
    pub const fn store_timeout(mut self, limit: Duration) -> Self {
        self.store_timeout = limit;
        self
    }

    /// How the results of this cache's functions become bytes, where a function does not say so
    /// itself. Default [`Codec::Binary`].
    pub const fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// How many fills may go on without their clients at a time; further ones are given up.
    /// Default 1024.
    pub const fn max_detached(mut self, limit: usize) -> Self {
        self.max_detached = limit;
        self
    }

    /// How many bytes of streaming bodies may be recorded at a time, all together; a further one
    /// passes through and is not stored. Default 256 MiB.
    pub const fn max_recording(mut self, bytes: usize) -> Self {
        self.max_recording = bytes;
        self
    }

    /// Whether the cache is on at first. Default on.
    pub const fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Where the time comes from. Default the system's clocks.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Breaks the cache on purpose.
    #[cfg(feature = "mutants")]
    pub const fn mutant(mut self, mutant: super::mutant::Mutant) -> Self {
        self.mutant = Some(mutant);
        self
    }

    /// Makes the cache.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, with its value.
    pub fn build(self) -> Result<Cache, PolicyError> {
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c);
        let starts = |c: char| c.is_ascii_alphabetic() || c == '*';
        if !self.name.starts_with(starts) || !self.name.chars().all(token) {
            return Err(PolicyError::new("name", self.name, "is not a token"));
        }
        if self.store_timeout.is_zero() {
            return Err(PolicyError::new("store_timeout", "0s", "leaves the store no time"));
        }
        if self.max_detached > Semaphore::MAX_PERMITS {
            return Err(PolicyError::new(
                "max_detached",
                self.max_detached.to_string(),
                "is too many",
            ));
        }
        let namespace = Rules::resolve(&self.policy, &Policy::new())?.namespace;
        Ok(self.finish(namespace))
    }

    fn finish(self, namespace: Option<Arc<str>>) -> Cache {
        Cache {
            inner: Arc::new(Inner {
                store: self.store,
                clock: self.clock,
                policy: self.policy,
                namespace,
                name: self.name,
                id: CacheId::new(),
                store_timeout: self.store_timeout,
                codec: self.codec,
                enabled: AtomicBool::new(self.enabled),
                flights: Arc::default(),
                cool: Cool::default(),
                recall: Recall::default(),
                targets: TargetBudget::default(),
                counters: Counters::default(),
                detached: Arc::new(Semaphore::new(self.max_detached)),
                recording: Budget::new(self.max_recording),
                #[cfg(feature = "mutants")]
                mutant: self.mutant,
            }),
        }
    }
}

/// One namespace of a cache.
#[derive(Clone, Debug)]
pub struct NamespaceHandle {
    cache: Cache,
    name: String,
}

impl NamespaceHandle {
    /// Invalidates the responses with these key names in this namespace.
    ///
    /// # Errors
    ///
    /// As for [`Cache::invalidate_tags`].
    ///
    /// # Cancellation
    ///
    /// As for [`Cache::invalidate_tags`].
    pub async fn invalidate_keys<S: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = S>,
    ) -> Result<Invalidated, InvalidateError> {
        Tag::namespace(&self.name)?;
        self.cache.invalidate(Selection::Tags(key_tags(&self.scopes(), keys))).await
    }

    /// Invalidates everything in this namespace, and in those below it.
    ///
    /// # Errors
    ///
    /// As for [`Cache::invalidate_tags`].
    ///
    /// # Cancellation
    ///
    /// As for [`Cache::invalidate_tags`].
    pub async fn clear(&self) -> Result<Invalidated, InvalidateError> {
        self.cache.invalidate(Selection::Tags(namespace_tags(&self.scopes())?)).await
    }

    fn scopes(&self) -> Vec<Option<String>> {
        scopes(self.cache.inner.namespace.as_deref(), Some(&self.name))
    }
}

/// The full names that a scope may have: a route's namespace stands below the application's or in
/// its place, and the handle means it either way. A name that is invalidated in vain costs
/// nothing; one that is missed would be a stale answer.
pub(crate) fn scopes(application: Option<&str>, name: Option<&str>) -> Vec<Option<String>> {
    let mut scopes = vec![name.map(str::to_owned)];
    if let Some(application) = application {
        scopes.push(Some(match name {
            Some(name) => format!("{application}:{name}"),
            None => application.to_owned(),
        }));
    }
    scopes
}

/// The tags of key names. Whether a name is spelled as in a request or decoded already, it does not
/// say; both are meant.
pub(crate) fn key_tags<S: AsRef<str>>(
    scopes: &[Option<String>],
    keys: impl IntoIterator<Item = S>,
) -> Tags {
    let tags = |key: S| {
        let both = |scope: &Option<String>| {
            let (scope, key) = (scope.as_deref(), key.as_ref());
            [Tag::key(scope, key), Tag::key_as_it_is(scope, key)]
        };
        scopes.iter().flat_map(both).collect::<Vec<_>>()
    };
    keys.into_iter().flat_map(tags).collect()
}

pub(crate) fn namespace_tags(scopes: &[Option<String>]) -> Result<Tags, TagError> {
    let tags: Result<Vec<Tag>, TagError> =
        scopes.iter().flatten().map(|name| Tag::namespace(name)).collect();
    Ok(Tags::new(tags?))
}

/// Why an invalidation is not in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidateError {
    /// A name is no tag; nothing was tried.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The store failed; some of it may be in force.
    #[error("the invalidation is not acknowledged")]
    Store(#[from] StoreError),
}
