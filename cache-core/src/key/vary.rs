//! Variants: responses to one primary key that the handler's own `Vary` tells apart
//! (RFC 9111 §4.1).

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};

use super::canonical::{Canonical, Part};
use super::memo::{self, Purpose};
use super::{Digest, list_value};
use crate::field::list::members;
use crate::head::RequestHead;
use crate::policy::setting::VaryValues;

/// The largest number of nominated fields that one primary key may have. A response that
/// nominates more is not stored.
pub const MAX_NOMINATED: usize = 16;

/// The largest number of variants that the record of a primary key remembers.
pub const MAX_VARIANTS: usize = 32;

/// What a response's `Vary` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nominated {
    /// `*` somewhere, or a member that is no field name: never to be reused.
    Any,
    /// These fields, lower-case, sorted, each once.
    Fields(Vec<HeaderName>),
}

/// Reads all `Vary` lines of a response.
#[must_use]
pub fn nominated(response: &HeaderMap) -> Nominated {
    let mut fields: Vec<HeaderName> = Vec::new();
    for member in members(response, &http::header::VARY) {
        match HeaderName::from_bytes(member) {
            Ok(name) if name != "*" => fields.push(name),
            _ => return Nominated::Any,
        }
    }
    fields.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    fields.dedup();
    Nominated::Fields(fields)
}

/// The fields of a request, read line by line.
pub trait Asked {
    /// The values of a field's lines, in order.
    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]>;

    /// Whether one of these lines is marked as sensitive.
    fn is_sensitive(&self, name: &HeaderName) -> bool;
}

impl Asked for HeaderMap {
    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn is_sensitive(&self, name: &HeaderName) -> bool {
        self.get_all(name).iter().any(HeaderValue::is_sensitive)
    }
}

impl Asked for RequestHead<'_> {
    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.lines(name)
    }

    fn is_sensitive(&self, name: &HeaderName) -> bool {
        self.has_sensitive(name)
    }
}

/// The digest of a request's values for the nominated fields.
#[must_use]
pub fn variant(names: &[HeaderName], request: &impl Asked, values: VaryValues) -> Digest {
    Presenting::of(names, request).digest(values)
}

/// What a request presents for the nominated fields. It is looked for once, if they are few and none
/// has several lines.
pub(crate) struct Presenting<'a, R> {
    names: &'a [HeaderName],
    request: &'a R,
    /// The only line of each, if it has any.
    only: Option<[memo::Part<'a>; FEW]>,
}

const FEW: usize = memo::PARTS / 2;

impl<'a, R: Asked> Presenting<'a, R> {
    #[inline]
    pub(crate) fn of(names: &'a [HeaderName], request: &'a R) -> Self {
        Self { names, request, only: only_lines(names, request) }
    }

    /// The digest of all of it.
    pub(crate) fn digest(&self, values: VaryValues) -> Digest {
        let lines = self.lines().filter(|_| !self.names.iter().any(is_secret));
        let Some(lines) = lines else { return self.made(values) };
        let purpose = match values {
            VaryValues::Exact => Purpose::EXACT_VARIANT,
            VaryValues::Normalised => Purpose::NORMALISED_VARIANT,
        };
        let mut parts = [[None; 2]; FEW];
        for (part, (name, line)) in parts.iter_mut().zip(self.names.iter().zip(lines)) {
            *part = [Some(name.as_str().as_bytes()), *line];
        }
        let parts = parts.as_flattened().get(..2 * lines.len()).unwrap_or_default();
        self.remembered(purpose, parts, values)
    }

    /// The same where these names have a purpose of their own, and none is secret: remembered by the
    /// lines alone.
    #[inline]
    pub(crate) fn digest_for(&self, purpose: Purpose, values: VaryValues) -> Digest {
        match self.lines() {
            Some(lines) => self.remembered(purpose, lines, values),
            None => self.made(values),
        }
    }

    #[inline]
    fn remembered(&self, purpose: Purpose, parts: &[memo::Part<'_>], by: VaryValues) -> Digest {
        let made = || Ok::<_, Infallible>(self.made(by));
        let Ok(digest) = memo::digest(purpose, parts, || self.are_sensitive(), made);
        digest
    }

    #[inline(never)]
    fn made(&self, values: VaryValues) -> Digest {
        written(self.names, self.request, values).digest()
    }

    #[inline(never)]
    fn are_sensitive(&self) -> bool {
        self.names.iter().any(|name| self.request.is_sensitive(name))
    }

    /// Whether the stored values are the same; see [`Presented::matches`].
    #[inline]
    pub(crate) fn matches(&self, stored: &Presented, by: VaryValues) -> bool {
        self.lines().is_some_and(|lines| stored.are(self.names, lines))
            || stored.matches(self.request, by)
    }

    #[inline]
    fn lines(&self) -> Option<&[memo::Part<'a>]> {
        self.only.as_ref()?.get(..self.names.len())
    }
}

#[inline]
fn only_lines<'a>(names: &[HeaderName], request: &'a impl Asked) -> Option<[memo::Part<'a>; FEW]> {
    let mut only = [None; FEW];
    for (name, to) in names.iter().zip(only.get_mut(..names.len())?) {
        let mut lines = request.lines_of(name);
        *to = lines.next();
        if lines.next().is_some() {
            return None;
        }
    }
    Some(only)
}

/// The bytes whose digest it is.
fn written(names: &[HeaderName], request: &impl Asked, values: VaryValues) -> Canonical {
    let mut canonical = Canonical::new();
    for name in names {
        let named = name.as_str().as_bytes();
        match normal(name, request, values) {
            Some(value) => {
                canonical.named(Part::Nominated, named, std::iter::once(value.as_slice()));
            }
            None => {
                canonical.named(Part::Nominated, named, request.lines_of(name));
            }
        }
    }
    canonical
}

/// Whether the values of a field are credentials, which are not kept where they need not be.
pub(crate) fn is_secret(name: &HeaderName) -> bool {
    *name == COOKIE || *name == AUTHORIZATION || *name == PROXY_AUTHORIZATION
}

/// The meaning of a field as one value; `None` if its lines are to be taken as they are.
fn normal(name: &HeaderName, request: &impl Asked, values: VaryValues) -> Option<Vec<u8>> {
    if values == VaryValues::Exact {
        return None;
    }
    list_value::of_lines(name, request.lines_of(name))
}

/// A request's values for nominated fields, kept with the stored response. Most have none, and take
/// little room for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Presented(Option<Box<Lines>>);

/// By field; never empty.
#[derive(Clone, PartialEq, Eq)]
struct Lines(Vec<(HeaderName, Vec<Bytes>)>);

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be credentials.
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Presented {
    /// Copies the values of `names` out of a request.
    #[must_use]
    pub fn take(names: &[HeaderName], request: &impl Asked) -> Self {
        let values = |name: &HeaderName| {
            let lines = request.lines_of(name);
            let mut values: Vec<Bytes> = lines.map(Bytes::copy_from_slice).collect();
            // No more room than they need: most have one.
            values.shrink_to_fit();
            values
        };
        Self::from_lines(names.iter().map(|name| (name.clone(), values(name))).collect())
    }

    /// Whether `request` presents the same values: the same lines in the same order, absent being
    /// another thing than empty; or, where that is asked for, what means the same.
    #[must_use]
    pub fn matches(&self, request: &impl Asked, by: VaryValues) -> bool {
        self.fields().iter().all(|(name, values)| {
            request.lines_of(name).eq(values.iter())
                || by == VaryValues::Normalised
                    && !values.is_empty()
                    && list_value::of_lines(name, values.iter().map(|line| &**line)).is_some_and(
                        |own| list_value::of_lines(name, request.lines_of(name)) == Some(own),
                    )
        })
    }

    /// Whether these are the only lines of the same fields in the same order.
    #[inline]
    fn are(&self, names: &[HeaderName], lines: &[memo::Part<'_>]) -> bool {
        let own = self.fields();
        let same = |((own, values), (name, line)): (&(HeaderName, Vec<Bytes>), (_, &_))| {
            own == name
                && match (values.as_slice(), line) {
                    ([], None) => true,
                    ([value], Some(line)) => value == line,
                    _ => false,
                }
        };
        own.len() == lines.len() && own.iter().zip(names.iter().zip(lines)).all(same)
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.fields().iter().map(|(name, _)| name)
    }

    /// Whether nothing is nominated.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether credentials are among the values.
    pub(crate) fn are_secret(&self) -> bool {
        self.names().any(is_secret)
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = (&HeaderName, &[Bytes])> {
        self.fields().iter().map(|(name, values)| (name, values.as_slice()))
    }

    pub(crate) fn from_lines(fields: Vec<(HeaderName, Vec<Bytes>)>) -> Self {
        Self((!fields.is_empty()).then(|| Box::new(Lines(fields))))
    }

    fn fields(&self) -> &[(HeaderName, Vec<Bytes>)] {
        match &self.0 {
            Some(lines) => &lines.0,
            None => &[],
        }
    }
}

/// What lies under a primary key whose responses have variants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VariantRecord {
    names: Vec<HeaderName>,
    digests: Vec<Digest>,
}

impl VariantRecord {
    pub(crate) const fn from_parts(names: Vec<HeaderName>, digests: Vec<Digest>) -> Self {
        Self { names, digests }
    }

    /// The nominated fields: the union of what the responses to this key have named.
    #[must_use]
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// The variants stored under these names, oldest first.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// The names of this record and of a new response together, or `None` if they are too many.
    #[must_use]
    pub fn union(&self, names: &[HeaderName]) -> Option<Vec<HeaderName>> {
        let mut all = self.names.clone();
        all.extend_from_slice(names);
        all.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        all.dedup();
        (all.len() <= MAX_NOMINATED).then_some(all)
    }

    /// This record after a response nominating `names` was stored as `digest`, and the variant
    /// that had to make room. `None` if the record already says so.
    #[must_use]
    pub fn with(&self, names: &[HeaderName], digest: Digest) -> Option<(Self, Option<Digest>)> {
        if self.names == names && self.digests.contains(&digest) {
            return None;
        }
        // Other names give other digests: the old ones can no longer be looked up.
        let mut digests = if self.names == names { self.digests.clone() } else { Vec::new() };
        let dropped = (digests.len() >= MAX_VARIANTS).then(|| digests.remove(0));
        digests.push(digest);
        Some((Self { names: names.to_vec(), digests }, dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v)))
            .collect()
    }

    #[test]
    fn a_star_in_any_line_is_any() {
        assert_eq!(nominated(&map(&[("vary", "a"), ("vary", "b, *")])), Nominated::Any);
        assert_eq!(nominated(&map(&[("vary", "bad name")])), Nominated::Any);
    }

    #[test]
    fn names_are_sorted_and_unique() {
        let Nominated::Fields(names) = nominated(&map(&[("vary", "B, a"), ("vary", "A,, b")]))
        else {
            panic!("two names");
        };
        assert_eq!(names, ["a", "b"]);
    }

    #[test]
    fn what_is_printed_of_presented_fields_is_their_names() {
        let printed = format!("{:?}", Presented::take(&[COOKIE], &map(&[("cookie", "s3cret")])));
        assert!(printed.contains("cookie") && !printed.contains("s3cret"), "{printed}");
    }

    #[test]
    fn a_value_marked_as_sensitive_is_not_remembered() {
        let names = [HeaderName::from_static("x-key")];
        for is_sensitive in [true, false] {
            let mut request = map(&[("x-key", "s3cret")]);
            request.get_mut("x-key").unwrap().set_sensitive(is_sensitive);
            let presenting = Presenting::of(&names, &request);
            let (name, line) = (Some(&b"x-key"[..]), Some(&b"s3cret"[..]));
            let purpose = Purpose::new();
            presenting.digest(VaryValues::Exact);
            presenting.digest_for(purpose, VaryValues::Exact);
            for (purpose, parts) in
                [(Purpose::EXACT_VARIANT, &[name, line][..]), (purpose, &[line])]
            {
                assert_eq!(memo::find(purpose, parts).is_none(), is_sensitive, "{purpose:?}");
            }
        }
    }

    #[test]
    fn absent_empty_and_repeated_values_differ() {
        let names = [HeaderName::from_static("accept-language")];
        let all = [
            map(&[]),
            map(&[("accept-language", "")]),
            map(&[("accept-language", "de")]),
            map(&[("accept-language", "de"), ("accept-language", "")]),
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                for by in [VaryValues::Exact, VaryValues::Normalised] {
                    assert_eq!(variant(&names, a, by) == variant(&names, b, by), i == j);
                    assert_eq!(variant(&names, a, by), written(&names, a, by).digest());
                    assert_eq!(Presented::take(&names, a).matches(b, by), i == j);
                }
            }
        }
    }

    #[test]
    fn what_was_read_once_is_what_the_request_says() {
        let names = ["accept", "cookie", "x-a", "x-b", "x-c"].map(HeaderName::from_static);
        let all = [
            map(&[]),
            map(&[("accept", ""), ("cookie", "a=1"), ("x-b", "b")]),
            map(&[("x-a", "a"), ("x-a", "b"), ("x-c", "c")]),
        ];
        for request in &all {
            for count in 0..=names.len() {
                let (nominated, _) = names.split_at(count);
                let presenting = Presenting::of(nominated, request);
                for by in [VaryValues::Exact, VaryValues::Normalised] {
                    assert_eq!(presenting.digest(by), written(nominated, request, by).digest());
                    // Also where others are stored than were read.
                    let others = all.iter().flat_map(|other| [(other, nominated), (other, &names)]);
                    for (other, stored) in others {
                        let stored = Presented::take(stored, other);
                        assert_eq!(presenting.matches(&stored, by), stored.matches(request, by));
                    }
                }
            }
        }
    }

    #[test]
    fn the_oldest_variant_makes_room() {
        let names = [HeaderName::from_static("accept")];
        let mut record = VariantRecord::default();
        for n in 0..MAX_VARIANTS {
            let (next, dropped) = record.with(&names, Digest::of(&n.to_be_bytes())).unwrap();
            assert_eq!(dropped, None);
            record = next;
        }
        let (next, dropped) = record.with(&names, Digest::of(b"new")).unwrap();
        assert_eq!(dropped, Some(Digest::of(&0_usize.to_be_bytes())));
        assert_eq!(next.digests().len(), MAX_VARIANTS);
        assert_eq!(next.with(&names, Digest::of(b"new")), None);
    }
}
