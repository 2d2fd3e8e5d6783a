//! The key of a request.

use http::Method;
use http::header;

use super::Rules;
use super::plan::{Planned, body_in_key};
use super::rules::KeySource;
use super::setting::{Authorization, Cookies};
use crate::field::cookie;
use crate::field::notes::Noted;
use crate::head::RequestHead;
use crate::key::canonical::{Canonical, Part};
use crate::key::memo::{self, Purpose};
use crate::key::vary::is_secret;
use crate::key::{Digest, Key};
use crate::reason::Reason;

/// Derives the key. `custom` is what a key function gave, `body` the digest of the request's body.
pub(crate) fn derive(
    rules: &Rules,
    head: &RequestHead<'_>,
    custom: Option<String>,
    body: Option<&Digest>,
) -> Result<Planned, Reason> {
    let is_head = *head.method() == Method::HEAD;
    let mut canonical = Canonical::empty();
    let custom = written(&mut canonical, rules, head, custom, body)?;
    let is_kept_by_parts = || by_parts(rules, head, &mut [None; memo::PARTS]).is_some();
    let digest = if holds_credentials(rules, head) || body.is_some() || is_kept_by_parts() {
        canonical.digest()
    } else {
        canonical.digest_remembered()
    };
    Ok(Planned { key: Key::new(digest), is_head, custom })
}

/// The key, if this thread was told to [`remember`] it lately.
#[inline]
pub(crate) fn remembered(rules: &Rules, head: &RequestHead<'_>) -> Option<Key> {
    let parts = &mut [None; memo::PARTS];
    let (purpose, parts) = by_parts(rules, head, parts)?;
    memo::find(purpose, parts).map(Key::new)
}

/// Remembers the key that was derived. Not for what nobody has asked for before: a thread remembers few,
/// and of those that are asked for once there may be very many.
#[inline(never)]
pub(crate) fn remember(rules: &Rules, head: &RequestHead<'_>, key: &Key) {
    if let Some((purpose, parts)) = by_parts(rules, head, &mut [None; memo::PARTS])
        && !has_sensitive(rules, head)
    {
        memo::keep(purpose, parts, *key.primary());
    }
}

/// By which parts a key is remembered, and what for.
#[inline]
fn by_parts<'p, 'a>(
    rules: &Rules,
    head: &RequestHead<'a>,
    parts: &'p mut [memo::Part<'a>; memo::PARTS],
) -> Option<(Purpose, &'p [memo::Part<'a>])> {
    Some((rules.memorable_keys?, few_parts(rules, head, parts)?))
}

/// What to remember keys for whose only parts are authority, path, query and a few fields, and in
/// which there are no credentials: not in fields that always have them.
pub(super) fn memorable(rules: &Rules) -> Option<Purpose> {
    let by_target = matches!(rules.key, KeySource::Target) && rules.code.query.is_none();
    let by_credentials = rules.authorization == Authorization::Key
        || matches!(rules.cookies, Cookies::Key(_))
        || rules.vary.iter().any(is_secret);
    let few = rules.vary.len() <= memo::PARTS - TARGET_PARTS;
    (by_target && !by_credentials && few).then(Purpose::new)
}

/// Scheme, authority, path with query. Most have no scheme, and no part for it: the number of parts tells.
const TARGET_PARTS: usize = 3;

/// All that the key of this request without a body depends on beside the rules; `None` where that is
/// more than usual.
#[inline]
fn few_parts<'p, 'a>(
    rules: &Rules,
    head: &RequestHead<'a>,
    parts: &'p mut [memo::Part<'a>; memo::PARTS],
) -> Option<&'p [memo::Part<'a>]> {
    let is_routed_elsewhere = head.rewritten().is_some() || head.moved().is_some();
    if body_in_key(head.method()) || !head.extracted().is_empty() || is_routed_elsewhere {
        return None;
    }
    // Who says it, the target or `Host`, makes no difference to the key.
    let authority = match (head.own_authority(), head.only_host()) {
        (None, host) => host,
        (authority, None) if !head.has(Noted::Hosts) => authority,
        _ => return None,
    };
    if authority.is_none() && rules.host_in_key {
        return None;
    }
    let target = Some(head.target()?.as_bytes());
    let count = if let Some(scheme) = head.scheme() {
        *parts.first_chunk_mut::<TARGET_PARTS>()? = [Some(scheme.as_bytes()), authority, target];
        TARGET_PARTS
    } else {
        *parts.first_chunk_mut()? = [authority, target];
        2
    };
    for (part, name) in parts.iter_mut().skip(count).zip(&rules.vary) {
        let mut lines = head.lines(name);
        *part = lines.next();
        if lines.next().is_some() {
            return None;
        }
    }
    parts.get(..count + rules.vary.len())
}

/// Writes the bytes whose digest is the key; gives the text of a custom key.
fn written(
    canonical: &mut Canonical,
    rules: &Rules,
    head: &RequestHead<'_>,
    custom: Option<String>,
    body: Option<&Digest>,
) -> Result<Option<String>, Reason> {
    let by_origin = matches!(rules.key, KeySource::Target) && rules.host_in_key;
    let scheme = by_origin.then(|| head.scheme().unwrap_or(USUAL_SCHEME));
    let usual = !body_in_key(head.method()) && scheme.is_none_or(|scheme| scheme == USUAL_SCHEME);
    if usual {
        canonical.begin_with(&rules.key_beginning);
    } else {
        let is_head = *head.method() == Method::HEAD;
        let method = if is_head { &Method::GET } else { head.method() };
        let beginning = key_beginning(rules.namespace.as_deref(), method, scheme);
        canonical.begin_with(beginning.as_bytes());
    }
    let custom = match (&rules.key, custom) {
        (KeySource::Template(template), _) => {
            let expanded = template
                .expand(|name| head.placeholder(name))
                .map_err(|_| Reason::UnknownPlaceholder)?;
            canonical.custom(&expanded);
            Some(expanded.text)
        }
        (KeySource::Function(_), Some(text)) if !text.is_empty() => {
            canonical.part(Part::Custom, text.as_bytes());
            Some(text)
        }
        // An empty key would be everybody's.
        (KeySource::Function(_), _) => return Err(Reason::KeyFailed),
        (KeySource::Target, _) => {
            if rules.host_in_key {
                authority_parts(canonical, head);
            }
            let (path, query) = head.path_and_query();
            target_parts(canonical, rules, path, query)?;
            None
        }
    };
    let moved = head.moved().filter(|_| by_origin);
    if let Some(moved) = moved {
        // Also where both are gone, which is not the same as where they have stayed.
        let authority = moved.authority().map_or("", |authority| authority.as_str());
        canonical.part(Part::Scheme, moved.scheme_str().unwrap_or_default().as_bytes());
        canonical.part(Part::Authority, authority.as_bytes());
    }
    if let Some(rewritten) = moved.or_else(|| head.rewritten()) {
        let target = rewritten.path_and_query().map_or("", |target| target.as_str());
        canonical.part(Part::Rewritten, target.as_bytes());
    }
    request_parts(canonical, rules, head);
    if let Some(body) = body {
        canonical.part(Part::Body, body.as_bytes());
        for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
            canonical.named(Part::Field, name.as_str().as_bytes(), head.lines(&name));
        }
    }
    Ok(custom)
}

/// That of requests whose target names none, as in HTTP/1.1.
pub(crate) const USUAL_SCHEME: &str = "http";

/// What the keys of all requests with this method and this scheme, if that is in them, begin with.
pub(crate) fn key_beginning(
    namespace: Option<&str>,
    method: &Method,
    scheme: Option<&str>,
) -> Canonical {
    let mut canonical = Canonical::new();
    if let Some(namespace) = namespace {
        canonical.part(Part::Namespace, namespace.as_bytes());
    }
    canonical.part(Part::Method, method.as_str().as_bytes());
    if let Some(scheme) = scheme {
        canonical.part(Part::Scheme, scheme.as_bytes());
    }
    canonical
}

/// Whether credentials may be among the key's parts.
fn holds_credentials(rules: &Rules, head: &RequestHead<'_>) -> bool {
    head.has(Noted::Authorization)
        || head.has(Noted::Cookie)
        || !head.extracted().is_empty()
        || rules.vary.iter().any(is_secret)
        || has_sensitive(rules, head)
}

/// Whether a value among the key's parts is marked as sensitive.
fn has_sensitive(rules: &Rules, head: &RequestHead<'_>) -> bool {
    rules.vary.iter().any(|name| head.has_sensitive(name))
}

/// The authority, behind the scheme. A `Host` line that says something else is part of it: a handler
/// that reads that line, as frameworks do, must not answer for the authority.
fn authority_parts(canonical: &mut Canonical, head: &RequestHead<'_>) {
    let of_target = head.own_authority();
    if let (None, Some(host)) = (of_target, head.only_host()) {
        return canonical.part_lowercase(Part::Authority, host);
    }
    let mut hosts = head.lines(&header::HOST);
    let Some(authority) = of_target.or_else(|| hosts.next()) else { return };
    canonical.part_lowercase(Part::Authority, authority);
    for other in hosts.filter(|host| !host.eq_ignore_ascii_case(authority)) {
        canonical.part_lowercase(Part::Authority, other);
    }
}

/// Path and query of a target.
pub(super) fn target_parts(
    canonical: &mut Canonical,
    rules: &Rules,
    path: &str,
    query: Option<&str>,
) -> Result<(), Reason> {
    canonical.part(Part::Path, path.as_bytes());
    if rules.code.query.is_some() {
        if let Some(declared) = declared_query(rules, query)? {
            canonical.part(Part::DeclaredQuery, declared.as_bytes());
        }
    } else if let Some(query) = query {
        if rules.query.takes_whole(query) {
            canonical.part(Part::QuerySegment, query.as_bytes());
            return Ok(());
        }
        for segment in rules.query.segments(query) {
            canonical.part(Part::QuerySegment, segment.as_bytes());
        }
    }
    Ok(())
}

/// The query as its declared type writes it, where one is declared.
pub(super) fn declared_query(rules: &Rules, query: Option<&str>) -> Result<Option<String>, Reason> {
    let Some(form) = &rules.code.query else { return Ok(None) };
    let query = query.unwrap_or_default();
    let written = std::panic::AssertUnwindSafe(|| form(query));
    match std::panic::catch_unwind(written) {
        Ok(Some(text)) => Ok(Some(text)),
        _ => Err(Reason::Query),
    }
}

fn request_parts(canonical: &mut Canonical, rules: &Rules, head: &RequestHead<'_>) {
    for name in &rules.vary {
        canonical.named(Part::Field, name.as_str().as_bytes(), head.lines(name));
    }
    if rules.authorization == Authorization::Key {
        let name = header::AUTHORIZATION;
        canonical.named(Part::Field, name.as_str().as_bytes(), head.lines(&name));
    }
    if let Cookies::Key(names) = &rules.cookies {
        for name in names {
            canonical.named(Part::Cookie, name.as_bytes(), cookie::values(head.headers(), name));
        }
    }
    for extracted in head.extracted() {
        canonical.part(Part::Extracted, extracted.name().as_bytes());
        for (name, value) in extracted.fields() {
            canonical.named(Part::Extracted, name.as_bytes(), std::iter::once(value.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Uri};

    use super::*;
    use crate::policy::Policy;

    fn rules(setting: &str) -> Rules {
        let policy: Policy = serde_json::from_str(setting).unwrap();
        Rules::resolve(&Policy::default(), &policy).unwrap()
    }

    #[test]
    fn each_target_that_a_middleware_makes_has_a_key_of_its_own() {
        let rules = rules(r#"{"mode":"ttl"}"#);
        let (sent, headers) = (Uri::from_static("http://a/home"), HeaderMap::new());
        let routed = ["/home", "/x", "http://a/x", "https://a/x", "http://b/x", "http://b/home"];
        let keys = routed.map(|routed| {
            let routed = Uri::from_static(routed);
            let head = RequestHead::new(&Method::GET, &sent, &headers).with_routed(&routed);
            derive(&rules, &head, None, None).unwrap().key
        });
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(number));
        }
    }

    #[test]
    fn a_remembered_key_is_the_one_that_would_be_made() {
        let all = [
            r#"{"mode":"ttl"}"#,
            r#"{"mode":"ttl","vary":["accept","x-one"]}"#,
            r#"{"mode":"http","vary":["cookie"],"cookies":"rfc"}"#,
            r#"{"mode":"ttl","host_in_key":false}"#,
            r#"{"mode":"ttl","cookies":"ignore","authorization":"public"}"#,
            r#"{"mode":"ttl","cookies":{"key":["a"]},"authorization":"key"}"#,
            r#"{"mode":"ttl","query":{"only":["a"]},"namespace":{"name":"n","combine":"replace"}}"#,
            r#"{"mode":"http"}"#,
        ]
        .map(rules);
        let uris = ["/", "/a", "/a?", "/a?b=1", "/a?b=1&a=2", "/a?a=2&b=1", "http://a/a"]
            .into_iter()
            .chain(["https://a/a", "https://b/a", "http://a:80/a?b=1", "/long/enough/for/words?a"]);
        let lines: [&[(&str, &str)]; 12] = [
            &[],
            &[("host", "a")],
            &[("host", "A")],
            &[("host", "a"), ("host", "b")],
            &[("host", "b"), ("accept", "")],
            &[("host", "b"), ("accept", "x")],
            &[("host", "b"), ("x-one", "x")],
            &[("host", "b"), ("accept", "x"), ("accept", "y")],
            &[("host", "b"), ("accept", "xy")],
            &[("host", "b"), ("cookie", "a=1")],
            &[("host", "b"), ("cookie", "a=2"), ("authorization", "b")],
            &[("host", "b"), ("authorization", "c")],
        ];
        let uris: Vec<Uri> = uris.map(|uri| uri.parse().unwrap()).collect();
        let routed = ["/elsewhere?c=3", "http://elsewhere/a", "https://a/a"].map(Uri::from_static);
        for _ in 0..2 {
            for (rules, uri) in
                all.iter().flat_map(|rules| uris.iter().map(move |uri| (rules, uri)))
            {
                for (lines, method) in
                    lines.iter().flat_map(|lines| [Method::GET, Method::HEAD].map(|m| (lines, m)))
                {
                    let headers: HeaderMap = lines
                        .iter()
                        .map(|(name, value)| {
                            (HeaderName::from_static(name), HeaderValue::from_static(value))
                        })
                        .collect();
                    let head = RequestHead::new(&method, uri, &headers);
                    let routed = routed.iter().map(|routed| head.with_routed(routed));
                    for head in std::iter::once(head).chain(routed) {
                        let mut made = Canonical::empty();
                        written(&mut made, rules, &head, None, None).unwrap();
                        let made = Key::new(made.digest());
                        let planned = derive(rules, &head, None, None).unwrap();
                        assert_eq!(planned.key, made, "{method} {uri} {lines:?}");
                        remember(rules, &head, &planned.key);
                        let again = remembered(rules, &head).unwrap_or(made);
                        assert_eq!(again, made, "{method} {uri} {lines:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_key_is_remembered_when_it_is_said_so_and_not_when_it_is_derived() {
        let rules = rules(r#"{"mode":"ttl"}"#);
        let (uri, headers) = (Uri::from_static("http://scan/1"), HeaderMap::new());
        let head = RequestHead::new(&Method::GET, &uri, &headers);
        for known in [None, Some(derive(&rules, &head, None, None).unwrap().key)] {
            if let Some(key) = &known {
                remember(&rules, &head, key);
            }
            assert_eq!(remembered(&rules, &head), known);
        }
    }

    #[test]
    fn no_secret_among_the_parts_of_a_key_is_remembered() {
        let uri = Uri::from_static("http://a/b");
        let is_remembered = |rules: &Rules, name: &'static str, is_sensitive: bool| {
            let mut value = HeaderValue::from_static("s3cret");
            value.set_sensitive(is_sensitive);
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
            let head = RequestHead::new(&Method::GET, &uri, &headers);
            let planned = derive(rules, &head, None, None).unwrap();
            remember(rules, &head, &planned.key);
            let mut whole = Canonical::empty();
            written(&mut whole, rules, &head, None, None).unwrap();
            remembered(rules, &head).is_some() || whole.is_remembered()
        };
        for (setting, name, sensitive, usual) in [
            (
                r#"{"mode":"ttl","vary":["proxy-authorization"]}"#,
                "proxy-authorization",
                false,
                false,
            ),
            (r#"{"mode":"http","vary":["cookie"],"cookies":"rfc"}"#, "cookie", false, false),
            // Few parts and many.
            (r#"{"mode":"ttl","vary":["x-key"]}"#, "x-key", false, true),
            (r#"{"mode":"ttl","vary":["x-key","b","c","d","e"]}"#, "x-key", false, true),
            (r#"{"mode":"ttl","vary":["x-key","b","c","d","e","f"]}"#, "x-key", false, true),
        ] {
            let rules = rules(setting);
            assert_eq!(is_remembered(&rules, name, true), sensitive, "{setting}");
            assert_eq!(is_remembered(&rules, name, false), usual, "{setting}");
        }
    }
}
