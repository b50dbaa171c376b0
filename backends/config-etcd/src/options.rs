//! What the client may be told.

use std::time::Duration;

use regatta_core::Secret;

/// What the client may be told beside the URL.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Who logs in, where the URL does not say. Default none: nobody.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// The certificates to trust, in PEM; needed for TLS.
    pub ca_pem: Option<Vec<u8>>,
    /// The client's own certificate, in PEM, where the server asks for one.
    pub cert_pem: Option<Vec<u8>>,
    /// The key of that, in PEM.
    pub key_pem: Option<Secret>,
    /// Longest time for a connection. Default 1 s; more than 0.
    pub connect_timeout: Duration,
    /// Longest time for a call. Default 5 s: etcd's own limit for a write is 7 s on a busy disk.
    /// More than 0.
    pub request_timeout: Duration,
    /// Time between two pings on the connection, and how long one may stay unanswered: so a center
    /// that hangs is known. Default 5 s; more than 0.
    pub keep_alive: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user: None,
            password: None,
            ca_pem: None,
            cert_pem: None,
            key_pem: None,
            connect_timeout: Duration::from_secs(1),
            request_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(5),
        }
    }
}

/// The URL or an option cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// An endpoint is none.
    #[error(
        "`{endpoint}` is no endpoint of etcd; write etcd://host:2379, or etcds://host:2379 for TLS"
    )]
    Endpoint {
        /// What was given, without a password.
        endpoint: String,
    },
    /// Plain and TLS endpoints are mixed.
    #[error("some endpoints are plain and some are TLS; write all as etcd:// or all as etcds://")]
    Mixed,
    /// There is nobody to trust.
    #[error("TLS needs the certificates to trust; set config_center.ca_file (ETCDCTL_CACERT)")]
    NoCa,
    /// A certificate without its key, or a key without its certificate.
    #[error("a client certificate needs both, config_center.cert_file and config_center.key_file")]
    HalfIdentity,
    /// A password without a user, or the other way round.
    #[error("user and password go together; set both or neither")]
    HalfUser,
    /// The certificates cannot be used.
    #[error("the certificates are not usable ({message}); give them in PEM")]
    Certificates {
        /// What is wrong.
        message: String,
    },
    /// A time is 0.
    #[error("{name} is 0; set it to 1 ms or more")]
    Zero {
        /// The option.
        name: &'static str,
    },
}
