//! What servers need for TLS.

use std::path::Path;

use super::ServerError;

/// A certificate with its key, and the authority that issued it, in PEM.
///
/// Servers show it to clients and to each other, so it has to name the host that clients reach them by,
/// and its subject must differ from the authority's.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "complete for its purpose")]
pub struct Tls {
    /// The certificate of all servers.
    pub certificate: String,
    /// Its key.
    pub key: String,
    /// The authority.
    pub root: String,
}

/// Clients need no certificate; servers show theirs to each other.
const LINES: &str = "tls-cert-file cert.pem\ntls-key-file key.pem\ntls-ca-cert-file root.pem\n\
                     tls-auth-clients no\ntls-replication yes\ntls-cluster yes\n";

impl Tls {
    /// Writes the files that [`lines`] names.
    pub(super) fn write(&self, dir: &Path) -> Result<(), ServerError> {
        let files =
            [("cert.pem", &self.certificate), ("key.pem", &self.key), ("root.pem", &self.root)];
        for (name, text) in files {
            std::fs::write(dir.join(name), text)
                .map_err(|error| ServerError::because(format!("writing {name}"), error))?;
        }
        Ok(())
    }
}

/// The lines of configuration of a server that speaks TLS on this port.
pub(super) fn lines(port: u16) -> String {
    format!("tls-port {port}\n{LINES}")
}
