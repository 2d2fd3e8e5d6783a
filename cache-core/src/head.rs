//! What the engine reads of a request: everything but its body.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Method, Uri};

use crate::field::notes::{Found, Noted, Notes};
use crate::wishes::Wishes;

/// The head of a request, borrowed from the framework's own, and what the adapter knows beside
/// it. Key functions, conditions and TTL functions see it too.
#[derive(Clone, Copy)]
pub struct RequestHead<'a> {
    method: &'a Method,
    form: Form<'a>,
    params: &'a [(String, String)],
    extracted: &'a [Extracted],
    extensions: Option<&'a Extensions>,
    routed: Option<&'a Uri>,
    has_body: bool,
    guarded: bool,
    outer: Option<&'a Wishes>,
    notes: Notes<'a>,
}

/// Target and fields: as they are, or as they may become.
#[derive(Clone, Copy)]
enum Form<'a> {
    Made(&'a Uri, &'a HeaderMap),
    Later { target: &'a str, head: &'a dyn LaterHead },
}

/// The target and the fields of a request whose framework has types of its own: they become those
/// of `http` only where somebody asks for them, which an answer from the store seldom needs.
///
/// What it gives must be all that the request has, and the same each time.
pub trait LaterHead: Sync {
    /// The target.
    fn uri(&self) -> &Uri;

    /// The fields.
    fn headers(&self) -> &HeaderMap;

    /// One of the lines of a field, counted from zero, and whether there are more behind it; `None`
    /// behind the last.
    fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)>;

    /// Whether a line of this field is marked as sensitive.
    fn is_sensitive(&self, name: &HeaderName) -> bool {
        self.headers().get_all(name).iter().any(HeaderValue::is_sensitive)
    }

    /// Gives the lines of all fields, those of one name in order: the name in lower case, the value,
    /// and whether it is marked as sensitive.
    fn each_line(&self, take: &mut dyn FnMut(&str, &[u8], bool)) {
        each_of(self.headers(), take);
    }
}

fn each_of(headers: &HeaderMap, mut take: impl FnMut(&str, &[u8], bool)) {
    for (name, value) in headers {
        take(name.as_str(), value.as_bytes(), value.is_sensitive());
    }
}

impl<'a> RequestHead<'a> {
    /// A head. `uri` is the target exactly as the client sent it, never shortened by a router.
    #[must_use]
    pub fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        let lines = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        Self::of(method, Form::Made(uri, headers), Notes::of(lines))
    }

    /// A head whose target is no more than a path, which begins with `/`, and a query, exactly as
    /// the client sent them. `lines` are those of all its fields, the names in lower case.
    #[must_use]
    pub fn later(
        method: &'a Method,
        target: &'a str,
        lines: impl Iterator<Item = (&'a str, &'a [u8])>,
        head: &'a dyn LaterHead,
    ) -> Self {
        Self::of(method, Form::Later { target, head }, Notes::of(lines))
    }

    const fn of(method: &'a Method, form: Form<'a>, notes: Notes<'a>) -> Self {
        Self {
            method,
            form,
            params: &[],
            extracted: &[],
            extensions: None,
            routed: None,
            has_body: false,
            guarded: false,
            outer: None,
            notes,
        }
    }

    /// The same with path parameters, decoded, in the order of the path.
    #[must_use]
    pub const fn with_params(mut self, params: &'a [(String, String)]) -> Self {
        self.params = params;
        self
    }

    /// The same with values that guards gave.
    #[must_use]
    pub const fn with_extracted(mut self, extracted: &'a [Extracted]) -> Self {
        self.extracted = extracted;
        self
    }

    /// The same with the request's extensions.
    #[must_use]
    pub const fn with_extensions(mut self, extensions: &'a Extensions) -> Self {
        self.extensions = Some(extensions);
        self
    }

    /// The same with the target as the handler sees it, where a router or a middleware may have
    /// changed it. A shortened path is what nesting does; any other change, that of scheme or authority
    /// too, selects the response.
    #[must_use]
    pub const fn with_routed(mut self, routed: &'a Uri) -> Self {
        self.routed = Some(routed);
        self
    }

    /// The same with whether the request has content.
    #[must_use]
    pub const fn with_body(mut self, has_body: bool) -> Self {
        self.has_body = has_body;
        self
    }

    /// The same with whether guards have let the request through.
    #[must_use]
    pub const fn with_guarded(mut self, guarded: bool) -> Self {
        self.guarded = guarded;
        self
    }

    /// The same inside the fill of an outer cached route, which listens to these wishes.
    #[must_use]
    pub const fn with_outer(mut self, outer: Option<&'a Wishes>) -> Self {
        self.outer = outer;
        self
    }

    /// The same for an answer that is not to be a 304, whatever the client has.
    pub(crate) const fn without_validators(mut self) -> Self {
        self.notes = self.notes.without(Noted::Validator);
        self
    }

    /// Whether a line says that the request has content: what no line says, a request of HTTP/1.1
    /// does not have (RFC 9112 §6.3).
    #[must_use]
    #[inline]
    pub const fn announces_content(&self) -> bool {
        self.notes.has(Noted::Content)
    }

    /// The method.
    #[must_use]
    #[inline]
    pub const fn method(&self) -> &'a Method {
        self.method
    }

    /// The target as the client sent it.
    #[must_use]
    #[inline]
    pub fn uri(&self) -> &'a Uri {
        match self.form {
            Form::Made(uri, _) => uri,
            Form::Later { head, .. } => head.uri(),
        }
    }

    /// The fields.
    #[must_use]
    #[inline]
    pub fn headers(&self) -> &'a HeaderMap {
        match self.form {
            Form::Made(_, headers) => headers,
            Form::Later { head, .. } => head.headers(),
        }
    }

    /// The path parameters, decoded, in the order of the path.
    #[must_use]
    #[inline]
    pub const fn params(&self) -> &'a [(String, String)] {
        self.params
    }

    /// The values that guards gave.
    #[must_use]
    #[inline]
    pub const fn extracted(&self) -> &'a [Extracted] {
        self.extracted
    }

    /// A path parameter.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'a str> {
        self.params.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[inline]
    pub(crate) fn path(&self) -> &'a str {
        self.path_and_query().0
    }

    #[inline]
    pub(crate) fn query(&self) -> Option<&'a str> {
        self.path_and_query().1
    }

    #[inline]
    pub(crate) fn path_and_query(&self) -> (&'a str, Option<&'a str>) {
        match self.form {
            Form::Made(uri, _) => (uri.path(), uri.query()),
            Form::Later { target, .. } => match target.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (target, None),
            },
        }
    }

    /// Path and query, as the one text that they are.
    #[inline]
    pub(crate) fn target(&self) -> Option<&'a str> {
        match self.form {
            Form::Made(uri, _) => Some(uri.path_and_query()?.as_str()),
            Form::Later { target, .. } => Some(target),
        }
    }

    /// The same, where the target is no more than that.
    pub(crate) fn whole_target(&self) -> Option<&'a str> {
        let is_more = self.scheme().is_some() || self.own_authority().is_some();
        self.target().filter(|target| !is_more && target.starts_with('/'))
    }

    /// Takes the lines of all fields as [`LaterHead::each_line`] gives them.
    pub(crate) fn each_line(&self, mut take: impl FnMut(&str, &[u8], bool)) {
        match self.form {
            Form::Made(_, headers) => each_of(headers, take),
            Form::Later { head, .. } => head.each_line(&mut take),
        }
    }

    /// The scheme that the target names.
    #[inline]
    pub(crate) fn scheme(&self) -> Option<&'a str> {
        match self.form {
            Form::Made(uri, _) => uri.scheme_str(),
            Form::Later { .. } => None,
        }
    }

    /// Host and port that the target names.
    #[inline]
    pub(crate) fn own_authority(&self) -> Option<&'a [u8]> {
        match self.form {
            Form::Made(uri, _) => uri.authority().map(|authority| authority.as_str().as_bytes()),
            Form::Later { .. } => None,
        }
    }

    /// Host and port: the target's own, or those of `Host`.
    pub(crate) fn authority(&self) -> Option<&'a [u8]> {
        self.own_authority().or_else(|| self.lines(&HOST).next())
    }

    /// The lines of a field.
    #[inline]
    pub(crate) fn lines(&self, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let (mut made, mut later) = match self.form {
            Form::Made(_, headers) => (Some(headers.get_all(name).iter()), None),
            Form::Later { head, .. } => (None, Some((head, 0))),
        };
        std::iter::from_fn(move || {
            if let Some(made) = &mut made {
                return made.next().map(HeaderValue::as_bytes);
            }
            let (head, number) = later.take()?;
            let (line, more) = head.line(name, number)?;
            if more && number == 1 {
                // Each is looked for from the first one on; of many that would be the square.
                let mut others = head.headers().get_all(name).iter();
                others.nth(number);
                made = Some(others);
            }
            later = more.then_some((head, number + 1));
            Some(line)
        })
    }

    /// Whether a line of this field is marked as sensitive.
    pub(crate) fn has_sensitive(&self, name: &HeaderName) -> bool {
        match self.form {
            Form::Made(_, headers) => headers.get_all(name).iter().any(HeaderValue::is_sensitive),
            Form::Later { head, .. } => head.is_sensitive(name),
        }
    }

    /// The value of `Host`, if there is one line of it.
    #[inline]
    pub(crate) fn only_host(&self) -> Option<&'a [u8]> {
        self.notes.only_host()
    }

    /// One line of `If-None-Match`, if there is any.
    #[inline]
    pub(crate) const fn none_match(&self) -> Option<&'a [u8]> {
        self.notes.none_match()
    }

    /// Whether the request has a field that decides something.
    #[inline]
    pub(crate) const fn has(&self, noted: Noted) -> bool {
        self.notes.has(noted)
    }

    /// Which fields that decide something the request has.
    #[inline]
    pub(crate) const fn found(&self) -> Found {
        self.notes.found()
    }

    /// Whether it has one of those that may keep a GET from the cache.
    #[inline]
    pub(crate) const fn has_reserve(&self) -> bool {
        self.notes.have_reserve()
    }

    #[inline]
    pub(crate) const fn has_body(&self) -> bool {
        self.has_body
    }

    #[inline]
    pub(crate) const fn is_guarded(&self) -> bool {
        self.guarded
    }

    #[inline]
    pub(crate) const fn outer(&self) -> Option<&'a Wishes> {
        self.outer
    }

    #[inline]
    pub(crate) const fn extensions(&self) -> Option<&'a Extensions> {
        self.extensions
    }

    /// The handler's target, if it is not just the client's without a prefix.
    #[inline]
    pub(crate) fn rewritten(&self) -> Option<&'a Uri> {
        let as_sent = |routed: &Uri| match self.form {
            Form::Made(uri, _) => std::ptr::eq(routed, uri) || share_their_text(routed, uri),
            Form::Later { .. } => false,
        };
        self.routed.filter(|routed| !as_sent(routed) && !self.is_shortened_to(routed))
    }

    /// The handler's target, if its scheme or its authority is not the client's. Nesting leaves them.
    #[inline]
    pub(crate) fn moved(&self) -> Option<&'a Uri> {
        let authority = |routed: &'a Uri| routed.authority().map(|it| it.as_str().as_bytes());
        self.routed.filter(|routed| {
            authority(routed) != self.own_authority() || routed.scheme_str() != self.scheme()
        })
    }

    fn is_shortened_to(&self, routed: &Uri) -> bool {
        // What a router keeps for the handler shares its text with the target.
        let same = |one: &str, other: &str| std::ptr::eq(one, other) || one == other;
        let (path, shorter) = (self.path(), routed.path());
        (std::ptr::eq(path, shorter) || path.ends_with(shorter))
            && match (self.query(), routed.query()) {
                (Some(one), Some(other)) => same(one, other),
                (one, other) => one == other,
            }
    }

    /// A typed request extension, where the framework has them.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(&self) -> Option<&'a T> {
        self.extensions?.get()
    }

    /// What a template's placeholder stands for: a value of a guard, else a path parameter.
    #[must_use]
    pub fn placeholder(&self, name: &str) -> Option<Cow<'a, str>> {
        self.extracted
            .iter()
            .find_map(|extracted| extracted.placeholder(name))
            .or_else(|| self.param(name))
            .map(Cow::Borrowed)
    }
}

/// Whether path and query of both lie in the same place, as where one was cloned.
#[inline]
fn share_their_text(one: &Uri, other: &Uri) -> bool {
    match (one.path_and_query(), other.path_and_query()) {
        (Some(one), Some(other)) => std::ptr::eq(one.as_str(), other.as_str()),
        _ => false,
    }
}

impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fields and query may hold credentials.
        f.debug_struct("RequestHead")
            .field("method", self.method)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// What a guard contributes to key, tags and condition under a name.
///
/// All of it is in the cache key. A template reads a single value as `{name}` and a field as
/// `{name.field}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Extracted {
    name: String,
    fields: Fields,
}

/// The value or the named fields that a guard's closure gives.
#[derive(Clone, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl From<String> for Fields {
    fn from(value: String) -> Self {
        Self(vec![(String::new(), value)])
    }
}

impl From<&str> for Fields {
    fn from(value: &str) -> Self {
        Self::from(value.to_owned())
    }
}

impl<N: Into<String>, V: Into<String>, const COUNT: usize> From<[(N, V); COUNT]> for Fields {
    fn from(value: [(N, V); COUNT]) -> Self {
        value.into_iter().collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(iter: I) -> Self {
        Self(iter.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values identify people.
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Extracted {
    /// Values under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, fields: impl Into<Fields>) -> Self {
        Self { name: name.into(), fields: fields.into() }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names and values, in the guard's order; a single value has an empty name.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn placeholder(&self, placeholder: &str) -> Option<&str> {
        let rest = placeholder.strip_prefix(self.name.as_str())?;
        let field = if rest.is_empty() { "" } else { rest.strip_prefix('.')? };
        self.fields().find(|(name, _)| *name == field).map(|(_, value)| value)
    }
}

impl fmt::Debug for Extracted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extracted").field("name", &self.name).field("fields", &self.fields).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Theirs(Uri, HeaderMap);

    impl LaterHead for Theirs {
        fn uri(&self) -> &Uri {
            &self.0
        }

        fn headers(&self) -> &HeaderMap {
            &self.1
        }

        fn line(&self, name: &HeaderName, number: usize) -> Option<(&[u8], bool)> {
            assert!(number < 2, "others are not asked for one by one");
            let mut lines = self.1.get_all(name).iter().skip(number);
            Some((lines.next()?.as_bytes(), lines.next().is_some()))
        }
    }

    #[test]
    fn lines_are_the_same_in_both_forms() {
        let name = HeaderName::from_static("x-line");
        for count in [0, 1, 2, 3, 4, 1_000] {
            let lines = (0..count).map(|number| (name.clone(), HeaderValue::from(number)));
            let theirs = Theirs(Uri::from_static("/a"), lines.collect());
            let made = RequestHead::new(&Method::GET, &theirs.0, &theirs.1);
            let later = RequestHead::later(&Method::GET, "/a", std::iter::empty(), &theirs);
            assert_eq!(made.lines(&name).count(), count);
            assert!(later.lines(&name).eq(made.lines(&name)), "{count}");
        }
    }
}
