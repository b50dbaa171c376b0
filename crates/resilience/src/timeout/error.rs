//! The error of a call that took too long.

use std::time::Duration;

/// The call took longer than its timeout and was cancelled; it may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer within {after:?}; look at the dependency, or raise the timeout")]
#[non_exhaustive]
pub struct TimedOut {
    /// The timeout that was over.
    pub after: Duration,
}
