//! Which of the fields that decide something a request has.

use http::header::{HeaderMap, HeaderValue};

/// What one pass over the names has found. A request has few fields and rarely one of these; a pass
/// costs less than to look for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes<'a> {
    found: u16,
    host: Option<&'a HeaderValue>,
}

/// A field that decides something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Noted {
    Authorization = 1,
    Cookie = 1 << 1,
    Upgrade = 1 << 2,
    /// `If-Match` or `If-Unmodified-Since`.
    BeforeChange = 1 << 3,
    /// `If-None-Match` or `If-Modified-Since`.
    Validator = 1 << 4,
    Range = 1 << 5,
    /// More than one line of `Host`.
    Hosts = 1 << 6,
}

impl<'a> Notes<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let (mut found, mut host) = (0, None);
        for (name, value) in headers {
            found |= match name.as_str() {
                "host" if host.replace(value).is_some() => Noted::Hosts as u16,
                "authorization" => Noted::Authorization as u16,
                "cookie" => Noted::Cookie as u16,
                "upgrade" => Noted::Upgrade as u16,
                "if-match" | "if-unmodified-since" => Noted::BeforeChange as u16,
                "if-none-match" | "if-modified-since" => Noted::Validator as u16,
                "range" => Noted::Range as u16,
                _ => 0,
            };
        }
        Self { found, host }
    }

    pub(crate) const fn has(self, noted: Noted) -> bool {
        self.found & noted as u16 != 0
    }

    /// `Host`, if there is one line of it.
    pub(crate) fn only_host(self) -> Option<&'a HeaderValue> {
        self.host.filter(|_| !self.has(Noted::Hosts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_noted_alone() {
        for (name, noted) in [
            ("authorization", Noted::Authorization),
            ("cookie", Noted::Cookie),
            ("upgrade", Noted::Upgrade),
            ("if-match", Noted::BeforeChange),
            ("if-unmodified-since", Noted::BeforeChange),
            ("if-none-match", Noted::Validator),
            ("if-modified-since", Noted::Validator),
            ("range", Noted::Range),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("here"));
            assert_eq!(Notes::of(&headers).found, 0);
            headers.insert(name, HeaderValue::from_static("x"));
            assert_eq!(Notes::of(&headers).found, noted as u16, "{name}");
            assert!(Notes::of(&headers).has(noted));
        }
    }

    #[test]
    fn a_second_host_is_noted() {
        let mut headers = HeaderMap::new();
        assert_eq!(Notes::of(&headers).only_host(), None);
        headers.append("host", HeaderValue::from_static("here"));
        assert_eq!(Notes::of(&headers).only_host().unwrap(), "here");
        headers.append("host", HeaderValue::from_static("there"));
        assert_eq!(Notes::of(&headers).only_host(), None);
    }
}
