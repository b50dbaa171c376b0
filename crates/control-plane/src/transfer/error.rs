//! Why a copy was not made.

use crate::ClientTlsError;

/// Why a copy was not made, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Keys of one kind of server are not those of the other.
    #[error("`{from}` and `{to}` are of two kinds; copy etcd to etcd and Consul to Consul")]
    TwoKinds {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// A server cannot be reached.
    #[error("cannot reach `{endpoint}`; check the address, and that the server runs")]
    Unreachable {
        /// The server.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What answers is no etcd, or one that wants TLS.
    #[error(
        "`{endpoint}` does not speak etcd's gRPC in clear; check that an etcd is there, and with TLS \
         write etcds://"
    )]
    NoEtcd {
        /// The server.
        endpoint: String,
        /// How the connection ended.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server does not do what it is asked.
    #[error("`{endpoint}` refused to {action}: {reason}")]
    Refused {
        /// The server.
        endpoint: String,
        /// What it was asked.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// A file of certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
}
