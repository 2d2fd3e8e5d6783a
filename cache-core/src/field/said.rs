//! Which of the fields that decide about its storing a response has.

use http::header::{self, HeaderMap, HeaderName};

use super::hop_by_hop;

/// What one pass over the names has found: a response has few fields, and to look for each of these
/// costs more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Said(u16);

/// A field that decides something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Saying {
    AcceptRanges = 1,
    Age = 1 << 1,
    CacheControl = 1 << 2,
    ContentLength = 1 << 3,
    ContentRange = 1 << 4,
    ContentType = 1 << 5,
    Date = 1 << 6,
    Etag = 1 << 7,
    LastModified = 1 << 8,
    SetCookie = 1 << 9,
    Vary = 1 << 10,
    /// One that is always the connection's own.
    OfConnection = 1 << 11,
}

impl Said {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |found, name| found | Self::number(name)))
    }

    pub(crate) const fn has(self, saying: Saying) -> bool {
        self.0 & saying as u16 != 0
    }

    fn number(name: &HeaderName) -> u16 {
        let saying = match *name {
            header::ACCEPT_RANGES => Saying::AcceptRanges,
            header::AGE => Saying::Age,
            header::CACHE_CONTROL => Saying::CacheControl,
            header::CONTENT_LENGTH => Saying::ContentLength,
            header::CONTENT_RANGE => Saying::ContentRange,
            header::CONTENT_TYPE => Saying::ContentType,
            header::DATE => Saying::Date,
            header::ETAG => Saying::Etag,
            header::LAST_MODIFIED => Saying::LastModified,
            header::SET_COOKIE => Saying::SetCookie,
            header::VARY => Saying::Vary,
            _ if hop_by_hop::is_own(name) => Saying::OfConnection,
            _ => return 0,
        };
        saying as u16
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn what_is_there_is_found() {
        let mut headers = HeaderMap::new();
        for name in ["etag", "x-own", "content-type", "keep-alive"] {
            headers.append(name, HeaderValue::from_static("x"));
        }
        let said = Said::of(&headers);
        for saying in [Saying::Etag, Saying::ContentType, Saying::OfConnection] {
            assert!(said.has(saying), "{saying:?}");
        }
        for saying in [Saying::Age, Saying::ContentLength, Saying::Vary, Saying::Date] {
            assert!(!said.has(saying), "{saying:?}");
        }
    }
}
