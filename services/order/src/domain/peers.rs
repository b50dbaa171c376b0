//! The ports to the other services.

use std::fmt;

use async_trait::async_trait;

use super::{Order, Settlement, UserId};

/// Knows who is a user.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// Whether there is such a user.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when that cannot be said.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only asks.
    async fn knows(&self, user: UserId) -> Result<bool, PeerError>;
}

/// Takes the money for an order.
#[async_trait]
pub trait Cashier: Send + Sync + 'static {
    /// Pays an order, once however often it is called: the order's `payment_key` says which
    /// attempts belong together.
    ///
    /// # Errors
    ///
    /// [`PeerError`] when it is not known whether the order is paid; call again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call may have paid, and the next one learns of it.
    async fn pay(&self, order: &Order, authority: &Authority) -> Result<Settlement, PeerError>;
}

/// The caller's own token, passed on to the services that act for the caller.
#[derive(Clone)]
pub struct Authority(String);

impl Authority {
    /// Takes the token as it came.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The token itself. Each call is a place to review.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(***)")
    }
}

/// A cause that the domain does not look into.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Another service did not do its part.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// It cannot be reached, is too slow, or says that it cannot now; later it may work.
    #[error("`{service}` is not available; try again later")]
    Unavailable {
        /// Its name.
        service: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// It answered what it must not.
    #[error("`{service}` gave an answer that makes no sense here; look at its log")]
    Broken {
        /// Its name.
        service: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
}
