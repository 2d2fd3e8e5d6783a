//! What depends on whose word decides: defaults, and what one policy takes over from another.

use std::sync::Arc;
use std::time::Duration;

use super::error::PolicyError;
use super::rules::has_placeholder;
use super::setting::{
    Authorization, ClientDirectives, Cookies, Mode, Statuses, UnsafeInvalidates, VaryValues,
};
use super::spec::Spec;
use super::{Code, Policy};
use crate::tag::template::Template;

/// The defaults of a mode.
#[derive(Debug)]
pub(super) struct Defaults {
    pub(super) statuses: Statuses,
    pub(super) authorization: Authorization,
    pub(super) client_directives: ClientDirectives,
    pub(super) unsafe_invalidates: UnsafeInvalidates,
    pub(super) vary_values: VaryValues,
    pub(super) keep: Duration,
}

impl Defaults {
    pub(super) const fn of(mode: Mode) -> Self {
        match mode {
            Mode::Ttl => Self {
                statuses: Statuses::Successful,
                authorization: Authorization::Bypass,
                client_directives: ClientDirectives::Ignore,
                unsafe_invalidates: UnsafeInvalidates::None,
                vary_values: VaryValues::Exact,
                keep: Duration::ZERO,
            },
            Mode::Http => Self {
                statuses: Statuses::Rfc,
                authorization: Authorization::Rfc,
                client_directives: ClientDirectives::Honour,
                unsafe_invalidates: UnsafeInvalidates::Uri,
                vary_values: VaryValues::Normalised,
                keep: Duration::from_secs(3600),
            },
        }
    }
}

/// The mode of a policy that is to stand alone.
pub(super) fn of(spec: &Spec) -> Mode {
    spec.mode.unwrap_or(Mode::Ttl)
}

/// What `own` takes over from `base`: of another mode, only what does not depend on it.
pub(super) fn inherited(own: &Spec, base: &Policy) -> Policy {
    if own.mode.is_none_or(|mode| mode == of(&base.spec)) {
        return base.clone();
    }
    let spec = Spec {
        mode: None,
        ttl: None,
        ttl_by_status: None,
        statuses: None,
        authorization: None,
        cookies: None,
        vary_values: None,
        keep: None,
        client_directives: None,
        targeted_fields: None,
        cache_groups: None,
        unsafe_invalidates: None,
        ..(*base.spec).clone()
    };
    let code = Code { ttl: None, ..(*base.code).clone() };
    Policy { spec: Arc::new(spec), code: Arc::new(code), params: base.params.clone() }
}

/// What functions take over from the application's policy: not what speaks of requests, as the
/// placeholders of tags do, and no key, which all of them would share.
pub(crate) fn for_functions(application: &Policy) -> Policy {
    // What is no template is left to the check, which names it.
    let literal = |text: &String| Template::parse(text).map_or(true, |tag| !has_placeholder(&tag));
    let tags = application.spec.tags.iter().flatten().filter(|text| literal(text));
    let tags = Some(tags.cloned().collect());
    let spec = Spec { key: None, tags, ..(*application.spec).clone() };
    let code = Code { key: None, ttl: None, ..(*application.code).clone() };
    Policy { spec: Arc::new(spec), code: Arc::new(code), params: None }
}

/// Whether a setting has a value that exists under [`Mode::Http`] only.
pub(super) fn needs_http(spec: &Spec) -> bool {
    of_http(spec).is_some()
}

/// Refuses under [`Mode::Ttl`] what would have no effect there, or a dangerous one.
pub(super) fn check(spec: &Spec) -> Result<(), PolicyError> {
    match (of(spec), of_http(spec)) {
        (Mode::Ttl, Some((field, value))) => {
            Err(PolicyError::new(field, value, "needs mode \"http\""))
        }
        _ => Ok(()),
    }
}

/// Refuses in front of an application what only its default would let in: answers to
/// `Authorization` by RFC 9111 §3.5, for everybody, with nobody behind who is asked about a hit.
pub(crate) fn check_in_front(application: &Policy, route: &Policy) -> Result<(), PolicyError> {
    let policy = route.over(application);
    match (of(&policy.spec), policy.spec.authorization) {
        (Mode::Http, None) => Err(PolicyError::new(
            "authorization",
            "rfc",
            "must be set in front of an application, as a hit is authenticated by nobody; \
             \"bypass\" keeps such requests out",
        )),
        _ => Ok(()),
    }
}

fn of_http(spec: &Spec) -> Option<(&'static str, String)> {
    let rfc = || "rfc".to_owned();
    if spec.statuses == Some(Statuses::Rfc) {
        return Some(("statuses", rfc()));
    }
    if spec.authorization == Some(Authorization::Rfc) {
        return Some(("authorization", rfc()));
    }
    if spec.cookies == Some(Cookies::Rfc) {
        return Some(("cookies", rfc()));
    }
    if let Some(names) = spec.targeted_fields.as_ref().filter(|names| !names.is_empty()) {
        return Some(("targeted_fields", names.join(", ")));
    }
    spec.cache_groups.filter(|on| *on).map(|_| ("cache_groups", "true".to_owned()))
}
