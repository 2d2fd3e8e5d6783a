//! Which of the fields that decide about its storing a response has.

use http::header::{self, HeaderMap, HeaderName};

use super::hop_by_hop;

/// What one pass over the lines has found: a response has few, and to look for each of these costs
/// more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    found: u16,
    length: Stated,
    is_event_stream: bool,
}

/// What the lines of `Content-Length` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stated {
    Nothing,
    Length(u64),
    /// No number, or several.
    Nonsense,
}

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
        let mut said = Self { found: 0, length: Stated::Nothing, is_event_stream: false };
        for (name, value) in headers {
            let Some(saying) = saying(name) else { continue };
            said.found |= saying as u16;
            match saying {
                Saying::ContentLength => said.length = said.length.and(value.as_bytes()),
                Saying::ContentType => said.is_event_stream |= is_event_stream(value.as_bytes()),
                _ => {}
            }
        }
        said
    }

    pub(crate) const fn has(self, saying: Saying) -> bool {
        self.found & saying as u16 != 0
    }

    /// What it says of its length.
    pub(crate) const fn length(self) -> Stated {
        self.length
    }

    /// Whether it is a stream of events, which has no end.
    pub(crate) const fn is_event_stream(self) -> bool {
        self.is_event_stream
    }
}

fn saying(name: &HeaderName) -> Option<Saying> {
    Some(match *name {
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
        _ => return None,
    })
}

impl Stated {
    /// With one line more.
    fn and(self, line: &[u8]) -> Self {
        match (self, number(line)) {
            (Self::Nothing, Some(length)) => Self::Length(length),
            (Self::Length(length), Some(again)) if length == again => self,
            _ => Self::Nonsense,
        }
    }
}

/// Digits, and nothing else.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let with = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    text.iter().try_fold(0, with).filter(|_| !text.is_empty())
}

fn is_event_stream(media: &[u8]) -> bool {
    // Most are shorter, or no text.
    if media.len() < EVENT_STREAM.len() || !matches!(media, [b't' | b'T' | b' ' | b'\t', ..]) {
        return false;
    }
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(EVENT_STREAM)
}

const EVENT_STREAM: &[u8] = b"text/event-stream";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(lines: &[(&'static str, &'static str)]) -> Said {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Said::of(&headers)
    }

    #[test]
    fn what_is_there_is_found() {
        let said = of(&[("etag", "x"), ("x-own", "x"), ("content-type", "x"), ("keep-alive", "x")]);
        for saying in [Saying::Etag, Saying::ContentType, Saying::OfConnection] {
            assert!(said.has(saying), "{saying:?}");
        }
        for saying in [Saying::Age, Saying::ContentLength, Saying::Vary, Saying::Date] {
            assert!(!said.has(saying), "{saying:?}");
        }
    }

    #[test]
    fn a_length_is_what_all_lines_agree_on() {
        let length = |lines: &[&'static str]| {
            let lines: Vec<_> = lines.iter().map(|line| ("content-length", *line)).collect();
            of(&lines).length()
        };
        assert_eq!(length(&[]), Stated::Nothing);
        assert_eq!(length(&["0"]), Stated::Length(0));
        assert_eq!(length(&[" 17 ", "17"]), Stated::Length(17));
        assert_eq!(length(&["18446744073709551615"]), Stated::Length(u64::MAX));
        let nonsense: [&[&str]; 7] = [
            &[""],
            &["+1"],
            &["1,1"],
            &["x"],
            &["1", "2"],
            &["1", "x", "1"],
            &["18446744073709551616"],
        ];
        for lines in nonsense {
            assert_eq!(length(lines), Stated::Nonsense, "{lines:?}");
        }
    }

    #[test]
    fn a_stream_of_events_is_told_by_its_media_type() {
        let is_stream = |media| of(&[("content-type", media)]).is_event_stream();
        assert!(is_stream("text/event-stream") && is_stream("Text/Event-Stream ; charset=utf-8"));
        assert!(!is_stream("text/event-stream2") && !is_stream("text/plain; x=text/event-stream"));
    }
}
