//! The deadline of a request, as its handler is held to it.

use std::time::Duration;

use regatta_core::Context;
use tokio::time::Instant;

/// When the request's caller stops waiting, or the service does, whichever is earlier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(regatta_core::Deadline);

impl Deadline {
    /// The deadline of the request that is being called now.
    pub(super) fn of_request(timeout: Duration) -> Self {
        let callers = Context::with_current(|context| context.and_then(|it| it.deadline));
        // Telemetry has put the earlier of both into the context; without it the caller's is none.
        Self(
            callers.unwrap_or_else(|| {
                regatta_core::Deadline::after(Instant::now().into_std(), timeout)
            }),
        )
    }

    pub(super) fn is_over(self) -> bool {
        self.0.is_over(Instant::now().into_std())
    }

    pub(super) fn left(self) -> Duration {
        self.0.remaining(Instant::now().into_std()).unwrap_or_default()
    }

    pub(super) fn instant(self) -> Instant {
        self.0.instant().into()
    }
}
