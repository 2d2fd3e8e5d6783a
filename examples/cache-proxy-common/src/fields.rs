//! What of a message ends at the proxy, in both directions (RFC 9110 §7.6.1).

use cache_core::field::hop_by_hop;
use http::HeaderMap;

/// Removes the fields that belong to one connection or to a proxy, and those that `Connection`
/// names. Nothing is added: the proxy stands for its origin.
pub fn strip(headers: &mut HeaderMap) {
    hop_by_hop::strip(headers);
}
