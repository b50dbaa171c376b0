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

    /// How long a client waits for more than it has: for the next call when none is left, else for
    /// the whole limit. What the field `RateLimit` calls `t`, so that it never says another time
    /// than `Retry-After`.
    #[must_use]
    pub fn until_more(&self) -> Duration {
        if self.remaining == 0 { self.retry_after } else { self.reset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nothing_left_the_next_call_is_what_a_client_waits_for() {
        let (whole, next) = (Duration::from_secs(60), Duration::from_secs(7));
        for (remaining, until) in [(0, next), (1, whole)] {
            for allowed in [false, true] {
                let decision = Decision::new(allowed, 60, remaining, whole, next);
                assert_eq!(decision.until_more(), until);
            }
        }
    }
}
