//! The flags of a client that speaks TLS.

use std::path::PathBuf;

use clap::Args;
use regatta_control_plane::{ClientIdentity, ClientTls};

/// Whom to believe, and who asks.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Tls {
    /// Whose certificates servers present, in PEM; for TLS.
    #[arg(long, value_name = "FILE", env = "CONSUL_CACERT")]
    pub(crate) ca: Option<PathBuf>,
    /// The client's own certificate, in PEM; for servers that ask for one.
    #[arg(long, value_name = "FILE", env = "CONSUL_CLIENT_CERT", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of that, in PEM.
    #[arg(long, value_name = "FILE", env = "CONSUL_CLIENT_KEY", requires = "cert")]
    key: Option<PathBuf>,
}

impl From<Tls> for ClientTls {
    fn from(Tls { ca, cert, key }: Tls) -> Self {
        let mut tls = Self::default();
        tls.ca = ca;
        tls.identity = cert.zip(key).map(|(certificate, key)| ClientIdentity { certificate, key });
        tls
    }
}
