//! A request's head, kept for the time when the framework has taken the request.

use std::fmt;
use std::sync::OnceLock;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Method, Uri};

use crate::field::notes::{Found, Noted};
use crate::head::{Extracted, RequestHead};
use crate::key::vary::Asked;

/// The most lines of which a table is made anew. One that is near the size that a table can have might
/// not be made again line by line.
const MANY_LINES: usize = 1 << 10;

/// What becomes of a response may depend on all of it, but seldom does: it is asked for its method,
/// for which fields there are, and for the lines that a response nominates.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) method: Method,
    /// Made of the text where somebody wants it; cloned where the text is not all of it.
    uri: OnceLock<Box<Uri>>,
    lines: Lines,
    /// Made of the lines where somebody wants a table; copied where there are many lines.
    table: OnceLock<Box<HeaderMap>>,
    found: Found,
    params: Vec<(String, String)>,
    extracted: Vec<Extracted>,
    pub(crate) is_guarded: bool,
    /// Only where a function of the policy may ask for them.
    extensions: Option<Box<Extensions>>,
}

impl Kept {
    pub(crate) fn of(head: &RequestHead<'_>, with_extensions: bool) -> Self {
        let extensions = head.extensions().filter(|_| with_extensions);
        let (uri, table) = (OnceLock::new(), OnceLock::new());
        let target = head.whole_target();
        if target.is_none() {
            let _ = uri.set(Box::new(head.uri().clone()));
        }
        let (lines, count) = Lines::of(target.unwrap_or_default(), head);
        if count > MANY_LINES {
            let _ = table.set(Box::new(head.headers().clone()));
        }
        Self {
            extensions: extensions.map(|extensions| Box::new(extensions.clone())),
            method: head.method().clone(),
            uri,
            lines,
            table,
            found: head.found(),
            params: head.params().to_vec(),
            extracted: head.extracted().to_vec(),
            is_guarded: head.is_guarded(),
        }
    }

    /// Whether the request has a field that decides something.
    pub(crate) const fn has(&self, noted: Noted) -> bool {
        self.found.has(noted)
    }

    /// All of it.
    pub(crate) fn head(&self) -> RequestHead<'_> {
        let uri = self.uri.get_or_init(|| Box::new(self.lines.uri()));
        let head = RequestHead::new(&self.method, uri, self.headers())
            .with_params(&self.params)
            .with_extracted(&self.extracted)
            .with_guarded(self.is_guarded);
        match &self.extensions {
            Some(extensions) => head.with_extensions(extensions),
            None => head,
        }
    }

    /// A table of the fields, made at the first call.
    pub(crate) fn headers(&self) -> &HeaderMap {
        self.table.get_or_init(|| Box::new(self.lines.to_map()))
    }

    /// The lines of its fields, without a table of them.
    pub(crate) const fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Target, parameters and fields may hold credentials.
        f.debug_struct("Kept")
            .field("method", &self.method)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

/// The lines of a head in one block: the length of the name, the name, the length of the value and
/// whether it is sensitive, the value. A clone of a table is two blocks and a count for each value.
/// Before them lies the target's text in the same way.
#[derive(Clone)]
pub(crate) struct Lines(Vec<u8>);

/// Room for the lines of most heads.
const USUAL_BYTES: usize = 256;

/// A length.
type Length = [u8; size_of::<u32>()];

impl Lines {
    /// And how many there are.
    fn of(target: &str, head: &RequestHead<'_>) -> (Self, usize) {
        let (mut lines, mut count) = (Vec::with_capacity(USUAL_BYTES), 0);
        put(target.as_bytes(), false, &mut lines);
        head.each_line(|name, value, is_sensitive| {
            put(name.as_bytes(), false, &mut lines);
            put(value, is_sensitive, &mut lines);
            count += 1;
        });
        (Self(lines), count)
    }

    fn uri(&self) -> Uri {
        // It was one before.
        let text = taken(&self.0).map(|((text, _), _)| text).unwrap_or_default();
        Uri::try_from(text).unwrap_or_default()
    }

    fn iter(&self) -> impl Iterator<Item = Line<'_>> {
        let mut rest = taken(&self.0).map(|(_, lines)| lines).unwrap_or_default();
        std::iter::from_fn(move || {
            let ((name, _), after) = taken(rest)?;
            let ((value, is_sensitive), after) = taken(after)?;
            rest = after;
            Some(Line { name, value, is_sensitive })
        })
    }

    fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::new();
        for line in self.iter() {
            // They were names and values before.
            if let (Ok(name), Ok(mut value)) =
                (HeaderName::from_lowercase(line.name), HeaderValue::from_bytes(line.value))
            {
                value.set_sensitive(line.is_sensitive);
                // So few are never refused.
                let refused = map.try_append(name, value);
                debug_assert!(refused.is_ok(), "more than {MANY_LINES} lines");
            }
        }
        map
    }
}

struct Line<'l> {
    name: &'l [u8],
    value: &'l [u8],
    is_sensitive: bool,
}

/// The highest bit of a length.
const SENSITIVE: u32 = 1 << 31;

fn put(bytes: &[u8], is_sensitive: bool, to: &mut Vec<u8>) {
    // Heads are bounded far below 2 GiB by every HTTP server.
    let length = u32::try_from(bytes.len()).unwrap_or_default() & !SENSITIVE;
    let marked = if is_sensitive { length | SENSITIVE } else { length };
    to.extend_from_slice(&marked.to_ne_bytes());
    to.extend_from_slice(bytes.get(..length as usize).unwrap_or_default());
}

/// Bytes and their mark, and what is behind them.
type Taken<'a> = ((&'a [u8], bool), &'a [u8]);

fn taken(from: &[u8]) -> Option<Taken<'_>> {
    let (marked, rest) = from.split_first_chunk::<{ size_of::<Length>() }>()?;
    let marked = u32::from_ne_bytes(*marked);
    let (bytes, rest) = rest.split_at_checked((marked & !SENSITIVE) as usize)?;
    Some(((bytes, marked & SENSITIVE != 0), rest))
}

impl Asked for Lines {
    fn lines_of(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        let name = name.as_str().as_bytes();
        self.iter().filter(move |line| line.name == name).map(|line| line.value)
    }

    fn is_sensitive(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.iter().any(|line| line.name == name && line.is_sensitive)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be credentials.
        f.debug_list().entries(self.iter().map(|line| line.name.escape_ascii())).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::header::Entry;

    use super::*;

    #[test]
    fn what_is_kept_is_what_was_there() {
        let mut headers = HeaderMap::new();
        for (name, value, is_sensitive) in
            [("accept", "a", false), ("cookie", "", true), ("accept", "b\u{e9}", false)]
        {
            let mut value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            value.set_sensitive(is_sensitive);
            headers.append(name, value);
        }
        let uri = Uri::from_static("http://a/b?c");
        let kept = Kept::of(&RequestHead::new(&Method::GET, &uri, &headers), false);
        assert_eq!(*kept.headers(), headers);
        assert!(kept.headers().iter().eq(&headers));
        assert!(
            kept.headers()["cookie"].is_sensitive() && !kept.headers()["accept"].is_sensitive()
        );
        for name in ["accept", "cookie", "host"].map(HeaderName::from_static) {
            assert!(kept.lines().lines_of(&name).eq(headers.lines_of(&name)), "{name}");
            assert_eq!(kept.lines().is_sensitive(&name), name == "cookie");
        }
        assert!(kept.has(Noted::Cookie) && !kept.has(Noted::Range));
        assert_eq!(*kept.head().uri(), uri);
    }

    #[test]
    fn a_table_that_cannot_be_made_line_by_line_is_kept_whole() {
        let name = |number: usize| HeaderName::try_from(format!("x-{number}")).unwrap();
        let value = HeaderValue::from_static("v");
        let mut headers = HeaderMap::new();
        let mut number = 0;
        // Full, and the last name has a second line: no more can be appended, not even that.
        loop {
            match headers.try_entry(name(number)) {
                Ok(Entry::Vacant(vacant)) => {
                    let mut last = vacant.insert_entry(value.clone());
                    last.append(value.clone());
                }
                Ok(Entry::Occupied(_)) => unreachable!("{number} is new"),
                Err(_) => break,
            }
            number += 1;
        }
        headers.try_append(name(number - 1), value).unwrap_err();
        let kept = Kept::of(&RequestHead::new(&Method::GET, &Uri::default(), &headers), false);
        assert!(kept.headers().iter().eq(&headers));
        assert!(kept.lines().lines_of(&name(number - 1)).count() == 2);
    }
}
