//! Why a request has no answer, and whether it may have reached the other side.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::client::conn::TrySendError;
use regatta_traffic::verdict::Silence;

use crate::body::RequestBody;
use crate::upload::UploadError;

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
        /// Whether it had served other requests before.
        is_reused: bool,
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

/// A request without an answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) error: SendError,
    /// Its body, when nothing of it left, so that it can go elsewhere.
    pub(crate) unsent: Option<Box<RequestBody>>,
}

impl Unanswered {
    /// No connection: the request is untouched.
    pub(super) fn unconnected(error: ConnectError, request: Request<RequestBody>) -> Self {
        let unsent = Some(Box::new(request.into_body()));
        Self { error: SendError::Connect(error), unsent }
    }

    /// The connection failed; with the request, if it handed that back.
    pub(super) fn broken(mut error: TrySendError<Request<RequestBody>>, is_reused: bool) -> Self {
        let unsent = error.take_message().map(|request| Box::new(request.into_body()));
        let (untouched, source) = (unsent.is_some(), error.into_error());
        Self { error: SendError::Broken { untouched, is_reused, source }, unsent }
    }
}

impl SendError {
    /// What that says, in the words of the classifier.
    pub(crate) fn silence(&self) -> Silence {
        match self {
            // Removed says nothing about the instance either.
            Self::Connect(ConnectError::Removed) => Silence::Refused,
            Self::Connect(ConnectError::Io(error))
                if error.kind() == io::ErrorKind::ConnectionRefused =>
            {
                Silence::Refused
            }
            Self::Connect(_) => Silence::Unreached,
            Self::Broken { source, .. } if has_cause::<UploadError>(source) => Silence::Withdrawn,
            Self::Broken { untouched, is_reused, source } => {
                match (*untouched || was_untaken(source), *is_reused) {
                    (false, _) => Silence::Broken,
                    (true, true) => Silence::Stale,
                    (true, false) => Silence::Untaken,
                }
            }
        }
    }
}

/// Whether an error of this kind is among the causes.
fn has_cause<E: std::error::Error + 'static>(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        if found.is::<E>() {
            return true;
        }
        cause = found.source();
    }
    false
}

/// Whether the connection closed before the request was taken up, or the server said that it has
/// not looked at it (RFC 9113, sections 6.8 and 8.7).
fn was_untaken(error: &hyper::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let untaken = error.downcast_ref().is_some_and(hyper::Error::is_canceled);
        let refused = error.downcast_ref().is_some_and(|error: &h2::Error| {
            error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.is_remote())
        });
        if untaken || refused {
            return true;
        }
        cause = error.source();
    }
    false
}
