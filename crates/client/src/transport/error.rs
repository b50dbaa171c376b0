//! Why a request has no answer, and whether it may have reached the other side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use regatta_resilience::retry::Failure;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// There is no connection: nothing was sent.
    #[error("no connection")]
    Connect(#[source] ConnectError),
    /// The connection failed under the request.
    #[error("the connection broke")]
    Broken {
        /// Whether the connection handed the request back, untouched.
        untouched: bool,
        /// What hyper reported.
        #[source]
        source: hyper::Error,
    },
}

/// Why there is no connection. Shared by all calls that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("the connection could not be opened")]
    Io(#[source] Arc<io::Error>),
    #[error("the connection was not open within {within:?}")]
    Timeout { within: Duration },
    #[error("the connection broke before the first request")]
    Handshake(#[source] Arc<hyper::Error>),
    #[error("each connection closes as soon as it is open")]
    Closes,
    /// The instance was removed between choosing it and connecting to it.
    #[error("the instance was removed")]
    Removed,
}

impl SendError {
    /// Whether nobody listens where the instance was: it restarts, or is gone and will be taken
    /// out.
    pub(crate) fn was_refused(&self) -> bool {
        match self {
            Self::Connect(ConnectError::Io(error)) => {
                error.kind() == io::ErrorKind::ConnectionRefused
            }
            // Says nothing about the instance either.
            Self::Connect(ConnectError::Removed) => true,
            _ => false,
        }
    }

    /// Whether the call may have reached the other side.
    pub(crate) fn failure(&self) -> Failure {
        let Self::Broken { untouched: false, source } = self else { return Failure::Unsent };
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source);
        while let Some(error) = cause {
            // The connection closed before the request was taken up, or the server said that it
            // has not looked at it (RFC 9113, sections 6.8 and 8.7).
            let untaken = error.downcast_ref().is_some_and(hyper::Error::is_canceled);
            let refused = error.downcast_ref().is_some_and(|error: &h2::Error| {
                error.reason() == Some(h2::Reason::REFUSED_STREAM)
                    || (error.is_go_away() && error.is_remote())
            });
            if untaken || refused {
                return Failure::Unsent;
            }
            cause = error.source();
        }
        Failure::Lost
    }
}
