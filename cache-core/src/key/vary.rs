//! Variants: responses to one primary key that the handler's own `Vary` tells apart
//! (RFC 9111 §4.1).

use std::convert::Infallible;

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
}

impl Asked for HeaderMap {
    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

impl Asked for RequestHead<'_> {
    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        self.lines(name)
    }
}

/// The digest of a request's values for the nominated fields.
#[must_use]
pub fn variant(names: &[HeaderName], request: &impl Asked, values: VaryValues) -> Digest {
    let parts = &mut [None; memo::PARTS];
    if !names.iter().any(is_secret)
        && let Some(parts) = few_parts(names, request, parts)
    {
        let purpose = match values {
            VaryValues::Exact => Purpose::EXACT_VARIANT,
            VaryValues::Normalised => Purpose::NORMALISED_VARIANT,
        };
        let made = || Ok::<_, Infallible>(written(names, request, values).digest());
        let Ok(digest) = memo::digest(purpose, parts, made);
        return digest;
    }
    written(names, request, values).digest()
}

/// Each name with its line, if there are few and none has several lines.
#[inline]
fn few_parts<'p, 'a>(
    names: &'a [HeaderName],
    request: &'a impl Asked,
    parts: &'p mut [memo::Part<'a>; memo::PARTS],
) -> Option<&'p [memo::Part<'a>]> {
    for (number, name) in names.iter().enumerate() {
        let [to_name, to_line] = parts.get_mut(number * 2..)?.first_chunk_mut()?;
        let mut lines = request.lines_of(name);
        *to_name = Some(name.as_str().as_bytes());
        *to_line = lines.next();
        if lines.next().is_some() {
            return None;
        }
    }
    parts.get(..names.len() * 2)
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
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lines(Vec<(HeaderName, Vec<Bytes>)>);

impl Presented {
    /// Copies the values of `names` out of a request.
    #[must_use]
    pub fn take(names: &[HeaderName], request: &HeaderMap) -> Self {
        let values = |name: &HeaderName| {
            let lines = request.get_all(name).iter();
            // No more room than they need: most have one.
            let mut values = Vec::with_capacity(lines.size_hint().0);
            values.extend(lines.map(|line| Bytes::copy_from_slice(line.as_bytes())));
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
