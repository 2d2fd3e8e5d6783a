//! What of a message ends at the proxy, in both directions (RFC 9110 §7.6.1).

use cache_core::field::{hop_by_hop, list};
use http::HeaderMap;
use http::header::{CONNECTION, HeaderName, HeaderValue};

/// Removes the fields that belong to one connection or to a proxy, and those that `Connection`
/// names. Nothing is added: the proxy stands for its origin.
pub fn strip(headers: &mut HeaderMap) {
    hop_by_hop::strip(headers);
}

/// Whether the origin sees all that could select an answer. What `Connection` names ends here, so
/// that an answer would be stored for a `Host` or a language that the origin has never seen.
#[must_use]
pub fn reach_the_origin(headers: &HeaderMap) -> bool {
    let of_connection = |name: &HeaderName| {
        let mut alone = HeaderMap::new();
        alone.insert(name, HeaderValue::from_static(""));
        strip(&mut alone);
        alone.is_empty()
    };
    list::members(headers, &CONNECTION)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .all(|name| !headers.contains_key(&name) || of_connection(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_select_nothing() {
        for (connection, all) in [
            ("keep-alive, TE, upgrade, x-absent", true),
            ("close, Host", false),
            ("accept-language", false),
        ] {
            let mut headers = HeaderMap::new();
            for name in ["keep-alive", "te", "upgrade", "host", "accept-language"] {
                headers.insert(name, HeaderValue::from_static("x"));
            }
            headers.insert(CONNECTION, HeaderValue::from_static(connection));
            assert_eq!(reach_the_origin(&headers), all, "{connection}");
        }
    }
}
