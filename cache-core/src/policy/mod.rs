//! What a route says about its caching.
//!
//! A [`Policy`] is a set of optional settings. The application's policy gives defaults, the
//! route's settings win one by one, and the outcome is checked when the route is built.
#![doc = include_str!("settings.md")]

mod code;
pub(crate) mod derive;
mod error;
pub(crate) mod freshen;
mod life;
pub(crate) mod mode;
pub(crate) mod rfc;
pub(crate) mod rules;
pub mod setting;
mod span;
mod spec;

pub mod freshness;
pub mod plan;
pub mod storable;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::code::ResponseHead;
pub(crate) use self::code::{AnyError, Boxed, Code, KeyFunction};
pub use self::error::PolicyError;
pub(crate) use self::life::Lifetime;
pub(crate) use self::rules::Rules;
use self::setting::{
    Authorization, CacheStatusRule, ClientDirectives, Coalesce, Cookies, Downstream, EtagRule,
    Mode, Namespace, OnInvalidationError, QueryRule, SetCookie, StatusHeader, Statuses, Ttl,
    UnknownPlaceholder, UnsafeInvalidates, VaryValues,
};
pub use self::span::Span;
use self::spec::{Nullable, Spec, StatusText};
use crate::head::RequestHead;

/// The settings of a route or of an application.
///
/// Setters take the policy by value and return it. Nothing is checked until the policy is built
/// into a route ([`Policy::build`] does it earlier); the error then names the setting and the
/// value. Cloning is cheap. Configuration files have the same settings: see the [table](self#settings)
/// of their names, values and defaults. A closure exists in code only.
///
/// ```
/// use std::time::Duration;
/// use cache_core::Policy;
///
/// let policy = Policy::ttl(Duration::from_secs(60)).tag("user:{user_id}").build()?;
/// # Ok::<(), cache_core::PolicyError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Policy {
    spec: Arc<Spec>,
    code: Arc<Code>,
    /// The placeholders that a path gives, where the path is known.
    params: Option<Arc<[String]>>,
}

/// Writes the setters that only store a value.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $value:expr;)*) => {
        $($(#[$doc])*
        pub fn $name(self, $name: $type) -> Self {
            self.set(|spec| spec.$name = Some($value))
        })*
    };
}

impl Policy {
    /// A policy without any setting of its own: the application's, or the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stored for this long, whatever the response's own headers say about lifetimes.
    pub fn ttl(ttl: Duration) -> Self {
        Self::new().mode(Mode::Ttl).lifetime(Ttl::For(ttl))
    }

    /// A shared cache by RFC 9111: the response's own fields decide, and a response that says
    /// nothing is not stored. One that says only when it was last modified lives for a tenth of the
    /// time since then, for a day at most (§4.2.2). A 200 whose only such field is a validator of
    /// its own is kept to be validated.
    ///
    /// The request's directives are heeded, responses to requests with `Authorization` are stored
    /// where they allow it (§3.5), a successful unsafe request invalidates its target (§4.4), and a
    /// stale response with a validator is kept for an hour to be validated. Cookies stay as they
    /// are by default: see [`cookies`](Self::cookies) and [`set_cookie`](Self::set_cookie).
    ///
    /// ```
    /// use cache_core::Policy;
    ///
    /// let policy = Policy::http().build()?;
    /// let read: Policy = serde_json::from_str(r#"{"mode":"http"}"#)?;
    /// assert_eq!(serde_json::to_value(&policy)?, serde_json::to_value(&read)?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn http() -> Self {
        Self::new().mode(Mode::Http)
    }

    setters! {
        /// Whose word decides about lifetimes. Default [`Mode::Ttl`].
        mode: Mode => mode;
        /// The methods that are cached. Default GET and HEAD; the body of any other is in the key.
        methods: &[Method] => methods.iter().map(|method| method.as_str().to_owned()).collect();
        /// The largest request body that takes part in a key, in bytes. Default 64 KiB; a request
        /// with a larger one bypasses the cache.
        key_body_limit: usize => key_body_limit;
        /// Which statuses may be stored. Default any 2xx but 206.
        statuses: Statuses => statuses;
        /// When two requests present the same values to a response's `Vary`. Default exactly the
        /// same lines, and under [`Mode::Http`] the same meaning.
        vary_values: VaryValues => vary_values;
        /// Which query parameters select a response. Default all, in any order.
        query: QueryRule => query;
        /// What `Authorization` means. Default: such requests bypass the cache, and under
        /// [`Mode::Http`] their answers are stored, for everybody, where they say that they may be
        /// (RFC 9111 §3.5).
        authorization: Authorization => authorization;
        /// What cookies mean. Default: such requests bypass the cache.
        cookies: Cookies => cookies;
        /// What becomes of a response with `Set-Cookie`. Default: it is not stored.
        set_cookie: SetCookie => set_cookie;
        /// Whether scheme and authority are part of the key. Default `true`.
        host_in_key: bool => host_in_key;
        /// What a placeholder without a value does. Default: nothing is stored.
        unknown_placeholder: UnknownPlaceholder => unknown_placeholder;
        /// The namespace of the entries. Default none.
        namespace: Namespace => Nullable(Some(namespace));
        /// How long after its life a response may be served while a new one is fetched. Default 0.
        /// Under mode `http`, a response without a life has no such time either, unless it says so.
        stale_while_revalidate: Duration => Span(stale_while_revalidate);
        /// How long after its life a response may be served instead of a 500, 502, 503, 504 or a
        /// panic. Default 0.
        stale_if_error: Duration => Span(stale_if_error);
        /// How long after its life a response with a validator is kept, to be validated (RFC 9111
        /// §4.3). Default 0, and one hour under [`Mode::Http`].
        keep: Duration => Span(keep);
        /// Whether concurrent requests share one run of the handler. Default on.
        coalesce: Coalesce => coalesce;
        /// The largest body that is stored, in bytes. Default 8 MiB; a larger one streams through.
        /// A store has a limit of its own, in the memory store 8 MiB, too: raise both.
        max_body: usize => max_body;
        /// How long after the request a response may still be stored. Default 60 s.
        max_fill: Duration => Span(max_fill);
        /// Whether the request's own directives are heeded. Default not, and under [`Mode::Http`]
        /// they are.
        client_directives: ClientDirectives => client_directives;
        /// Whether `Cache-Groups` and `Cache-Group-Invalidation` are heeded (RFC 9875). Default
        /// `false`. Under [`Mode::Http`] only.
        cache_groups: bool => cache_groups;
        /// What a successful request with an unsafe method invalidates. Default nothing, and under
        /// [`Mode::Http`] its target.
        unsafe_invalidates: UnsafeInvalidates => unsafe_invalidates;
        /// What a client hears when an invalidation fails that a write needs. Default the handler's
        /// answer, with a reason in `Cache-Status`. An `invalidate_layer` has no policy of its own:
        /// for those the application's counts.
        on_invalidation_error: OnInvalidationError => on_invalidation_error;
        /// The entity tag of a response that has none. Default strong.
        etag: EtagRule => etag;
        /// The `Cache-Control` sent where the handler set none. Default none.
        downstream: Downstream => downstream;
        /// Whether reused responses carry `Age`. Default `true`.
        age: bool => age;
        /// The field that says `HIT` or `MISS`; `None` switches it off. Default `X-Cache`.
        status_header: Option<StatusHeader> => Nullable(status_header);
        /// How much `Cache-Status` says. Default what happened and why.
        cache_status: CacheStatusRule => cache_status;
    }

    /// How long a response lives. Default 60 s under [`Mode::Ttl`]. Under
    /// [`Mode::Http`] that of responses that say nothing themselves and whose
    /// status may be given a life by heuristics (RFC 9110 §15.1), or that are `public`; default none.
    pub fn lifetime(self, ttl: Ttl) -> Self {
        self.set(|spec| spec.ttl = Some(ttl))
    }

    /// The life of responses with this status, which is thereby admitted.
    pub fn ttl_by_status(self, status: StatusCode, ttl: Duration) -> Self {
        self.set(|spec| {
            spec.ttl_by_status
                .get_or_insert_with(BTreeMap::new)
                .insert(StatusText(status.as_u16()), Span(ttl));
        })
    }

    /// The life of a response by a function of the request, run when the handler is. Where it
    /// fails, panics or takes longer than the cache's `store_timeout` (default 250 ms), the response
    /// is not stored (`ttl-failed`), unless the handler gives a life itself.
    pub fn ttl_fn<F, Fut, E>(self, function: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Ttl, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.set_code(|code| {
            code.ttl = Some(Arc::new(move |head| {
                let future = function(head);
                Box::pin(async move { future.await.map_err(Into::into) })
            }));
        })
    }

    /// The time zone of calendar lifetimes that name none.
    pub fn time_zone(self, name: impl Into<String>) -> Self {
        self.set(|spec| spec.time_zone = Some(name.into()))
    }

    /// The query as a declared type: it is parsed, and what the type wrote back selects the
    /// response. Defaults, order, spelling and undeclared parameters then make no difference; the
    /// handler should read the same type. A query that is no `T` bypasses the cache. For
    /// `invalidate_keys` a target has the query that the type writes, defaults included.
    pub fn query_declared<T>(self) -> Self
    where
        T: serde::de::DeserializeOwned + Serialize + 'static,
    {
        self.set_code(|code| {
            code.query = Some(Arc::new(|query| {
                let declared: T = serde_html_form::from_str(query).ok()?;
                serde_html_form::to_string(&declared).ok()
            }));
        })
    }

    /// Request fields that are part of the key and of the emitted `Vary`.
    pub fn vary<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.set(|spec| spec.vary = Some(names))
    }

    /// Response fields that speak to this cache in place of `Cache-Control` and `Expires`, the
    /// first that is present being the one (RFC 9213): its own name, `cdn-cache-control`. Default
    /// none. Under [`Mode::Http`] only.
    pub fn targeted_fields<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        self.set(|spec| spec.targeted_fields = Some(names))
    }

    /// A key from a template, in place of scheme, authority, path and query.
    pub fn key(self, template: impl Into<String>) -> Self {
        self.set(|spec| spec.key = Some(Nullable(Some(template.into()))))
    }

    /// A key from a function, in place of scheme, authority, path and query. Where it fails or
    /// panics, the request bypasses the cache.
    pub fn key_fn<F, E>(self, function: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Result<String, E> + Send + Sync + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.set_code(|code| {
            code.key =
                Some(KeyFunction::Sync(Arc::new(move |head| function(head).map_err(Into::into))));
        })
    }

    /// The same from an asynchronous function. Each request waits for it, but no longer than the
    /// cache's `store_timeout` (default 250 ms); then the request bypasses the cache (`key-failed`).
    pub fn key_async_fn<F, Fut, E>(self, function: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.set_code(|code| {
            code.key = Some(KeyFunction::Async(Arc::new(move |head| {
                let future = function(head);
                Box::pin(async move { future.await.map_err(Into::into) })
            })));
        })
    }

    /// Adds a tag template, such as `user:{user_id}`.
    pub fn tag(self, template: impl Into<String>) -> Self {
        self.set(|spec| spec.tags.get_or_insert_with(Vec::new).push(template.into()))
    }

    /// Adds tag templates.
    pub fn tags<S: Into<String>>(self, templates: impl IntoIterator<Item = S>) -> Self {
        let templates = templates.into_iter().map(Into::into);
        self.set(|spec| spec.tags.get_or_insert_with(Vec::new).extend(templates))
    }

    /// Adds names that templates may use: path parameters (adapters fill these in where they know
    /// the path) and guards. Once any is given, an unknown placeholder is an error at build.
    pub fn params<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        let known = self.params.iter().flat_map(|known| known.iter().cloned());
        self.params = Some(known.chain(names.into_iter().map(Into::into)).collect());
        self
    }

    /// Requests for which this is false bypass the cache. A panic counts as false.
    pub fn condition(
        self,
        test: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.set_code(|code| code.condition = Some(Arc::new(test)))
    }

    /// Responses for which this is false are not stored. A panic counts as false.
    pub fn store_if(
        self,
        test: impl Fn(&RequestHead<'_>, &ResponseHead<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.set_code(|code| code.store_if = Some(Arc::new(test)))
    }

    /// Checks the settings on their own.
    ///
    /// A calendar lifetime may still lack a time zone that the application's policy gives; that is
    /// found when the route is built.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be, with its value.
    pub fn build(self) -> Result<Self, PolicyError> {
        let mut zone = Self::new().time_zone("UTC");
        // Settings of the other mode may be meant for a base that is of that mode.
        if self.spec.mode.is_none() && mode::needs_http(&self.spec) {
            zone = zone.mode(Mode::Http);
        }
        Rules::resolve(&zone, &self)?;
        Ok(self)
    }

    /// These settings laid over `base`, field by field. Namespaces combine instead: see
    /// [`Namespace`].
    ///
    /// A policy of the other mode takes over only what does not depend on the mode: not the
    /// lifetimes, `statuses`, `authorization`, `cookies`, `vary_values`, `keep`,
    /// `client_directives`, `targeted_fields`, `cache_groups` and `unsafe_invalidates`.
    pub fn over(&self, base: &Self) -> Self {
        let base = &mode::inherited(&self.spec, base);
        let mut spec = self.spec.over(&base.spec);
        let mut code = self.code.over(&base.code);
        // A key or a life given in either form replaces the other form of the base.
        if self.spec.key.is_some() && self.code.key.is_none() {
            code.key = None;
        }
        if self.code.key.is_some() && self.spec.key.is_none() {
            spec.key = None;
        }
        if self.spec.query.is_some() && self.code.query.is_none() {
            code.query = None;
        }
        if self.spec.ttl.is_some() && self.code.ttl.is_none() {
            code.ttl = None;
        }
        Self {
            spec: Arc::new(spec),
            code: Arc::new(code),
            params: self.params.clone().or_else(|| base.params.clone()),
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Spec)) -> Self {
        change(Arc::make_mut(&mut self.spec));
        self
    }

    fn set_code(mut self, change: impl FnOnce(&mut Code)) -> Self {
        change(Arc::make_mut(&mut self.code));
        self
    }
}

impl Serialize for Policy {
    /// The declarative settings that were set; functions are left out.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.spec.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Policy {
    /// Unknown fields and bad values are errors that name the field.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spec = Arc::new(Spec::deserialize(deserializer)?);
        let policy = Self { spec, ..Self::default() };
        policy.build().map_err(serde::de::Error::custom)
    }
}
