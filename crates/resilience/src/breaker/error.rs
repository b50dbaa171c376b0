//! The error of a call that was not made.

use std::time::Duration;

/// The call was not made because the breaker is open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("circuit breaker is open; retry in {retry_after:?}")]
#[non_exhaustive]
pub struct BreakerOpen {
    /// How long until the breaker admits a probe; while probes are in flight, until another would be
    /// admitted although they say nothing.
    pub retry_after: Duration,
}
