//! Plain asynchronous functions, cached by the same engine as responses.
//!
//! ```
//! # use std::time::Duration;
//! # use cache_core::{Cache, Policy, StoreError};
//! # async fn load(id: u64) -> Result<Option<String>, std::io::Error> { Ok(None) }
//! # async fn example(cache: Cache) -> Result<(), Box<dyn std::error::Error>> {
//! // Built once.
//! let user = cache.function("user", Policy::ttl(Duration::from_secs(60)).tag("user:{0}"))?;
//! // Called often: the arguments select the result, the closure makes it.
//! let found: Option<String> = user.call(&(7,), async || load(7).await).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Arguments are anything that serde can write; they are in the key. A template's
//! placeholders are their fields: `{name}` of a struct, `{0}` of a tuple. `None` and empty values
//! are values; an `Err` is never stored. What cannot be decoded is a miss.
//!
//! Nothing is detached: if a caller that computes for others is dropped, the next one computes for
//! itself. A result within `stale_while_revalidate` is recomputed by the first caller that finds it
//! stale, while the others are given the old one; within `stale_if_error` it stands in for an `Err`.

mod codec;
mod write;

use std::borrow::Cow;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::codec::Codec;
pub use self::write::{WriteFailure, WriteFunction};
use crate::engine::Cache;
use crate::engine::complain::unknown;
use crate::engine::function::{Fetched, Flight, Right};
use crate::entry::{Content, Entry, Life, ValueHead};
use crate::key::Key;
use crate::key::canonical::{Canonical, Part};
use crate::policy::freshness::{self, Use, keep_until, usable};
use crate::policy::rules::{DEFAULT_TTL, KeySource};
use crate::policy::{Policy, PolicyError, Rules, mode};
use crate::reason::Reason;
use crate::tag::{Tag, Tags};

/// A function whose results are cached: a name, a policy and a codec.
#[derive(Debug)]
pub struct Function {
    cache: Cache,
    name: String,
    rules: Rules,
    codec: Codec,
    version: u32,
    /// It was logged that nothing can be stored.
    complained: AtomicBool,
}

impl Cache {
    /// A cached function. Its name separates its results from those of others; a policy with a
    /// `key` replaces the name and the arguments by that key.
    ///
    /// Settings that speak of requests or responses have no effect. Of the application's policy a
    /// function takes over neither key, nor [`ttl_fn`](Policy::ttl_fn), nor
    /// [`params`](Policy::params), nor a tag with a placeholder: they are for routes. Tags without
    /// one it takes over.
    ///
    /// A call whose arguments lack a placeholder of the function's own templates is not cached
    /// (`unknown-placeholder`), unless it is a tag's and the policy says
    /// [`unknown_placeholder`](Policy::unknown_placeholder): `literal`. The first such call is an
    /// error in the log that names the placeholder.
    ///
    /// # Errors
    ///
    /// A setting that cannot be, or a [`key_fn`](Policy::key_fn), `key_async_fn` or `ttl_fn` of the
    /// function's own policy, which would need a request.
    pub fn function<P>(&self, name: impl Into<String>, policy: P) -> Result<Function, PolicyError>
    where
        P: TryInto<Policy>,
        PolicyError: From<P::Error>,
    {
        let application = mode::for_functions(&self.inner.policy);
        let rules = Rules::resolve(&application, &policy.try_into()?)?;
        if matches!(rules.key, KeySource::Function(_)) {
            return Err(PolicyError::new("key", "a function", "needs a request; use a template"));
        }
        if rules.code.ttl.is_some() {
            return Err(PolicyError::new("ttl", "a function", "needs a request; use a fixed life"));
        }
        let (name, codec) = (name.into(), self.inner.codec);
        let complained = AtomicBool::new(false);
        Ok(Function { cache: self.clone(), name, rules, codec, version: 0, complained })
    }
}

impl Function {
    /// The same with another codec than the cache's.
    #[must_use]
    pub const fn with_codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The same with another version of the result's type: raise it when the type changes its
    /// fields, so that stored bytes of the old one are not read as the new one.
    #[must_use]
    pub const fn with_version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// The result for these arguments: a stored one, that of a concurrent caller, or the closure's.
    ///
    /// # Errors
    ///
    /// The closure's own. The cache's failures cost the caching only.
    ///
    /// # Panics
    ///
    /// Where the closure does.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the closure's; waiting callers then compute for themselves.
    pub async fn call<A, T, E, F, Fut>(&self, arguments: &A, function: F) -> Result<T, E>
    where
        A: Serialize + ?Sized,
        T: Serialize + DeserializeOwned,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let plan = match self.plan::<T, A>(arguments) {
            Ok(plan) => plan,
            Err(reason) => {
                self.cache.inner.counters.bypasses.one();
                self.cache.inner.counters.reason(reason);
                self.complain_of(reason, arguments);
                return function().await;
            }
        };
        let mut flight = Flight::new(&self.cache, plan.key, self.rules.coalesce);
        let counters = &self.cache.inner.counters;
        loop {
            let (found, right, fresh) = match flight.fetch(&plan.tags).await {
                Fetched::Landed(entry) => (Some(entry), None, &counters.collapsed),
                Fetched::Entry(entry, right) => (Some(entry), right, &counters.hits),
                Fetched::Nothing(right) => (None, right, &counters.hits),
            };
            let stale = match found.map(|entry| self.read::<T>(&entry)) {
                Some((Some(value), Use::Serve)) => {
                    fresh.one();
                    return Ok(value);
                }
                Some((Some(value), Use::ServeAndRefresh)) if flight.is_led(&plan.key) => {
                    counters.stale_hits.one();
                    return Ok(value);
                }
                Some((Some(value), Use::ServeAndRefresh | Use::OnlyOnError)) => Some(value),
                _ => None,
            };
            let right = match flight.join(right, self.rules.max_fill).await {
                Right::Compute(right) => right,
                Right::LookAgain => continue,
            };
            let computed = function().await;
            return match (computed, stale) {
                (Ok(value), _) => {
                    counters.misses.one();
                    flight.finish(right, self.entry(&plan, &value)).await;
                    Ok(value)
                }
                (Err(_), Some(stale)) if self.stands_in() => {
                    counters.stale_hits.one();
                    Ok(stale)
                }
                (Err(error), _) => Err(error),
            };
        }
    }

    /// One error in the log per function, as a route has one: templates that cannot be expanded
    /// keep every result from being stored.
    fn complain_of<A: Serialize + ?Sized>(&self, reason: Reason, arguments: &A) {
        let of_templates = matches!(reason, Reason::UnknownPlaceholder | Reason::Tags);
        if !of_templates || self.complained.swap(true, Ordering::Relaxed) {
            return;
        }
        let arguments = serde_json::to_value(arguments).unwrap_or_default();
        let error = unknown(&self.rules, reason, |name| scalar(&arguments, name));
        let error = error.map(tracing::field::display);
        let function = &*self.name;
        tracing::error!(%reason, function, error, "the function's results cannot be stored");
    }

    fn stands_in(&self) -> bool {
        !self.rules.stale_if_error.is_zero()
    }

    fn plan<T, A: Serialize + ?Sized>(&self, arguments: &A) -> Result<Plan, Reason> {
        let enabled = self.cache.inner.enabled.load(Ordering::Relaxed);
        if !enabled {
            return Err(Reason::SwitchedOff);
        }
        let exact = bincode::serde::encode_to_vec(arguments, bincode::config::standard())
            .map_err(|_| Reason::KeyFailed)?;
        let arguments = serde_json::to_value(arguments).map_err(|_| Reason::KeyFailed)?;
        let placeholder = |name: &str| scalar(&arguments, name);
        let mut canonical = Canonical::new();
        // A value's bytes do not say their type; another type, or version, is another key.
        canonical.part(Part::Types, std::any::type_name::<T>().as_bytes());
        canonical.part(Part::Types, &self.version.to_be_bytes());
        if let Some(namespace) = &self.rules.namespace {
            canonical.part(Part::Namespace, namespace.as_bytes());
        }
        let name = match &self.rules.key {
            KeySource::Template(template) => {
                let key = template.expand(placeholder).map_err(|_| Reason::UnknownPlaceholder)?;
                canonical.part(Part::Arguments, b"");
                canonical.custom(&key);
                key.text
            }
            KeySource::Target | KeySource::Function(_) => {
                // Each tells apart what the other does not: bincode infinities, for one; JSON which
                // field is there where others are left out, and which case of an untagged choice.
                let text = arguments.to_string();
                canonical.part(Part::Arguments, &exact);
                canonical.part(Part::Arguments, text.as_bytes());
                canonical.part(Part::Custom, self.name.as_bytes());
                format!("{}{text}", self.name)
            }
        };
        let mut tags = self.rules.namespace_tags.clone();
        tags.push(Tag::key(self.rules.namespace.as_deref(), &name));
        for template in &self.rules.tags {
            let text = template
                .expand_tag(placeholder, self.rules.unknown_placeholder)
                .map_err(|_| Reason::UnknownPlaceholder)?;
            tags.push(Tag::new(&text).map_err(|_| Reason::Tags)?);
        }
        Ok(Plan { key: Key::new(canonical.digest()), tags: Tags::new(tags) })
    }

    /// The value of an entry, and what it may be used for.
    fn read<T: DeserializeOwned>(&self, entry: &Entry) -> (Option<T>, Use) {
        let Content::Value(head) = entry.content() else { return (None, Use::None) };
        if head.codec != self.codec.id() {
            return (None, Use::None);
        }
        let state = freshness::at(&head.times(), self.cache.inner.clock.now_in_millis());
        (self.codec.decode(entry.body()), usable(&head.times(), false, &state, None))
    }

    fn entry<T: Serialize>(&self, plan: &Plan, value: &T) -> Result<Entry, Reason> {
        let now = self.cache.inner.clock.now();
        // A function's result says nothing of its own life, whatever the policy's mode.
        let lifetime = self.rules.lifetime.as_ref();
        let ttl = lifetime.map_or(Some(DEFAULT_TTL), |lifetime| lifetime.from(now));
        let ttl = ttl.ok_or(Reason::TtlFailed)?;
        if ttl.as_millis() == 0 {
            return Err(Reason::ZeroTtl);
        }
        let body: Bytes = self.codec.encode(value).ok_or(Reason::BodyFailed)?;
        if body.len() > self.rules.max_body {
            return Err(Reason::TooLarge);
        }
        let mut life = Life::new(now, ttl);
        life.stale_while_revalidate = self.rules.stale_while_revalidate;
        life.stale_if_error = self.rules.stale_if_error;
        let head = Content::Value(ValueHead::new(self.codec.id(), life));
        Ok(Entry::new(plan.key, plan.tags.clone(), keep_until(&life, Duration::ZERO), head, body))
    }
}

#[derive(Debug)]
struct Plan {
    key: Key,
    tags: Tags,
}

/// A scalar argument by field name or position.
fn scalar<'a>(arguments: &'a Value, name: &str) -> Option<Cow<'a, str>> {
    let mut at = arguments;
    for step in name.split('.') {
        at = match at {
            Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => at.get(step)?,
        };
    }
    match at {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Owned(truth.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
