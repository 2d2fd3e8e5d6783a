//! The fields of a response that is about to be stored.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::fields::StoredFields;
use super::packed::{pack_with_room, put_line};

/// Packed fields to which some more may be added: at its head a response does not have those yet
/// that depend on its body.
#[derive(Debug, Default)]
pub(crate) struct Packing(Vec<u8>);

impl Packing {
    /// Packs those lines that `kept` lets through, and these; with room for so many bytes more.
    pub(crate) fn of(
        headers: &HeaderMap,
        kept: impl Fn(&HeaderName) -> bool,
        added: &[Option<(HeaderName, HeaderValue)>],
        room: usize,
    ) -> Self {
        Self(pack_with_room(room, |to| {
            for (name, value) in headers.iter().filter(|(name, _)| kept(name)) {
                put_line(name, value, to);
            }
            for (name, value) in added.iter().flatten() {
                put_line(name, value, to);
            }
        }))
    }

    /// Adds a line, of a name that has none yet.
    pub(crate) fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        put_line(name, value, &mut self.0);
    }

    /// All of them.
    pub(crate) fn finish(self) -> StoredFields {
        StoredFields::of_lines(self.0)
    }
}
