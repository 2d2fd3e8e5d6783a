//! Field values that mean the same (RFC 9111 §4.1), for those that a response's `Vary` names.
//!
//! Several lines are one list (RFC 9110 §5.3), and space around its commas is nothing. Languages are
//! compared without case, and their order is nothing (RFC 9110 §12.5.4); so it is for content codings
//! without case. What is no list stays as it is.

use http::header::{self, HeaderName};

/// The one value that stands for all that mean the same as these lines of a field; `None` if they
/// are to be taken as they are.
pub(super) fn of_lines<'l, I: Iterator<Item = &'l [u8]>>(
    name: &HeaderName,
    lines: I,
) -> Option<Vec<u8>> {
    if !is_list(name) {
        return None;
    }
    let mut lines = lines.peekable();
    lines.peek()?;
    let mut members: Vec<Vec<u8>> = lines.flat_map(split).map(<[u8]>::to_vec).collect();
    if *name == header::ACCEPT_LANGUAGE || *name == header::ACCEPT_ENCODING {
        for member in &mut members {
            *member = member
                .split(|byte| *byte == b';')
                .map(<[u8]>::trim_ascii)
                .collect::<Vec<_>>()
                .join(&b';');
            member.make_ascii_lowercase();
        }
    }
    if *name == header::ACCEPT_LANGUAGE {
        members.sort_unstable();
    }
    // By what no value can contain: a quote that one line leaves open does not reach into the next.
    Some(members.join(&b'\n'))
}

/// Fields that are known to hold no list, or one that is not held together by commas. Of a field
/// that nobody knows, the general syntax is taken (RFC 9110 §5.6.1).
fn is_list(name: &HeaderName) -> bool {
    const SINGLE: [HeaderName; 17] = [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::CONTENT_LENGTH,
        header::CONTENT_LOCATION,
        header::CONTENT_TYPE,
        header::DATE,
        header::EXPIRES,
        header::FROM,
        header::HOST,
        header::IF_MODIFIED_SINCE,
        header::IF_RANGE,
        header::IF_UNMODIFIED_SINCE,
        header::MAX_FORWARDS,
        header::ORIGIN,
        header::REFERER,
        header::USER_AGENT,
    ];
    !SINGLE.contains(name)
}

/// The members of a line, empty ones too: a line that holds nothing is another thing than none.
fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
    .map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(name: &HeaderName, one: &[&str], other: &[&str]) -> bool {
        let lines = |lines: &[&str]| {
            of_lines(name, lines.iter().map(|line| line.as_bytes()))
                .unwrap_or_else(|| lines.join("\n").into_bytes())
        };
        lines(one) == lines(other)
    }

    #[test]
    fn lines_and_spaces_make_no_difference() {
        let foo = HeaderName::from_static("foo");
        assert!(same(&foo, &["1, 2"], &["1", "2"]));
        assert!(same(&foo, &["1,2"], &[" 1 ,\t2 "]));
        assert!(!same(&foo, &["1,2"], &["2,1"]));
        assert!(!same(&foo, &["a"], &["A"]));
        assert!(!same(&foo, &["\"a, b\""], &["\"a,b\""]));
        assert!(!same(&foo, &["a b"], &["a  b"]));
    }

    #[test]
    fn languages_have_no_case_and_no_order() {
        let language = header::ACCEPT_LANGUAGE;
        assert!(same(&language, &["en, de"], &["de, en"]));
        assert!(same(&language, &["en, de;q=0.5"], &["De; q=0.5", "EN"]));
        assert!(!same(&language, &["en, de;q=0.5"], &["en;q=0.5, de"]));
    }

    #[test]
    fn what_is_no_list_stays() {
        assert!(!same(&header::USER_AGENT, &["a (b, c)"], &["a (b,c)"]));
        assert!(!same(&header::COOKIE, &["a=1, 2"], &["a=1,2"]));
    }
}
