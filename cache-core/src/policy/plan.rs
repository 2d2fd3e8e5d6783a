//! What to do with a request before anything is looked up: bypass, or look under this key.

use std::borrow::Cow;
use std::fmt;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::Rules;
use super::derive::{declared_query, target_parts};
use super::setting::{Authorization, Cookies, UnsafeInvalidates};
use crate::engine::kept::Kept;
use crate::entry::StoredHead;
use crate::field::cache_control::CacheControl;
use crate::field::notes::Noted;
use crate::field::{conditional, cookie};
use crate::head::RequestHead;
use crate::key::canonical::{Canonical, Part};
use crate::key::vary::Asked as _;
use crate::key::{Digest, Key};
use crate::reason::Reason;
use crate::tag::{MAX_TAGS, SortedTags, Tag};

/// Where to look, and under which name an invalidation finds it.
#[derive(Clone)]
pub(crate) struct Planned {
    /// The key of the GET class (or of an opted-in method).
    pub(crate) key: Key,
    /// A HEAD request: a stored GET answers it, else an entry of its own class.
    pub(crate) is_head: bool,
    /// The text of a custom key.
    pub(crate) custom: Option<String>,
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text of a key may hold what identifies people.
        f.debug_struct("Planned")
            .field("key", &self.key)
            .field("is_head", &self.is_head)
            .finish_non_exhaustive()
    }
}

/// Whether the request takes part in caching at all.
#[inline]
pub(crate) fn admit(rules: &Rules, head: &RequestHead<'_>) -> Result<(), Reason> {
    if !rules.methods.contains(head.method()) {
        return Err(Reason::Method);
    }
    // Most have nothing that could speak against it.
    let says = head.has_reserve() || head.has_body() || body_in_key(head.method());
    let asked = rules.honours_client() || rules.code.condition.is_some();
    if says || asked { examine(rules, head) } else { Ok(()) }
}

/// All that may.
#[inline(never)]
fn examine(rules: &Rules, head: &RequestHead<'_>) -> Result<(), Reason> {
    if head.has(Noted::Authorization) && rules.authorization == Authorization::Bypass {
        return Err(Reason::Authorization);
    }
    if head.has(Noted::Cookie) && rules.cookies == Cookies::Bypass {
        return Err(Reason::Cookie);
    }
    if head.has_body() && !body_in_key(head.method()) {
        return Err(Reason::RequestBody);
    }
    if head.has(Noted::Upgrade) {
        return Err(Reason::Upgrade);
    }
    let changes = head.has(Noted::Validator) && body_in_key(head.method());
    if (head.has(Noted::BeforeChange) || changes)
        && conditional::needs_origin(head.method(), head.headers())
    {
        return Err(Reason::Precondition);
    }
    if rules.honours_client() && CacheControl::of_request(head.headers()).no_store {
        return Err(Reason::RequestNoStore);
    }
    if let Some(condition) = &rules.code.condition {
        let asked = std::panic::AssertUnwindSafe(|| condition(head));
        if !std::panic::catch_unwind(asked).unwrap_or(false) {
            return Err(Reason::Condition);
        }
    }
    Ok(())
}

/// Whether the request's body is part of the key.
#[inline]
pub(crate) fn body_in_key(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD)
}

/// The tags that follow from the request: namespace levels, key name, templates.
pub(crate) fn tags(
    rules: &Rules,
    head: &RequestHead<'_>,
    planned: &Planned,
) -> Result<Vec<Tag>, Reason> {
    let mut tags = Vec::with_capacity(rules.tags.len() + rules.namespace_tags.len() + 1);
    tags.extend_from_slice(&rules.namespace_tags);
    tags.push(Tag::key(rules.namespace.as_deref(), &key_name(rules, head, planned)));
    if rules.unsafe_invalidates == UnsafeInvalidates::Uri {
        let (path, query) = head.path_and_query();
        let target = target(rules, head, path, query);
        tags.extend([Tag::uri(&target), Tag::uris_of(&target)]);
    }
    for template in &rules.tags {
        let value = |name: &str| head.placeholder(name);
        let text = template
            .expand_tag(value, rules.unknown_placeholder)
            .map_err(|_| Reason::UnknownPlaceholder)?;
        // Who invalidates by the whole value must reach the entry as well, if it can be a tag.
        let whole = template.expand(value).ok().filter(|whole| whole.text != text);
        tags.extend(whole.and_then(|whole| Tag::new(&whole.text).ok()));
        tags.push(Tag::new(&text).map_err(|_| Reason::Tags)?);
    }
    Ok(tags)
}

/// The digest of a target on the request's origin, as its reserved tag has it. What makes no
/// difference to the key makes none here.
pub(crate) fn target(
    rules: &Rules,
    head: &RequestHead<'_>,
    path: &str,
    query: Option<&str>,
) -> Digest {
    let mut canonical = of_origin(rules, head);
    // A query that is not of the declared type selects nothing that is stored.
    let _ = target_parts(&mut canonical, rules, path, query);
    canonical.digest()
}

/// The reserved tag of a cache group on the request's origin (RFC 9875 §2.1).
pub(crate) fn group(rules: &Rules, head: &RequestHead<'_>, name: &str) -> Tag {
    let mut canonical = of_origin(rules, head);
    canonical.part(Part::Group, name.as_bytes());
    Tag::group(&canonical.digest())
}

/// The request's origin, as reserved tags have it. HTTP/1.1 does not say its scheme and HTTP/2
/// does, and a port may be left out: what one client writes must reach what another one has read.
fn of_origin(rules: &Rules, head: &RequestHead<'_>) -> Canonical {
    let mut canonical = Canonical::new();
    if let Some(authority) = head.authority().filter(|_| rules.host_in_key) {
        let host = authority.rsplit(|byte| *byte == b'@').next().unwrap_or(authority);
        let implied = host.strip_suffix(b":80").or_else(|| host.strip_suffix(b":443"));
        canonical.part_lowercase(Part::Authority, implied.unwrap_or(host));
    }
    canonical
}

/// The custom key's text, or the target without what the `query` setting leaves out.
pub(crate) fn key_name<'a>(
    rules: &Rules,
    head: &RequestHead<'a>,
    planned: &'a Planned,
) -> Cow<'a, str> {
    if let Some(custom) = &planned.custom {
        return Cow::Borrowed(custom);
    }
    let (path, query) = head.path_and_query();
    if let Ok(Some(declared)) = declared_query(rules, query) {
        return match declared.as_str() {
            "" => Cow::Borrowed(path),
            declared => Cow::Owned(format!("{path}?{declared}")),
        };
    }
    let Some(query) = query else { return Cow::Borrowed(path) };
    if rules.query.takes_whole(query)
        && let Some(target) = head.target()
        && target.len() == path.len() + 1 + query.len()
    {
        return Cow::Borrowed(target);
    }
    let segments = rules.query.segments(query);
    if segments.is_empty() && rules.query.reduces() {
        return Cow::Borrowed(path);
    }
    Cow::Owned([path, "?", &segments.join("&")].concat())
}

/// All tags of an entry: those of the request and those of the handler.
pub(crate) fn all_tags(mut tags: Vec<Tag>, added: &[Tag]) -> Result<SortedTags, Reason> {
    tags.extend_from_slice(added);
    let tags = SortedTags::new(tags);
    if tags.len() > MAX_TAGS { Err(Reason::Tags) } else { Ok(tags) }
}

/// What the handler must not see, because the answer would depend on something outside the key:
/// fields to remove, or to replace all lines of.
///
/// Where the answer may be stored, the client's own validators are hidden too: the handler's whole
/// answer is wanted, and the client's conditions are judged on it. In their place stand those of
/// the stored response that is to be validated.
pub(crate) fn changed_fields(
    rules: &Rules,
    request: &Kept,
    may_store: bool,
    validators: Validators,
) -> Vec<(HeaderName, Option<HeaderValue>)> {
    let mut changed = Vec::new();
    match &rules.cookies {
        Cookies::Ignore => changed.push((header::COOKIE, None)),
        Cookies::Key(names) => {
            changed.push((header::COOKIE, cookie::only(request.headers(), names)));
        }
        Cookies::Bypass | Cookies::Rfc => {}
    }
    if !may_store {
        return changed;
    }
    // Only a refresh of the whole has them.
    for (noted, name) in [(Noted::Range, header::RANGE), (Noted::IfRange, header::IF_RANGE)] {
        if request.has(noted) {
            changed.push((name, None));
        }
    }
    if request.has(Noted::Validator) || !validators.is_empty() {
        let own = [
            (header::IF_NONE_MATCH, validators.etag),
            (header::IF_MODIFIED_SINCE, validators.last_modified),
        ];
        let there = |name: &HeaderName| request.lines().lines_of(name).next().is_some();
        changed.extend(own.into_iter().filter(|(name, value)| value.is_some() || there(name)));
    }
    changed
}

/// What a stored response can be validated by (RFC 9111 §4.3.1).
#[derive(Clone, Debug, Default)]
pub(crate) struct Validators {
    /// The handler's own entity tag: it does not know ours.
    pub(crate) etag: Option<HeaderValue>,
    pub(crate) last_modified: Option<HeaderValue>,
}

impl Validators {
    /// Those of a stored response; a 304 would stand for a 200 (RFC 9110 §15.4.5), so there are none
    /// of another one.
    pub(crate) fn of(stored: &StoredHead) -> Self {
        if stored.status != StatusCode::OK {
            return Self::default();
        }
        let etag = stored.headers.get(&header::ETAG).filter(|_| !stored.etag_is_ours);
        Self { etag, last_modified: stored.headers.get(&header::LAST_MODIFIED) }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}
