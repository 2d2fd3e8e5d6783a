//! A policy, resolved and checked: what the decisions read.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::error::PolicyError;
use super::mode::{self, Defaults};
use super::plan::{USUAL_SCHEME, key_beginning};
use super::setting::{
    Authorization, CacheStatusRule, ClientDirectives, Coalesce, Combine, Cookies, Downstream,
    EtagRule, Mode, OnInvalidationError, SetCookie, Statuses, Ttl, UnsafeInvalidates, VaryValues,
};
use super::spec::{Nullable, Spec};
use super::{Code, KeyFunction, Lifetime, Policy};
use crate::engine::CACHE_STATUS;
use crate::entry::OwnField;
use crate::key::query::QueryRule;
use crate::key::vary::MAX_NOMINATED;
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
        let namespace = namespace(&application.spec, &route.spec)?;
        mode::check(spec)?;
        let mode = mode::of(spec);
        let defaults = Defaults::of(mode);
        let vary = vary(spec.vary.as_deref().unwrap_or_default())?;
        let authorization = spec.authorization.unwrap_or(defaults.authorization);
        let cookies = cookies(spec)?;
        let rules = Self {
            mode,
            lifetime: lifetime(spec, mode)?,
            lifetime_by_status: lifetime_by_status(spec)?,
            time_zone: spec.time_zone.clone(),
            methods: methods(spec)?,
            key_body_limit: spec.key_body_limit.unwrap_or(64 << 10),
            statuses: statuses(spec, defaults.statuses)?,
            query: spec.query.clone().unwrap_or_default(),
            emitted_vary: emitted_vary(&vary, authorization, &cookies),
            vary,
            vary_values: spec.vary_values.unwrap_or(defaults.vary_values),
            authorization,
            cookies,
            set_cookie: spec.set_cookie.unwrap_or_default(),
            host_in_key: spec.host_in_key.unwrap_or(true),
            key_beginning: Vec::new(),
            key: key(spec, &code, policy.params.as_deref())?,
            tags: templates(spec, policy.params.as_deref())?,
            unknown_placeholder: spec.unknown_placeholder.unwrap_or_default(),
            namespace_tags: namespace_tags(namespace.as_deref())?,
            namespace,
            stale_while_revalidate: span(spec.stale_while_revalidate),
            stale_if_error: span(spec.stale_if_error),
            keep: spec.keep.map_or(defaults.keep, |keep| keep.0),
            coalesce: coalesce(spec)?,
            max_body: spec.max_body.unwrap_or(8 << 20),
            max_fill: max_fill(spec)?,
            client_directives: spec.client_directives.unwrap_or(defaults.client_directives),
            targeted_fields: targeted_fields(spec)?,
            cache_groups: spec.cache_groups.unwrap_or_default(),
            unsafe_invalidates: spec.unsafe_invalidates.unwrap_or(defaults.unsafe_invalidates),
            on_invalidation_error: spec.on_invalidation_error.unwrap_or_default(),
            etag: spec.etag.unwrap_or_default(),
            downstream: downstream(spec)?,
            age: spec.age.unwrap_or(true),
            status_header: status_header(spec)?,
            cache_status: spec.cache_status.unwrap_or_default(),
            own_fields: Arc::default(),
            code,
        };
        let key_beginning = usual_key_beginning(&rules);
        Ok(Self { own_fields: own_fields(&rules), key_beginning, ..rules })
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
    /// Whether answers say of the caches behind this one what the handler says.
    pub(crate) const fn leaves_downstream(&self) -> bool {
        matches!(self.downstream, DownstreamValue::Leave)
    }

    pub(crate) fn keys_by_params(&self) -> bool {
        matches!(&self.key, KeySource::Template(template) if has_placeholder(template))
            || matches!(self.key, KeySource::Function(_))
            || self.code.condition.is_some()
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

fn has_placeholder(template: &Template) -> bool {
    template.placeholders().next().is_some()
}

/// The life of responses where nobody says anything; under [`Mode::Http`] there is none.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(60);

fn span(span: Option<super::Span>) -> Duration {
    span.unwrap_or_default().0
}

fn lifetime(spec: &Spec, mode: Mode) -> Result<Option<Lifetime>, PolicyError> {
    if let Some(zone) = &spec.time_zone {
        // A wrong zone is an error even where nothing uses it yet.
        Lifetime::resolve(&Ttl::EndOfDay { zone: Some(zone.clone()) }, None)?;
    }
    let default = (mode == Mode::Ttl).then_some(Ttl::For(DEFAULT_TTL));
    let Some(ttl) = spec.ttl.clone().or(default) else { return Ok(None) };
    Lifetime::resolve(&ttl, spec.time_zone.as_deref()).map(Some)
}

fn lifetime_by_status(spec: &Spec) -> Result<Vec<(StatusCode, Duration)>, PolicyError> {
    let table = spec.ttl_by_status.iter().flatten();
    table
        .map(|(code, span)| {
            let status = final_status("ttl_by_status", code.0)?;
            Ok((status, span.0))
        })
        .collect()
}

fn final_status(field: &'static str, code: u16) -> Result<StatusCode, PolicyError> {
    match StatusCode::from_u16(code) {
        Ok(StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) => {
            Err(PolicyError::new(field, code.to_string(), "can never be stored"))
        }
        Ok(status) if !status.is_informational() => Ok(status),
        _ => Err(PolicyError::new(field, code.to_string(), "is not a final status code")),
    }
}

fn statuses(spec: &Spec, default: Statuses) -> Result<Statuses, PolicyError> {
    let statuses = spec.statuses.clone().unwrap_or(default);
    if let Statuses::These(list) = &statuses {
        if list.is_empty() {
            return Err(PolicyError::new("statuses", "[]", "admits nothing"));
        }
        for status in list {
            final_status("statuses", status.as_u16())?;
        }
    }
    Ok(statuses)
}

fn methods(spec: &Spec) -> Result<Vec<Method>, PolicyError> {
    let Some(names) = &spec.methods else { return Ok(vec![Method::GET, Method::HEAD]) };
    if names.is_empty() {
        return Err(PolicyError::new("methods", "[]", "caches nothing"));
    }
    let parse = |name: &String| match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT | Method::TRACE | Method::OPTIONS) | Err(_) => {
            Err(PolicyError::new("methods", name.clone(), "is not a method that can be cached"))
        }
        // Methods are case-sensitive (RFC 9110 §9.1): `get` is another method, which no client sends.
        Ok(method) if method.as_str().chars().any(|c| c.is_ascii_lowercase()) => {
            Err(PolicyError::new("methods", name.clone(), "must be written in capitals"))
        }
        Ok(method) => Ok(method),
    };
    names.iter().map(parse).collect()
}

/// In their order: the first that a response has speaks to this cache.
fn targeted_fields(spec: &Spec) -> Result<Vec<HeaderName>, PolicyError> {
    fields("targeted_fields", spec.targeted_fields.as_deref().unwrap_or_default())
}

fn vary(names: &[String]) -> Result<Vec<HeaderName>, PolicyError> {
    let mut names = fields("vary", names)?;
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Ok(names)
}

fn fields(field: &'static str, names: &[String]) -> Result<Vec<HeaderName>, PolicyError> {
    if names.len() > MAX_NOMINATED {
        let problem = format!("are more than {MAX_NOMINATED} fields");
        return Err(PolicyError::new(field, names.join(", "), problem));
    }
    let parse = |name: &String| match HeaderName::from_bytes(name.as_bytes()) {
        Ok(name) if name != "*" => Ok(name),
        _ => Err(PolicyError::new(field, name.clone(), "is not a field name")),
    };
    names.iter().map(parse).collect()
}

fn cookies(spec: &Spec) -> Result<Cookies, PolicyError> {
    let cookies = spec.cookies.clone().unwrap_or_default();
    if let Cookies::Key(names) = &cookies {
        let bad = |name: &&String| {
            name.is_empty() || name.contains(|c: char| c.is_control() || "=;, ".contains(c))
        };
        if names.is_empty() {
            return Err(PolicyError::new("cookies", "key: []", "names no cookie"));
        }
        if let Some(name) = names.iter().find(bad) {
            return Err(PolicyError::new("cookies", name.clone(), "is not a cookie's name"));
        }
    }
    Ok(cookies)
}

fn emitted_vary(
    vary: &[HeaderName],
    authorization: Authorization,
    cookies: &Cookies,
) -> Vec<HeaderName> {
    let mut names = vary.to_vec();
    if authorization == Authorization::Key {
        names.push(header::AUTHORIZATION);
    }
    if matches!(cookies, Cookies::Key(_)) {
        names.push(header::COOKIE);
    }
    names
}

fn key(spec: &Spec, code: &Code, params: Option<&[String]>) -> Result<KeySource, PolicyError> {
    if let Some(function) = &code.key {
        return Ok(KeySource::Function(function.clone()));
    }
    match &spec.key {
        Some(Nullable(Some(text))) => Ok(KeySource::Template(template("key", text, params)?)),
        _ => Ok(KeySource::Target),
    }
}

fn templates(spec: &Spec, params: Option<&[String]>) -> Result<Vec<Template>, PolicyError> {
    let reject = spec.unknown_placeholder.unwrap_or_default() == UnknownPlaceholder::Reject;
    let params = params.filter(|_| reject);
    spec.tags.iter().flatten().map(|text| template("tags", text, params)).collect()
}

/// Parses a template; where the path is known, its placeholders are checked, save those of guards
/// (with a dot, or unknown here), which `params` lists too.
pub(crate) fn template(
    field: &'static str,
    text: &str,
    params: Option<&[String]>,
) -> Result<Template, PolicyError> {
    let template = Template::parse(text)
        .map_err(|error| PolicyError::new(field, text, format!("is no template: {error}")))?;
    if let Some(params) = params {
        let root = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
        let known = |name: &str| params.iter().any(|p| p == name || *p == root(name));
        if let Some(name) = template.placeholders().find(|name| !known(name)) {
            let problem = format!("names {{{name}}}, which neither the path nor a guard has");
            return Err(PolicyError::new(field, text, problem));
        }
    }
    Ok(template)
}

/// `app` and `users` become `app:users`, or `users` where the route replaces.
fn namespace(application: &Spec, route: &Spec) -> Result<Option<Arc<str>>, PolicyError> {
    let own = |spec: &Spec| spec.namespace.clone().and_then(|namespace| namespace.0);
    let base = own(application);
    let name = match (base, own(route)) {
        (Some(base), Some(own)) if own.combine == Combine::Concat => {
            format!("{}:{}", base.name, own.name)
        }
        (_, Some(own)) => own.name,
        (Some(base), None) => base.name,
        (None, None) => return Ok(None),
    };
    if name.split(':').any(str::is_empty) {
        return Err(PolicyError::new("namespace", name, "has an empty level"));
    }
    Ok(Some(name.into()))
}

/// One reserved tag per level.
fn namespace_tags(namespace: Option<&str>) -> Result<Vec<Tag>, PolicyError> {
    let Some(name) = namespace else { return Ok(Vec::new()) };
    let ends = name.match_indices(':').map(|(at, _)| at).chain([name.len()]);
    ends.map(|end| {
        Tag::namespace(name.get(..end).unwrap_or(name))
            .map_err(|error| PolicyError::new("namespace", name, error.to_string()))
    })
    .collect()
}

fn coalesce(spec: &Spec) -> Result<Coalesce, PolicyError> {
    let coalesce = spec.coalesce.unwrap_or_default();
    if let Coalesce::On { wait, max_followers } = coalesce
        && (wait.is_zero() || max_followers == 0)
    {
        let value = format!("wait {wait:?}, max_followers {max_followers}");
        return Err(PolicyError::new("coalesce", value, "admits no follower; use false"));
    }
    Ok(coalesce)
}

fn max_fill(spec: &Spec) -> Result<Duration, PolicyError> {
    let max_fill = spec.max_fill.map_or(Duration::from_secs(60), |span| span.0);
    if max_fill.is_zero() {
        return Err(PolicyError::new("max_fill", "0s", "leaves no time to answer"));
    }
    Ok(max_fill)
}

fn downstream(spec: &Spec) -> Result<DownstreamValue, PolicyError> {
    Ok(match spec.downstream.clone().unwrap_or_default() {
        Downstream::Leave => DownstreamValue::Leave,
        Downstream::MaxAgeRemaining => DownstreamValue::MaxAgeRemaining,
        Downstream::NoStore => DownstreamValue::NoStore,
        Downstream::Fixed(text) if text.trim().is_empty() => {
            return Err(PolicyError::new("downstream", text, "says nothing"));
        }
        Downstream::Fixed(text) => DownstreamValue::Fixed(value("downstream", &text)?),
    })
}

/// Fields that a client, a connection or this cache reads.
const TAKEN: [HeaderName; 13] = [
    header::AGE,
    CACHE_STATUS,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::LOCATION,
    header::SET_COOKIE,
    header::TRANSFER_ENCODING,
    header::VARY,
];

fn status_header(spec: &Spec) -> Result<Option<StatusField>, PolicyError> {
    let setting = match spec.status_header.clone() {
        Some(Nullable(None)) => return Ok(None),
        Some(Nullable(Some(setting))) => setting,
        None => super::setting::StatusHeader::default(),
    };
    let name = HeaderName::from_bytes(setting.name.as_bytes()).map_err(|_| {
        PolicyError::new("status_header", setting.name.clone(), "is not a field name")
    })?;
    let field = "status_header";
    if TAKEN.contains(&name) {
        return Err(PolicyError::new(field, setting.name, "says something else of a message"));
    }
    Ok(Some(StatusField {
        name,
        hit: value(field, &setting.hit)?,
        miss: value(field, &setting.miss)?,
    }))
}

fn value(field: &'static str, text: &str) -> Result<HeaderValue, PolicyError> {
    HeaderValue::from_str(text).map_err(|_| PolicyError::new(field, text, "is not a field value"))
}
