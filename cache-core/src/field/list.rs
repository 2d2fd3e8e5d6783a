//! Comma-separated lists over several field lines (RFC 9110 §5.6.1).

use http::header::{HeaderMap, HeaderName};

/// The members of a list field, over all its lines, in order; empty ones are skipped and quoted
/// strings are not split.
pub fn members<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'h [u8]> + use<'h> {
    headers.get_all(name).iter().flat_map(|line| split(line.as_bytes()))
}

/// The members of one line.
pub fn split(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        loop {
            let line = rest?;
            let end = end_of_member(line);
            let (member, after) = line.split_at_checked(end)?;
            rest = after.split_first().map(|(_comma, after)| after);
            let member = member.trim_ascii();
            if !member.is_empty() {
                return Some(member);
            }
        }
    })
}

/// The index of the first comma outside quotes, or the length.
fn end_of_member(line: &[u8]) -> usize {
    let mut quoted = false;
    let mut escaped = false;
    line.iter()
        .position(|byte| {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b',' if !quoted => return true,
                _ => {}
            }
            false
        })
        .unwrap_or(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_protect_commas_and_empty_members_are_skipped() {
        let line = br#" a , , "b, \" c",d="e,f" ,"#;
        let members: Vec<_> = split(line).collect();
        assert_eq!(members, [&b"a"[..], br#""b, \" c""#, br#"d="e,f""#]);
        assert_eq!(split(b"").count(), 0);
        assert_eq!(split(b"\"open, quote").count(), 1);
    }
}
