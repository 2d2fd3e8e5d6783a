//! A policy, resolved and checked: what the decisions read.

mod checks;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

pub(crate) use self::checks::{DEFAULT_TTL, template};
use crate::engine::CACHE_STATUS;
use crate::entry::OwnField;
use crate::key::memo::Purpose;
use crate::key::query::QueryRule;
use crate::policy::derive::{self, USUAL_SCHEME, key_beginning};
use crate::policy::error::PolicyError;
use crate::policy::mode::{self, Defaults};
use crate::policy::setting::{
    Authorization, CacheStatusRule, ClientDirectives, Coalesce, Cookies, EtagRule, Mode,
    OnInvalidationError, SetCookie, Statuses, UnsafeInvalidates, VaryValues,
};
use crate::policy::{Code, KeyFunction, Lifetime, Policy};
use crate::tag::Tag;
use crate::tag::template::{Template, UnknownPlaceholder};

/// The settings that are in force on a route.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) mode: Mode,
    /// Under [`Mode::Http`] that of responses that say nothing, if any.
    pub(crate) lifetime: Option<Lifetime>,
    pub(crate) lifetime_by_status: Vec<(StatusCode, Duration)>,
    pub(crate) time_zone: Option<String>,
    pub(crate) methods: Vec<Method>,
    pub(crate) key_body_limit: usize,
    pub(crate) statuses: Statuses,
    pub(crate) query: QueryRule,
    pub(crate) vary: Vec<HeaderName>,
    pub(crate) vary_values: VaryValues,
    pub(crate) authorization: Authorization,
    pub(crate) cookies: Cookies,
    pub(crate) set_cookie: SetCookie,
    pub(crate) host_in_key: bool,
    pub(crate) key: KeySource,
    pub(crate) tags: Vec<Template>,
    pub(crate) unknown_placeholder: UnknownPlaceholder,
    pub(crate) namespace: Option<Arc<str>>,
    pub(crate) namespace_tags: Vec<Tag>,
    /// What the keys of GET and HEAD begin with, where the target names no unusual scheme.
    pub(crate) key_beginning: Vec<u8>,
    /// What keys are remembered for that follow from little.
    pub(crate) memorable_keys: Option<Purpose>,
    /// Path parameters are needed, but not before something is looked up.
    pub(crate) params_come_later: bool,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) keep: Duration,
    pub(crate) coalesce: Coalesce,
    pub(crate) max_body: usize,
    pub(crate) max_fill: Duration,
    pub(crate) client_directives: ClientDirectives,
    pub(crate) targeted_fields: Vec<HeaderName>,
    pub(crate) cache_groups: bool,
    pub(crate) unsafe_invalidates: UnsafeInvalidates,
    pub(crate) on_invalidation_error: OnInvalidationError,
    pub(crate) etag: EtagRule,
    pub(crate) downstream: DownstreamValue,
    pub(crate) age: bool,
    pub(crate) status_header: Option<StatusField>,
    pub(crate) cache_status: CacheStatusRule,
    pub(crate) code: Code,
    /// What is added to `Vary`: the fields that the key depends on.
    pub(crate) emitted_vary: Vec<HeaderName>,
    /// What is written into every answer: `Age`, `Cache-Status`, the field that says `HIT`, as far
    /// as they are wanted.
    pub(crate) own_fields: Arc<[OwnField]>,
}

/// Where the key's text comes from.
#[derive(Clone)]
pub(crate) enum KeySource {
    Target,
    Template(Template),
    Function(KeyFunction),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Target => f.write_str("Target"),
            Self::Template(template) => f.debug_tuple("Template").field(template).finish(),
            Self::Function(_) => f.write_str("Function(fn)"),
        }
    }
}

/// `Cache-Control` for clients, ready to send.
#[derive(Clone, Debug)]
pub(crate) enum DownstreamValue {
    Leave,
    MaxAgeRemaining,
    NoStore,
    Fixed(HeaderValue),
}

/// The field that says `HIT` or `MISS`, ready to send.
#[derive(Clone, Debug)]
pub(crate) struct StatusField {
    pub(crate) name: HeaderName,
    pub(crate) hit: HeaderValue,
    pub(crate) miss: HeaderValue,
}

impl Rules {
    /// The route's settings over the application's, checked.
    pub(crate) fn resolve(application: &Policy, route: &Policy) -> Result<Self, PolicyError> {
        let policy = route.over(application);
        let spec = &*policy.spec;
        let code = (*policy.code).clone();
        let namespace = checks::namespace(&application.spec, &route.spec)?;
        mode::check(spec)?;
        let mode = mode::of(spec);
        let defaults = Defaults::of(mode);
        let vary = checks::vary(spec.vary.as_deref().unwrap_or_default())?;
        let authorization = spec.authorization.unwrap_or(defaults.authorization);
        let cookies = checks::cookies(spec)?;
        let rules = Self {
            mode,
            lifetime: checks::lifetime(spec, mode)?,
            lifetime_by_status: checks::lifetime_by_status(spec)?,
            time_zone: spec.time_zone.clone(),
            methods: checks::methods(spec)?,
            key_body_limit: spec.key_body_limit.unwrap_or(64 << 10),
            statuses: checks::statuses(spec, defaults.statuses)?,
            query: spec.query.clone().unwrap_or_default(),
            emitted_vary: checks::emitted_vary(&vary, authorization, &cookies),
            vary,
            vary_values: spec.vary_values.unwrap_or(defaults.vary_values),
            authorization,
            cookies,
            set_cookie: spec.set_cookie.unwrap_or_default(),
            host_in_key: spec.host_in_key.unwrap_or(true),
            key_beginning: Vec::new(),
            memorable_keys: None,
            params_come_later: false,
            key: checks::key(spec, &code, policy.params.as_deref())?,
            tags: checks::templates(spec, policy.params.as_deref())?,
            unknown_placeholder: spec.unknown_placeholder.unwrap_or_default(),
            namespace_tags: checks::namespace_tags(namespace.as_deref())?,
            namespace,
            stale_while_revalidate: checks::span(spec.stale_while_revalidate),
            stale_if_error: checks::span(spec.stale_if_error),
            keep: spec.keep.map_or(defaults.keep, |keep| keep.0),
            coalesce: checks::coalesce(spec)?,
            max_body: spec.max_body.unwrap_or(8 << 20),
            max_fill: checks::max_fill(spec)?,
            client_directives: spec.client_directives.unwrap_or(defaults.client_directives),
            targeted_fields: checks::targeted_fields(spec)?,
            cache_groups: spec.cache_groups.unwrap_or_default(),
            unsafe_invalidates: spec.unsafe_invalidates.unwrap_or(defaults.unsafe_invalidates),
            on_invalidation_error: spec.on_invalidation_error.unwrap_or_default(),
            etag: spec.etag.unwrap_or_default(),
            downstream: checks::downstream(spec)?,
            age: spec.age.unwrap_or(true),
            status_header: checks::status_header(spec)?,
            cache_status: spec.cache_status.unwrap_or_default(),
            own_fields: Arc::default(),
            code,
        };
        let key_beginning = usual_key_beginning(&rules);
        let memorable_keys = derive::memorable(&rules);
        let params_come_later = rules.needs_params() && !rules.keys_by_params();
        let own_fields = own_fields(&rules);
        Ok(Self { own_fields, key_beginning, memorable_keys, params_come_later, ..rules })
    }

    /// Whether a request's own directives are heeded.
    pub(crate) const fn honours_client(&self) -> bool {
        matches!(self.client_directives, ClientDirectives::Honour)
    }

    /// Whether the response's own fields decide about its life.
    pub(crate) const fn is_http(&self) -> bool {
        matches!(self.mode, Mode::Http)
    }

    /// Whether a placeholder is needed from the path.
    pub(crate) fn needs_params(&self) -> bool {
        self.keys_by_params()
            || self.tags.iter().any(has_placeholder)
            || self.code.ttl.is_some()
            || self.code.store_if.is_some()
    }

    /// Whether one is needed before anything is looked up.
    #[inline]
    pub(crate) fn keys_by_params(&self) -> bool {
        matches!(&self.key, KeySource::Template(template) if has_placeholder(template))
            || matches!(self.key, KeySource::Function(_))
            || self.code.condition.is_some()
    }

    /// Whether answers say of the caches behind this one what the handler says.
    pub(crate) const fn leaves_downstream(&self) -> bool {
        matches!(self.downstream, DownstreamValue::Leave)
    }
}

fn own_fields(rules: &Rules) -> Arc<[OwnField]> {
    let varying = |name| OwnField { name, always: None };
    let age = rules.age.then(|| varying(header::AGE));
    let status = (rules.cache_status != CacheStatusRule::Off).then(|| varying(CACHE_STATUS));
    let hit = rules
        .status_header
        .as_ref()
        .map(|field| OwnField { name: field.name.clone(), always: Some(field.hit.clone()) });
    [age, status, hit].into_iter().flatten().collect()
}

fn usual_key_beginning(rules: &Rules) -> Vec<u8> {
    let by_origin = matches!(rules.key, KeySource::Target) && rules.host_in_key;
    let scheme = by_origin.then_some(USUAL_SCHEME);
    key_beginning(rules.namespace.as_deref(), &Method::GET, scheme).as_bytes().to_vec()
}

pub(super) fn has_placeholder(template: &Template) -> bool {
    template.placeholders().next().is_some()
}
