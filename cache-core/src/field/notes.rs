//! Which of the fields that decide something a request has.

/// What one pass over the names has found. A request has few fields and rarely one of these; a pass
/// costs less than to look for each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notes<'a> {
    found: Found,
    host: Option<&'a [u8]>,
    none_match: Option<&'a [u8]>,
}

/// Which of these fields there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found(u16);

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
    /// `Content-Length` of more than nothing, or `Transfer-Encoding`.
    Content = 1 << 7,
    /// `If-Range`, which asks for nothing without `Range`.
    IfRange = 1 << 8,
}

impl Found {
    pub(crate) const fn has(self, noted: Noted) -> bool {
        self.0 & noted as u16 != 0
    }
}

impl<'a> Notes<'a> {
    /// The notes on these lines; their names are in lower case.
    pub(crate) fn of(lines: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut found, mut host, mut none_match) = (0, None, None);
        for (name, value) in lines {
            found |= match name {
                "host" if host.replace(value).is_some() => Noted::Hosts as u16,
                "authorization" => Noted::Authorization as u16,
                "cookie" => Noted::Cookie as u16,
                "upgrade" => Noted::Upgrade as u16,
                "if-match" | "if-unmodified-since" => Noted::BeforeChange as u16,
                "if-none-match" => {
                    none_match = Some(value);
                    Noted::Validator as u16
                }
                "if-modified-since" => Noted::Validator as u16,
                "range" => Noted::Range as u16,
                "if-range" => Noted::IfRange as u16,
                "content-length" if value != b"0" => Noted::Content as u16,
                "transfer-encoding" => Noted::Content as u16,
                _ => 0,
            };
        }
        Self { found: Found(found), host, none_match }
    }

    #[inline]
    pub(crate) const fn has(self, noted: Noted) -> bool {
        self.found.has(noted)
    }

    /// The same as if there were none of these fields.
    pub(crate) const fn without(mut self, noted: Noted) -> Self {
        self.found.0 &= !(noted as u16);
        self
    }

    /// Which fields there are, without their values.
    pub(crate) const fn found(self) -> Found {
        self.found
    }

    /// Whether there is one of those that may keep a GET from the cache.
    #[inline]
    pub(crate) const fn have_reserve(self) -> bool {
        const RESERVE: u16 = Noted::Authorization as u16
            | Noted::Cookie as u16
            | Noted::Upgrade as u16
            | Noted::BeforeChange as u16;
        self.found.0 & RESERVE != 0
    }

    /// One line of `If-None-Match`, if there is any.
    pub(crate) const fn none_match(self) -> Option<&'a [u8]> {
        self.none_match
    }

    /// `Host`, if there is one line of it.
    pub(crate) fn only_host(self) -> Option<&'a [u8]> {
        self.host.filter(|_| !self.has(Noted::Hosts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&'static str]) -> Notes<'static> {
        Notes::of(names.iter().map(|name| (*name, &b"x"[..])))
    }

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
            ("if-range", Noted::IfRange),
            ("content-length", Noted::Content),
            ("transfer-encoding", Noted::Content),
        ] {
            assert_eq!(of(&["host"]).found, Found(0));
            assert_eq!(of(&["host", name]).found, Found(noted as u16), "{name}");
            assert!(of(&["host", name]).has(noted));
        }
    }

    #[test]
    fn a_length_of_nothing_announces_no_content() {
        let lines = |lines: &[(&'static str, &'static [u8])]| {
            Notes::of(lines.iter().copied()).has(Noted::Content)
        };
        assert!(!lines(&[("content-length", b"0")]) && lines(&[("content-length", b"1")]));
        assert!(lines(&[("content-length", b"0"), ("transfer-encoding", b"chunked")]));
    }

    #[test]
    fn a_second_host_is_noted() {
        assert_eq!(of(&[]).only_host(), None);
        assert_eq!(of(&["host"]).only_host(), Some(&b"x"[..]));
        assert_eq!(of(&["host", "host"]).only_host(), None);
    }
}
