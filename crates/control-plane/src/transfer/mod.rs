//! Copies keys and external services between servers: ours, etcd, Consul.

mod endpoint;
pub use endpoint::{Endpoint, InvalidEndpoint, Kind};

mod plan;

mod consul;
mod etcd;

mod error;
pub use error::TransferError;

use crate::ClientTls;

/// What to copy, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Transfer {
    /// Where it is.
    pub from: Endpoint,
    /// Where it shall be; of the same kind.
    pub to: Endpoint,
    /// Only keys that begin with this. Default empty: all of them, and services.
    pub prefix: String,
    /// Whether a key that is there with another value keeps it. Default no: it is overwritten.
    pub keep: bool,
    /// Whether to count only, and change nothing. Default no.
    pub dry_run: bool,
    /// Whom to believe and who asks, at either server; for endpoints with TLS.
    pub tls: ClientTls,
}

/// What was found and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Keys that were read at the source.
    pub keys: u64,
    /// Of these, those that were written, or would be in a dry run.
    pub written: u64,
    /// Those that were there with the same value already.
    pub unchanged: u64,
    /// Those that were there with another value, and kept it.
    pub kept: u64,
    /// Those that end with a lease or a session, which belongs to a client of the source.
    pub leased: u64,
    /// Services on nodes without an agent that were registered, or would be.
    pub services: u64,
    /// Services on nodes with an agent, which register themselves where they find their registry.
    pub own_services: u64,
}

impl Transfer {
    /// Copies everything.
    pub fn new(from: Endpoint, to: Endpoint) -> Self {
        Self {
            from,
            to,
            prefix: String::new(),
            keep: false,
            dry_run: false,
            tls: ClientTls::default(),
        }
    }

    /// Copies. The source is read at one revision where it has one; nothing is deleted. Doing it
    /// twice is the same as doing it once.
    ///
    /// # Errors
    ///
    /// [`TransferError`]: a server does not answer or refuses, or they are of two kinds. What was
    /// written until then stays.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was written until then stays; run it again.
    pub async fn run(&self) -> Result<Report, TransferError> {
        match (self.from.kind(), self.to.kind()) {
            (Kind::Etcd, Kind::Etcd) => etcd::copy(self).await,
            (Kind::Consul, Kind::Consul) => consul::copy(self).await,
            _ => Err(TransferError::TwoKinds {
                from: self.from.to_string(),
                to: self.to.to_string(),
            }),
        }
    }
}
