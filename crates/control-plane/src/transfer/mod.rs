//! Copies keys and services between servers: ours, etcd, Consul.

mod endpoint;
pub use endpoint::{Endpoint, InvalidEndpoint, Kind};

mod plan;

mod consul;
mod etcd;

mod error;
pub use error::TransferError;

use crate::ClientTls;

/// Where a control plane of ours tells what checks ask.
pub(crate) const DEFINITIONS: &str = "/v1/regatta/checks";

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
    /// Whether what is there in another form keeps it. Default no: it is overwritten.
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
    /// Keys.
    pub keys: Tally,
    /// Keys that end with a lease or a session, which belongs to a client of the source.
    pub leased: u64,
    /// Nodes that no agent speaks for, with their own checks.
    pub nodes: Tally,
    /// Services on such nodes, and services that somebody registered at an agent, with their
    /// checks.
    pub services: Tally,
    /// Services that register themselves where they find their registry, and are left to that.
    pub own_services: u64,
    /// Services that are left out, since the source does not tell what their checks ask.
    pub untold_services: u64,
}

/// How many there were, and what was done with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Those that were read at the source.
    pub found: u64,
    /// Of these, those that were written, or would be in a dry run.
    pub written: u64,
    /// Those that were there in the same form already.
    pub unchanged: u64,
    /// Those that were there in another form, and kept it.
    pub kept: u64,
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
