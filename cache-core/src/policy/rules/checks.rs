//! One setting each: what is written becomes what is in force, or an error that names it.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::{DownstreamValue, KeySource, StatusField};
use crate::engine::CACHE_STATUS;
use crate::entry::usual;
use crate::key::vary::MAX_NOMINATED;
use crate::policy::error::PolicyError;
use crate::policy::setting::{
    Authorization, Coalesce, Combine, Cookies, Downstream, Mode, StatusHeader, Statuses, Ttl,
};
use crate::policy::spec::{Nullable, Spec};
use crate::policy::{Code, Lifetime, Span};
use crate::tag::Tag;
use crate::tag::template::{Template, UnknownPlaceholder};

/// The life of responses where nobody says anything; under [`Mode::Http`] there is none.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(60);

pub(super) fn span(span: Option<Span>) -> Duration {
    span.unwrap_or_default().0
}

pub(super) fn lifetime(spec: &Spec, mode: Mode) -> Result<Option<Lifetime>, PolicyError> {
    if let Some(zone) = &spec.time_zone {
        // A wrong zone is an error even where nothing uses it yet.
        Lifetime::resolve(&Ttl::EndOfDay { zone: Some(zone.clone()) }, None)?;
    }
    let default = (mode == Mode::Ttl).then_some(Ttl::For(DEFAULT_TTL));
    let Some(ttl) = spec.ttl.clone().or(default) else { return Ok(None) };
    Lifetime::resolve(&ttl, spec.time_zone.as_deref()).map(Some)
}

pub(super) fn lifetime_by_status(spec: &Spec) -> Result<Vec<(StatusCode, Duration)>, PolicyError> {
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

pub(super) fn statuses(spec: &Spec, default: Statuses) -> Result<Statuses, PolicyError> {
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

pub(super) fn methods(spec: &Spec) -> Result<Vec<Method>, PolicyError> {
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
pub(super) fn targeted_fields(spec: &Spec) -> Result<Vec<HeaderName>, PolicyError> {
    fields("targeted_fields", spec.targeted_fields.as_deref().unwrap_or_default())
}

pub(super) fn vary(names: &[String]) -> Result<Vec<HeaderName>, PolicyError> {
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

pub(super) fn cookies(spec: &Spec) -> Result<Cookies, PolicyError> {
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

pub(super) fn emitted_vary(
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

pub(super) fn key(
    spec: &Spec,
    code: &Code,
    params: Option<&[String]>,
) -> Result<KeySource, PolicyError> {
    if let Some(function) = &code.key {
        return Ok(KeySource::Function(function.clone()));
    }
    match &spec.key {
        Some(Nullable(Some(text))) => Ok(KeySource::Template(template("key", text, params)?)),
        _ => Ok(KeySource::Target),
    }
}

pub(super) fn templates(
    spec: &Spec,
    params: Option<&[String]>,
) -> Result<Vec<Template>, PolicyError> {
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
pub(super) fn namespace(application: &Spec, route: &Spec) -> Result<Option<Arc<str>>, PolicyError> {
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
pub(super) fn namespace_tags(namespace: Option<&str>) -> Result<Vec<Tag>, PolicyError> {
    let Some(name) = namespace else { return Ok(Vec::new()) };
    let ends = name.match_indices(':').map(|(at, _)| at).chain([name.len()]);
    ends.map(|end| {
        Tag::namespace(name.get(..end).unwrap_or(name))
            .map_err(|error| PolicyError::new("namespace", name, error.to_string()))
    })
    .collect()
}

pub(super) fn coalesce(spec: &Spec) -> Result<Coalesce, PolicyError> {
    let coalesce = spec.coalesce.unwrap_or_default();
    if let Coalesce::On { wait, max_followers } = coalesce
        && (wait.is_zero() || max_followers == 0)
    {
        let value = format!("wait {wait:?}, max_followers {max_followers}");
        return Err(PolicyError::new("coalesce", value, "admits no follower; use false"));
    }
    Ok(coalesce)
}

pub(super) fn max_fill(spec: &Spec) -> Result<Duration, PolicyError> {
    let max_fill = spec.max_fill.map_or(Duration::from_secs(60), |span| span.0);
    if max_fill.is_zero() {
        return Err(PolicyError::new("max_fill", "0s", "leaves no time to answer"));
    }
    Ok(max_fill)
}

pub(super) fn downstream(spec: &Spec) -> Result<DownstreamValue, PolicyError> {
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

pub(super) fn status_header(spec: &Spec) -> Result<Option<StatusField>, PolicyError> {
    let setting = match spec.status_header.clone() {
        Some(Nullable(None)) => return Ok(None),
        Some(Nullable(Some(setting))) => setting,
        None => StatusHeader::default(),
    };
    let name = HeaderName::from_bytes(setting.name.as_bytes()).map_err(|_| {
        PolicyError::new("status_header", setting.name.clone(), "is not a field name")
    })?;
    let field = "status_header";
    if TAKEN.contains(&name) {
        return Err(PolicyError::new(field, setting.name, "says something else of a message"));
    }
    Ok(Some(StatusField {
        name: usual::name(name),
        hit: value(field, &setting.hit)?,
        miss: value(field, &setting.miss)?,
    }))
}

fn value(field: &'static str, text: &str) -> Result<HeaderValue, PolicyError> {
    HeaderValue::from_str(text)
        .map(usual::setting)
        .map_err(|_| PolicyError::new(field, text, "is not a field value"))
}
