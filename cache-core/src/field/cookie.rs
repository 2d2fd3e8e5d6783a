//! The `Cookie` field of a request (RFC 6265 §4.2).

use http::header::{COOKIE, HeaderMap, HeaderValue};

/// The value of each cookie of this name, in order, over all lines.
pub fn values<'h>(request: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    pairs(request).filter(move |(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
}

/// A `Cookie` field with only the cookies of these names, or `None` if none is there.
#[must_use]
pub fn only(request: &HeaderMap, names: &[String]) -> Option<HeaderValue> {
    let mut kept: Vec<u8> = Vec::new();
    for (key, value) in pairs(request) {
        if names.iter().any(|name| name.as_bytes() == key) {
            if !kept.is_empty() {
                kept.extend_from_slice(b"; ");
            }
            kept.extend_from_slice(key);
            kept.push(b'=');
            kept.extend_from_slice(value);
        }
    }
    // Pieces of a valid value are valid.
    if kept.is_empty() { None } else { HeaderValue::from_bytes(&kept).ok() }
}

fn pairs(request: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    request.get_all(COOKIE).iter().flat_map(|line| {
        line.as_bytes().split(|byte| *byte == b';').map(|pair| {
            let pair = pair.trim_ascii();
            match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => {
                    let (name, value) = pair.split_at(at);
                    (name, value.get(1..).unwrap_or_default())
                }
                // A nameless cookie: to a handler its text is a value.
                None => (&[][..], pair),
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_and_lines_join() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("lang=de; sid=1;xlang=no"));
        headers.append(COOKIE, HeaderValue::from_static("lang=a=b; plain"));
        assert_eq!(values(&headers, "lang").collect::<Vec<_>>(), [&b"de"[..], b"a=b"]);
        assert_eq!(only(&headers, &["lang".into()]).unwrap(), "lang=de; lang=a=b");
        assert_eq!(only(&headers, &["none".into()]), None);
    }
}
