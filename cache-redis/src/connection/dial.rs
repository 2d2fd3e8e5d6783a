//! How a socket is opened.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion,
    RedisConnectionInfo,
};

use crate::error::Fault;
use crate::url::{Address, Credentials};

/// Requests that may wait to be written to one socket that the client library shares; further ones wait for a place, within
/// their limit.
const WRITE_QUEUE: usize = 1024;

/// How to open a connection. `Debug` shows no secret.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) tls: bool,
    pub(crate) certificates: Certificates,
    pub(crate) db: i64,
    pub(crate) credentials: Credentials,
    pub(crate) connect_limit: Duration,
    pub(crate) response_limit: Duration,
    pub(crate) proof_interval: Duration,
    pub(crate) connections: usize,
    pub(crate) breaker: (u32, Duration),
}

/// PEM text for TLS.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    pub(crate) root: Option<Vec<u8>>,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Certificates {
    pub(crate) const fn are_given(&self) -> bool {
        self.root.is_some() || self.client.is_some()
    }
}

impl Dial {
    /// Opens a socket, authenticates and selects the database, within the limit.
    pub(crate) async fn open(
        &self,
        address: &Address,
        protocol: ProtocolVersion,
    ) -> Result<MultiplexedConnection, Fault> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_limit))
            // Every call has its own limit; see `Topology::call` and the operations of the store.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(WRITE_QUEUE);
        let client = self.client(address, protocol)?;
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        tokio::time::timeout(self.connect_limit, opening)
            .await
            .map_err(|_| Fault::TimedOut(self.connect_limit))?
            .map_err(Fault::from)
    }

    fn client(&self, address: &Address, protocol: ProtocolVersion) -> Result<Client, Fault> {
        let addr = match address {
            Address::Unix(path) => ConnectionAddr::Unix(path.clone()),
            Address::Tcp { host, port } if self.tls => ConnectionAddr::TcpTls {
                host: host.clone(),
                port: *port,
                insecure: false,
                tls_params: None,
            },
            Address::Tcp { host, port } => ConnectionAddr::Tcp(host.clone(), *port),
        };
        self.secure(addr.into_connection_info()?.set_redis_settings(self.login(protocol)))
    }

    /// What is said first on a new socket.
    pub(super) fn login(&self, protocol: ProtocolVersion) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default()
            .set_db(self.db)
            .set_protocol(protocol)
            .set_skip_set_lib_name();
        if let Some(username) = &self.credentials.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.credentials.password {
            login = login.set_password(password);
        }
        login
    }

    #[cfg(feature = "tls")]
    fn secure(&self, info: redis::ConnectionInfo) -> Result<Client, Fault> {
        if !self.tls {
            return Ok(Client::open(info)?);
        }
        // rustls panics without a provider; an application's own choice, made earlier, is kept.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = self.certificates.client.clone();
        let certificates = redis::TlsCertificates {
            client_tls: client.map(|(client_cert, client_key)| redis::ClientTlsConfig {
                client_cert,
                client_key,
            }),
            root_cert: self.certificates.root.clone(),
        };
        Ok(Client::build_with_tls(info, certificates)?)
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, info: redis::ConnectionInfo) -> Result<Client, Fault> {
        if self.tls || self.certificates.are_given() {
            return Err(Fault::Unsupported("TLS without the feature `tls`".to_owned()));
        }
        Ok(Client::open(info)?)
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial")
            .field("tls", &self.tls)
            .field("db", &self.db)
            .field("credentials", &self.credentials)
            .field("connect_limit", &self.connect_limit)
            .field("response_limit", &self.response_limit)
            .field("proof_interval", &self.proof_interval)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
