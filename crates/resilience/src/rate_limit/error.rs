//! The error of a call over its client's limit.

use std::time::Duration;

/// The call was not made because its client is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("over the limit of `{limit}` calls; retry in {retry_after:?}")]
#[non_exhaustive]
pub struct RateLimited {
    /// Calls per window.
    pub limit: u32,
    /// When the next call will be admitted, if the client makes none before.
    pub retry_after: Duration,
}
