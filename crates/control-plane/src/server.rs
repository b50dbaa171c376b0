//! The control plane as a part to run.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{InvalidSettings, Settings};

/// A control plane that listens and is ready to run.
#[derive(Debug)]
pub struct ControlPlane {
    listener: TcpListener,
    address: SocketAddr,
}

/// The control plane cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// A setting is out of range.
    #[error("wrong setting of the control plane")]
    Settings(#[source] InvalidSettings),
    /// Another process listens there.
    #[error("port {} of the control plane is in use; stop the other process (`ss -ltnp`) or listen elsewhere", address.port())]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error(
        "cannot listen on `{address}`; check that the address is this machine's and the port is allowed"
    )]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store cannot be opened.
    #[error("cannot open the store in `{}`; check that the folder is writable and no other control plane uses it", data_dir.display())]
    Store {
        /// The folder.
        data_dir: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ControlPlane {
    /// Opens the store, recovers what was acknowledged, and listens.
    ///
    /// # Errors
    ///
    /// [`BindError`] says what to do.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call closes what it opened.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        settings.validate().map_err(BindError::Settings)?;
        let address = settings.consul_listen;
        let listener = TcpListener::bind(address).await.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => BindError::PortInUse { address },
            _ => BindError::Listen { address, source },
        })?;
        let address =
            listener.local_addr().map_err(|source| BindError::Listen { address, source })?;
        Ok(Self { listener, address })
    }

    /// Where the Consul API listens; the port is the real one.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain`, then answers what is in flight and returns.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: dropped, requests in flight are cut; nothing acknowledged is lost.
    pub async fn run(self, drain: CancellationToken) {
        drain.cancelled().await;
        drop(self.listener);
    }
}
