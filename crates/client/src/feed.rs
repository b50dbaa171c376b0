//! What a request's body is fed from, seen by those who wait for its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::upload::Progress;

/// What a request's body is fed from, if it comes as a stream. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Feed {
    /// gRPC's messages, and whether they failed.
    Messages(Arc<AtomicBool>),
    /// A body of HTTP.
    Upload(Arc<Progress>),
}

impl Feed {
    /// Whether it failed itself: what comes of the call is this process's doing then, whatever the
    /// connection reports.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            // Relaxed, since nothing but the flag is looked at.
            Self::Messages(failed) => failed.load(Ordering::Relaxed),
            Self::Upload(progress) => progress.has_failed(),
        }
    }

    /// Sends no more of it. gRPC's ends with its stream.
    pub(crate) fn stop(&self) {
        if let Self::Upload(progress) = self {
            progress.stop();
        }
    }

    /// How far it has come, if it is a body of HTTP.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Messages(_) => None,
            Self::Upload(progress) => Some(progress),
        }
    }
}
