//! The instant from which a holder counts nanoseconds.

use std::sync::OnceLock;
use std::time::Instant;

use super::ring::nanos;

/// The first instant that its holder was told of; all others are nanoseconds since then, which fit
/// an atomic.
#[derive(Debug, Default)]
pub(crate) struct Origin(OnceLock<Instant>);

impl Origin {
    /// Nanoseconds since the origin, zero before it; none as long as there is no origin.
    #[inline]
    pub(crate) fn since(&self, now: Instant) -> Option<u64> {
        self.0.get().map(|origin| nanos(now.saturating_duration_since(*origin)))
    }

    /// Nanoseconds until `end`, counted from the origin; `first` becomes it if there is none yet.
    pub(crate) fn until(&self, first: impl FnOnce() -> Instant, end: Instant) -> u64 {
        nanos(end.saturating_duration_since(*self.0.get_or_init(first)))
    }
}
