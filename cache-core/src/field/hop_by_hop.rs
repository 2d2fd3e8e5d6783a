//! Fields that belong to one connection and are never stored (RFC 9110 §7.6.1,
//! RFC 9111 §3.1).

use http::header::{self, HeaderMap, HeaderName};

use super::list::members;

static OWN: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-authentication-info"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Removes the connection's own fields, and those that `Connection` names.
pub fn strip(headers: &mut HeaderMap) {
    if !headers.keys().any(is_own) {
        // No `Connection` either.
        return;
    }
    let named = named(headers);
    for name in OWN.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Whether it is always the connection's own.
pub(crate) fn is_own(name: &HeaderName) -> bool {
    OWN.contains(name)
}

/// The fields that `Connection` names.
pub(crate) fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    members(headers, &header::CONNECTION)
        .filter_map(|member| HeaderName::from_bytes(member).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn named_fields_go_too() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Own"), ("x-own", "1"), ("keep-alive", "5"), ("x-kept", "1")]
        {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["x-kept"]);
    }
}
