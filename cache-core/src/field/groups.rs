//! Cache groups: responses that are invalidated together (RFC 9875).

use http::header::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, List, ListEntry, Parser};

/// The groups that a response belongs to.
pub const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");

/// The groups that a response to an unsafe request invalidates.
pub const CACHE_GROUP_INVALIDATION: HeaderName =
    HeaderName::from_static("cache-group-invalidation");

/// The largest number of groups that one field may name. The RFC asks for 32 at least (§4).
pub const MAX_GROUPS: usize = 64;

/// The names in one of the two fields, in order, each once; what is no list of strings names
/// nothing. `None` if they are too many.
#[must_use]
pub fn of(headers: &HeaderMap, field: &HeaderName) -> Option<Vec<String>> {
    if !headers.contains_key(field) {
        return Some(Vec::new());
    }
    let lines: Vec<&[u8]> = headers.get_all(field).iter().map(HeaderValue::as_bytes).collect();
    let list: List = match Parser::new(&lines.join(&b", "[..])).parse() {
        Ok(list) => list,
        Err(_) => return Some(Vec::new()),
    };
    let mut names: Vec<String> = Vec::new();
    for entry in list {
        let ListEntry::Item(item) = entry else { return Some(Vec::new()) };
        let BareItem::String(name) = item.bare_item else { return Some(Vec::new()) };
        if !names.iter().any(|known| known == name.as_str()) {
            if names.len() == MAX_GROUPS {
                return None;
            }
            names.push(name.as_str().to_owned());
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&'static str]) -> Option<Vec<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CACHE_GROUPS, HeaderValue::from_static(line));
        }
        of(&headers, &CACHE_GROUPS)
    }

    #[test]
    fn lists_of_strings_over_several_lines() {
        assert_eq!(read(&["\"a\", \"b c\";x=1", "\"A\", \"a\""]).unwrap(), ["a", "b c", "A"]);
        assert_eq!(read(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn anything_else_names_nothing() {
        for line in ["token", "\"a\", b", "(\"a\")", "1", "\"open", "\"a\" \"b\""] {
            assert_eq!(read(&[line]).unwrap(), [""; 0], "{line}");
        }
    }

    #[test]
    fn too_many_are_told() {
        let names: Vec<String> = (0..=MAX_GROUPS).map(|n| format!("\"{n}\"")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_GROUPS, HeaderValue::from_str(&names.join(", ")).unwrap());
        assert_eq!(of(&headers, &CACHE_GROUPS), None);
    }
}
