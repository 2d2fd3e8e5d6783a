//! Declarative invalidation: what a write route invalidates, said once.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use http::{Response, StatusCode};

use super::cache::{Cache, key_tags, namespace_tags, scopes};
use super::serve::{Changes, Origin};
use super::spawn::Lifeline;
use super::status::{self, Story};
use super::targets::is_safe;
use crate::policy::rules::template;
use crate::policy::setting::{CacheStatusRule, OnInvalidationError};
use crate::policy::{Policy, PolicyError, Rules};
use crate::reason::{Forwarded, Reason};
use crate::store::Selection;
use crate::tag::template::{Template, UnknownName, UnknownPlaceholder};
use crate::tag::{Tag, TagError, Tags};

/// When a write route invalidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// After the handler, if it answers 2xx or 3xx.
    #[default]
    AfterSuccess,
    /// Before the handler.
    Before,
    /// Before the handler, and after its success.
    Both,
}

/// What a write route invalidates: tags, keys, or a whole namespace.
///
/// Templates take path parameters and guard values. The answer is sent only when the invalidation
/// has returned; both run to their end even if the client leaves.
///
/// If the store fails, or a template names a placeholder that the request lacks, **nothing is
/// invalidated**: the handler's answer still goes out, with `detail=invalidation-failed` in its
/// `Cache-Status`, an error in the log that names the placeholder, and a count in
/// [`Stats::invalidation_errors`](crate::Stats::invalidation_errors): one a request for a placeholder,
/// one for each call of the store that fails. With [`When::AfterSuccess`], a handler that fails leaves
/// nothing to invalidate, and nothing of this to tell. `on_invalidation_error: "503"` in
/// the *cache's* policy ([`CacheBuilder::policy`](crate::CacheBuilder::policy)) tells the client. Say with
/// [`params`](Self::params) what the path has, and a misspelled name is an error at build.
///
/// ```
/// use cache_core::Invalidation;
///
/// let profile =
///     Invalidation::new().tag("user:{user_id}").key("profile.{user_id}").params(["user_id"]);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Invalidation {
    tags: Vec<String>,
    keys: Vec<String>,
    namespace: Option<String>,
    when: When,
    params: Option<Vec<String>>,
}

impl Invalidation {
    /// Nothing yet; naming nothing is an error when the route is built.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tag template.
    pub fn tag(mut self, template: impl Into<String>) -> Self {
        self.tags.push(template.into());
        self
    }

    /// Adds a key template.
    pub fn key(mut self, template: impl Into<String>) -> Self {
        self.keys.push(template.into());
        self
    }

    /// The namespace of the keys; without keys, all of it is invalidated.
    pub fn namespace(mut self, name: impl Into<String>) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// When. Default after success.
    pub const fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The names that templates may use: path parameters, and guards. Once given, another name is an
    /// error when the route is built; without, it is found when the first request comes.
    pub fn params<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.params = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

/// An [`Invalidation`] in force on a cache.
#[derive(Clone, Debug)]
pub struct WriteRoute(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cache: Cache,
    tags: Vec<Template>,
    keys: Vec<Template>,
    namespace: Option<String>,
    when: When,
    on_error: OnInvalidationError,
    cache_status: bool,
}

impl WriteRoute {
    /// Puts an invalidation in force.
    ///
    /// # Errors
    ///
    /// A malformed template, an unknown placeholder where the path is known, an empty namespace,
    /// or nothing named at all.
    pub fn new(cache: &Cache, what: Invalidation) -> Result<Self, PolicyError> {
        let rules = Rules::resolve(&cache.inner.policy, &Policy::new())?;
        let params = what.params.as_deref();
        let parse = |field, texts: &[String]| -> Result<Vec<Template>, PolicyError> {
            texts.iter().map(|text| template(field, text, params)).collect()
        };
        let (tags, keys) = (parse("tags", &what.tags)?, parse("keys", &what.keys)?);
        if tags.is_empty() && keys.is_empty() && what.namespace.is_none() {
            return Err(PolicyError::new("invalidation", "", "names no tag, key or namespace"));
        }
        if let Some(name) = &what.namespace {
            Tag::namespace(name)
                .map_err(|error| PolicyError::new("namespace", name, error.to_string()))?;
        }
        Ok(Self(Arc::new(Shared {
            cache: cache.clone(),
            tags,
            keys,
            namespace: what.namespace,
            when: what.when,
            on_error: rules.on_invalidation_error,
            cache_status: rules.cache_status != CacheStatusRule::Off,
        })))
    }

    /// The cache that the route writes to.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.0.cache
    }

    pub(crate) fn when(&self) -> When {
        self.0.when
    }

    /// Something to keep a request's work alive by.
    #[must_use]
    pub fn lifeline(&self) -> Lifeline {
        Lifeline::unbounded()
    }

    /// Runs the handler and invalidates. Safe methods only pass through.
    ///
    /// # Errors
    ///
    /// Only the origin's own.
    ///
    /// # Cancellation
    ///
    /// From the handler's start, handler and invalidation run to the end elsewhere.
    pub async fn serve<O: Origin>(
        &self,
        origin: O,
        life: Lifeline,
    ) -> Result<WriteAnswer<O::Body>, O::Error> {
        if is_safe(origin.head().method()) {
            return Ok(WriteAnswer::Handler(origin.run(Changes::default()).await?));
        }
        let selection = self.selection(|name| origin.head().placeholder(name));
        life.hold();
        let mut reason = Reason::Method;
        if matches!(self.0.when, When::Before | When::Both) {
            match self.act(&selection).await {
                Ok(told) => reason = told,
                Err(refusal) => return Ok(WriteAnswer::Refused(refusal)),
            }
        }
        let mut response = origin.run(Changes::default()).await?;
        let success = response.status().is_success() || response.status().is_redirection();
        let after = match self.0.when {
            When::AfterSuccess => true,
            When::Before => false,
            // What could not be told before the handler has been counted.
            When::Both => selection.is_ok(),
        };
        if success && after {
            match self.act(&selection).await {
                Ok(told) => reason = told,
                Err(refusal) => return Ok(WriteAnswer::Refused(refusal)),
            }
        }
        self.tell(&mut response, reason);
        Ok(WriteAnswer::Handler(response))
    }

    /// What is invalidated where the placeholders stand for this.
    pub(crate) fn selection<'a>(
        &self,
        placeholder: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Result<Selection, WriteError> {
        let shared = &*self.0;
        let mut tags: Vec<Tag> = Vec::new();
        for template in &shared.tags {
            let text = template.expand_tag(&placeholder, UnknownPlaceholder::Reject)?;
            tags.push(Tag::new(&text)?);
        }
        let application = shared.cache.inner.namespace.as_deref();
        let scopes = scopes(application, shared.namespace.as_deref());
        for template in &shared.keys {
            let key = template.expand(&placeholder)?;
            tags.extend_from_slice(&key_tags(&scopes, [key.text]));
        }
        if shared.keys.is_empty() && shared.namespace.is_some() {
            tags.extend_from_slice(&namespace_tags(&scopes)?);
        }
        Ok(Selection::Tags(Tags::new(tags)))
    }

    /// What to say of it; `Err` is the answer in place of the handler's, where the application wants
    /// the client to know.
    async fn act(&self, selection: &Result<Selection, WriteError>) -> Result<Reason, Response<()>> {
        let done = match selection {
            Ok(selection) => self.0.cache.invalidate(selection.clone()).await.is_ok(),
            Err(error) => {
                self.complain(error);
                false
            }
        };
        match (done, self.0.on_error) {
            (true, _) => Ok(Reason::Method),
            (false, OnInvalidationError::Pass) => Ok(Reason::InvalidationFailed),
            (false, OnInvalidationError::Unavailable) => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                self.tell(&mut response, Reason::InvalidationFailed);
                Err(response)
            }
        }
    }

    /// Counts and logs that it cannot be told what to invalidate. The error names the placeholder.
    pub(crate) fn complain(&self, error: &(dyn Error + Send + Sync)) {
        tracing::error!(%error, "it cannot be told what a write invalidates");
        let counters = &self.0.cache.inner.counters;
        counters.invalidation_errors.one();
        counters.reason(Reason::InvalidationFailed);
    }

    fn tell<B>(&self, response: &mut Response<B>, reason: Reason) {
        if self.0.cache_status {
            let story = Story::Bypassed { fwd: Forwarded::Method, reason };
            status::append(&self.0.cache.inner.name, None, story, response.headers_mut());
        }
    }
}

/// What a write route answers.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "adapters must handle both")]
pub enum WriteAnswer<B> {
    /// The handler's answer.
    Handler(Response<B>),
    /// The invalidation failed, and the application wants the client to know; without a body.
    Refused(Response<()>),
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Placeholder(#[from] UnknownName),
    #[error(transparent)]
    Tag(#[from] TagError),
}
