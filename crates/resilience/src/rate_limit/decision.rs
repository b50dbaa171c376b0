//! What a limiter says about one call.

use std::time::Duration;

/// What the limiter says about one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decision {
    /// Whether the call may be made; if so it is counted.
    pub allowed: bool,
    /// Calls per window.
    pub limit: u32,
    /// Calls that would still be admitted now.
    pub remaining: u32,
    /// When the whole limit is free again, if the client makes no more calls.
    pub reset: Duration,
    /// When the next call will be admitted, if the client makes none before; zero if at once.
    pub retry_after: Duration,
}

impl Decision {
    /// A decision of a limiter of another crate.
    pub fn new(
        allowed: bool,
        limit: u32,
        remaining: u32,
        reset: Duration,
        retry_after: Duration,
    ) -> Self {
        Self { allowed, limit, remaining, reset, retry_after }
    }
}
