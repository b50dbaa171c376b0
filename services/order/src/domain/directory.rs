//! The port to who knows the users.

use async_trait::async_trait;

use super::UserId;

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
