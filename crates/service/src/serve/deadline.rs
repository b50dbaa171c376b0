//! The deadline of a request, as its handler is held to it.

use std::time::Duration;

use http::HeaderMap;
use regatta_core::{Context, GRPC_TIMEOUT, parse_grpc_timeout};
use tokio::time::Instant;

/// When the request's caller stops waiting, or the service does, whichever is earlier.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(regatta_core::Deadline);

impl Deadline {
    /// The deadline of the request that is being called now.
    pub(super) fn of_request(timeout: Duration, now: Instant) -> Self {
        let callers = Context::with_current(|context| context.and_then(|it| it.deadline));
        // Telemetry has put the earlier of both into the context; without it the caller's is none.
        Self(callers.unwrap_or_else(|| regatta_core::Deadline::after(now.into_std(), timeout)))
    }

    /// When a call over gRPC is over with its last message, if its caller says so. What else bounds
    /// it, as a hop's time for the head of the answer, cuts no stream.
    pub(super) fn of_call(headers: &HeaderMap, now: Instant) -> Option<Self> {
        let timeout = headers.get(GRPC_TIMEOUT)?.to_str().ok().and_then(parse_grpc_timeout)?;
        Some(Self(regatta_core::Deadline::after(now.into_std(), timeout)))
    }

    #[cfg(test)]
    pub(super) fn at(instant: Instant) -> Self {
        Self(regatta_core::Deadline::after(instant.into_std(), Duration::ZERO))
    }

    pub(super) fn is_over(self, now: Instant) -> bool {
        self.0.is_over(now.into_std())
    }

    pub(super) fn left(self, now: Instant) -> Duration {
        self.0.remaining(now.into_std()).unwrap_or_default()
    }

    pub(super) fn instant(self) -> Instant {
        self.0.instant().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_by_its_callers_word_and_not_by_a_hops_time_for_the_head() {
        let (now, mut headers) = (Instant::now(), HeaderMap::new());
        headers.insert(regatta_core::ENVOY_TIMEOUT, "50".parse().unwrap());
        assert!(Deadline::of_call(&headers, now).is_none());
        headers.insert(GRPC_TIMEOUT, "60S".parse().unwrap());
        let ends = Deadline::of_call(&headers, now).unwrap();
        assert_eq!(ends.instant() - now, Duration::from_secs(60));
        headers.insert(GRPC_TIMEOUT, "soon".parse().unwrap());
        assert!(Deadline::of_call(&headers, now).is_none(), "a malformed one counts for nothing");
    }
}
